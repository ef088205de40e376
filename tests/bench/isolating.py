"""What the benches isolate-kvm and isolate-vsphere measure on our side: the adapter alone, and `plan
apply`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestrator.contract.conformance.effect import Ledger, RecordingEffect
from orchestrator.contract.provider import Adapter
from orchestrator.model.machine import Claim, Consistency, MachineRef
from orchestrator.model.network import IsolationMode, IsolationSpec, NetworkSpec

_SECONDS = 900


def isolate_all(adapter: Adapter, refs: Sequence[MachineRef], quarantine: str, at_once: int) -> None:
    """Carry out the adapter's part on every machine, so many at once, and close it.

    For each what the engine's steps call: `ensure_claim`, `ensure_snapshot` (crash), `capture`,
    `ensure_network` (under a lock, as the engine), `ensure_isolated` (sealed), `verify`; every finding must
    hold. The effect is real but keeps its ledger in memory.
    """
    guard = threading.Lock()
    try:
        with ThreadPoolExecutor(at_once) as pool:
            list(pool.map(lambda ref: _isolate(adapter, quarantine, ref, guard), refs))
    finally:
        adapter.close()


def _isolate(adapter: Adapter, quarantine: str, ref: MachineRef, guard: threading.Lock) -> None:
    sealed = NetworkSpec(name=quarantine, mode=IsolationMode.SEALED, create=True)
    spec = IsolationSpec(mode=IsolationMode.SEALED, network=sealed)
    ledger = Ledger()

    def effect(step: str) -> RecordingEffect:
        return RecordingEffect(f"ferry.bench.{ref.name}.{step}", ledger)

    claim = Claim(run="bench", digest="0" * 64, state_id="bench", host=ref.name, since=datetime.now(UTC))
    adapter.claims.ensure_claim(ref, claim, effect("claim"))
    adapter.snapshots.ensure_snapshot(ref, "ferry-bench", Consistency.CRASH, effect("snapshot"))
    adapter.isolation.capture(ref)
    with guard:
        adapter.isolation.ensure_network(sealed, effect("isolate"))
    adapter.isolation.ensure_isolated(ref, spec, (), effect("isolate"))
    proof = adapter.isolation.verify(ref, spec)
    assert proof.holds, [f for f in proof.findings if not f.ok]


def plan_apply(
    endpoint: Mapping[str, Any], refs: Sequence[MachineRef], quarantine: str
) -> Callable[[], None]:
    """Preview into a file, and return the apply alone: that is what counts.

    `endpoint` is what a plan file says of it. The state database is one that no run has used before.
    """
    folder = tempfile.TemporaryDirectory(prefix="ferry-bench-")
    path = Path(folder.name)
    plan, changes = path / "plan.yaml", path / "cs.json"
    plan.write_text(json.dumps(plan_file(endpoint, refs, quarantine)))  # JSON is YAML 1.2
    _ferry("orchestrator", path, "plan", "preview", str(plan), "-o", str(changes))

    def apply() -> None:
        try:
            provider = str(endpoint["provider"])
            _ferry("tests.bench.apply_without_identity", path, provider, "plan", "apply", str(changes))
        finally:
            folder.cleanup()

    return apply


def plan_file(endpoint: Mapping[str, Any], refs: Sequence[MachineRef], quarantine: str) -> dict[str, Any]:
    """A plan that snapshots and seals off every machine, in one wave, without replacements."""
    return {
        "ferry": 1,
        "name": "bench",
        "owner": "bench",
        "endpoints": {"lab": dict(endpoint)},
        "networks": {"q": {"endpoint": "lab", "name": quarantine, "mode": "sealed", "create": True}},
        "hosts": [
            {
                "name": ref.name.upper(),
                "source": {"endpoint": "lab", "vm": ref.name},
                "disposition": "contain",
                "contain": {"network": "q"},
            }
            for ref in refs
        ],
    }


def _ferry(module: str, folder: Path, *words: str) -> None:
    command = [sys.executable, "-m", module, *words, "--state", f"sqlite:///{folder}/state.db", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    assert done.returncode == 0, (
        f"{words}: exit {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    )
