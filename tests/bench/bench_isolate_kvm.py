"""Snapshot, cut off, prove: on real libvirt and QEMU against what one would write by hand.

Cases "adapter alone", peer `minimal` (required: at most 1.5): ours opens one Adapter of provider kvm and
carries out through the contract, four machines at once, what the engine's steps call for each:
`ensure_claim`, `ensure_snapshot` (crash), `ensure_network` (under a lock, as the engine), `capture`,
`ensure_isolated` (sealed), `verify`; every finding must hold. The effect is real but keeps its ledger in
memory. The peer is `peers.libvirt_script`; the docstring of `peers` says what it does not do. Where domains
run, libvirt needs most of the time for the packet filter that ours binds to each card: a second peer,
`minimal, filtering`, binds one that drops everything, too.

Cases "plan apply", peer `virsh` (required: below 1): the whole command as a process, `ferry plan apply
CS.json` on a saved change set with max_parallel 8 and a state database of its own that no run has used
before: start of Python, verification of the digest, the steps preflight, claim, snapshot, identify,
inventory, isolate, verify and release of the claim, with journal, ledger and evidence on disk. READING THE
GUEST'S IDENTITY IS LEFT OUT (the disks are empty): the snapshot's base is not opened, a constant stands for
what would be read, by `apply_without_identity`. Peer: `peers.virsh_loop`, which claims and verifies, too: the
plain loop, one domain after the other. A second peer, `virsh, 8 at once`, makes the same calls for eight
domains at a time, as many as ours works on.

Ours is measured once for all its peers. Every measurement begins with domains that were just defined; running
ones have halted, and cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from orchestrator.diagnostics import FerryError
from orchestrator.model.secret import SecretRef
from providers.kvm import provider
from tests.bench import peers
from tests.bench.fleet import Fleet, fleet, versions
from tests.bench.harness import ROUNDS, document, interleaved, main, row, say, timed
from tests.bench.isolating import isolate_all, plan_apply

AT_ONCE = 4
PLAN_AT_ONCE = 8
CASES = ((10, 0), (20, 0), (20, 3))
"""Domains, and how many of them run."""


def run(smallest: bool) -> dict[str, Any]:
    """Measure; `smallest` is two domains, one of them running, once."""
    rounds = 1 if smallest else ROUNDS
    rows: list[dict[str, Any]] = []
    with fleet() as one:
        for count, running in ((2, 1),) if smallest else CASES:
            stopped = f"{count - running} stopped" + (f" + {running} running" if running else "")
            for what, ours, all_peers in WORK:
                # Binding a filter costs only where there is a tap.
                fair = {
                    name: peer
                    for name, peer in all_peers.items()
                    if running or peer is not _minimal_filtering
                }
                say(f"{what}, {stopped}")
                measures = [_measure(prepare, one, count, running) for prepare in (ours, *fair.values())]
                seconds, *theirs = interleaved(*measures, rounds=rounds)
                rows += [
                    row(f"{what}, {stopped}", seconds, peer, name)
                    for name, peer in zip(fair, theirs, strict=True)
                ]
        numbers = versions(one)
    return document("isolate-kvm", rows, packages=("libvirt-python", "dbos"), **numbers)


def _measure(prepare: Prepare, one: Fleet, count: int, running: int) -> Callable[[], float]:
    def measured() -> float:
        one.fresh(count, running)
        seconds = timed(prepare(one))
        one.is_done()
        return seconds

    measured.__name__ = prepare.__name__.strip("_")
    return measured


def _minimal(one: Fleet) -> Callable[[], object]:
    return lambda: peers.libvirt_script(one)


def _minimal_filtering(one: Fleet) -> Callable[[], object]:
    return lambda: peers.libvirt_script(one, filtering=True)


def _virsh(one: Fleet) -> Callable[[], object]:
    return lambda: peers.virsh_loop(one)


def _virsh_at_once(one: Fleet) -> Callable[[], object]:
    return lambda: peers.virsh_loop(one, at_once=PLAN_AT_ONCE)


def _adapter_alone(one: Fleet) -> Callable[[], object]:
    return lambda: adapter_alone(one)


def adapter_alone(one: Fleet) -> None:
    """Carry out the adapter's part on every machine of the fleet."""
    isolate_all(provider.open(one.endpoint, _no_secret), one.refs, one.quarantine, AT_ONCE)


def _plan_apply(one: Fleet) -> Callable[[], object]:
    lab = {"provider": "kvm", "uri": one.daemon.uri, "max_parallel": PLAN_AT_ONCE}
    return plan_apply(lab, one.refs, one.quarantine)


def _no_secret(ref: SecretRef) -> str:
    message = f"no endpoint of a bench needs a secret, but {ref} was asked for"
    raise FerryError(message)


Prepare = Callable[[Fleet], Callable[[], object]]
"""Makes ready, and returns the work that counts."""

WORK: tuple[tuple[str, Prepare, dict[str, Prepare]], ...] = (
    ("adapter alone", _adapter_alone, {"minimal": _minimal, "minimal, filtering": _minimal_filtering}),
    (
        "plan apply, identity not read",
        _plan_apply,
        {"virsh": _virsh, f"virsh, {PLAN_AT_ONCE} at once": _virsh_at_once},
    ),
)
"""What is measured: ours, and its peers by name."""


if __name__ == "__main__":
    main(run)
