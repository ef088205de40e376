"""The centre's file between processes: nothing is lost, one of many wins, and a killed one leaves nothing
half done."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.contract.conformance.support import effect
from orchestrator.model.machine import Consistency
from tests.unit.providers.simulated import scene

ROOT = Path(__file__).parents[4]

ADD = """
import sys
from providers.simulated import World
for number in range(10):
    World(sys.argv[1]).add_network(f"{sys.argv[2]}-{number}")
"""

CLAIM = """
import sys
from orchestrator.contract.conformance.support import effect
from orchestrator.contract.errors import ProviderError
from orchestrator.model.machine import Claim
from providers.simulated import World
from tests.unit.providers.simulated import scene
world = World(sys.argv[1])
adapter = scene.connect(world)
(machine,) = adapter.inventory.machines(["a"])
sys.stdin.read()
try:
    claim = Claim(run=sys.argv[2], digest="d", state_id="s")
    adapter.claims.ensure_claim(machine.ref, claim, effect("claim"))
    print("won")
except ProviderError as error:
    print(error.kind)
"""

DIE_IN_A_MERGE = """
import os, signal, sys
from orchestrator.contract.conformance.effect import Ledger, RecordingEffect
from orchestrator.contract.provider import ObjectKind
from providers.simulated import World
from tests.unit.providers.simulated import scene

world = World(sys.argv[1])
finish = World._finish
def die(self, centre):
    if centre.pending:
        os.kill(os.getpid(), signal.SIGKILL)
World._finish = die
adapter = scene.connect(world)
(machine,) = adapter.inventory.machines(["a"])
token = machine.snapshots[0].token
class Owner(RecordingEffect):
    def owns(self, kind, object_id):
        return True
adapter.snapshots.ensure_snapshot_removed(machine.ref, token, Owner(token))
"""

DIE_IN_A_COPY = """
import os, signal, sys
from providers.simulated import snapshots
from orchestrator.contract.conformance.effect import RecordingEffect
from orchestrator.model.machine import Consistency
from providers.simulated import World
from tests.unit.providers.simulated import scene

world = World(sys.argv[1])
copy = snapshots.copy_sparse
def die(source, target):
    copy(source, target)
    target.rename(target.with_name(f".{target.name}.part"))
    os.kill(os.getpid(), signal.SIGKILL)
snapshots.copy_sparse = die
adapter = scene.connect(world)
(machine,) = adapter.inventory.machines(["a"])
adapter.snapshots.ensure_snapshot(machine.ref, "s", Consistency.CRASH, RecordingEffect(sys.argv[2]))
"""


def start(script: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def world(tmp_path):
    return scene.make(tmp_path)


def test_changes_of_several_processes_are_all_there(world):
    running = [start(ADD, str(world.path), f"p{number}") for number in range(3)]
    for process in running:
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert len(world.read().networks) == 31


def test_of_several_processes_exactly_one_claims(world):
    world.add_machine("a")
    running = [start(CLAIM, str(world.path), f"run-{number}") for number in range(3)]
    for process in running:
        process.stdin.close()  # all are ready or will be: from here on they race
        process.stdin = None
    outcomes = sorted(process.communicate(timeout=60)[0].strip() for process in running)
    assert outcomes == ["conflict", "conflict", "won"]


def test_merge_of_a_killed_process_is_finished_by_the_next_one(world):
    ref, adapter = world.add_machine("a"), scene.connect(world)
    adapter.snapshots.ensure_snapshot(ref, "s", Consistency.CRASH, effect("snapshot"))
    overlay, base = (Path(path) for path in world.read().machines[ref.id].disks[0].chain)
    overlay.write_bytes(b"written since".ljust(1024**2, b"\0"))
    process = start(DIE_IN_A_MERGE, str(world.path))
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert overlay.exists()
    assert adapter.inventory.machines(["a"])[0].snapshots == ()
    assert not overlay.exists()
    assert base.read_bytes().startswith(b"written since")
    assert world.read().pending == []


def test_half_copied_overlay_of_a_killed_process_is_redone_or_removed(world):
    ref, adapter, hand = world.add_machine("a"), scene.connect(world), effect("snapshot")
    images = set(world.images.iterdir())
    process = start(DIE_IN_A_COPY, str(world.path), hand.token)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert len(set(world.images.iterdir()) - images) == 1
    assert adapter.inventory.machines(["a"])[0].snapshots == ()
    adapter.snapshots.ensure_snapshot(ref, "s", Consistency.CRASH, hand)
    assert len(set(world.images.iterdir()) - images) == 1
    adapter.snapshots.ensure_snapshot_removed(ref, hand.token, hand)
    assert set(world.images.iterdir()) == images
