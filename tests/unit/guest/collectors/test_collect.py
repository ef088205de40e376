"""The collector goes into a guest, runs, and is gone again, whatever happens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.contract.conformance.effect import Crash, RecordingEffect
from orchestrator.contract.errors import ErrorKind, LeaseLost, ProviderError
from orchestrator.contract.provider import Adapter, ObjectKind
from orchestrator.diagnostics import FerryError
from orchestrator.guest.collectors import Collector, collect_in_guest
from orchestrator.model.facts import Origin
from orchestrator.model.machine import GuestOs, MachineRef
from providers.simulated.world import SimProgram
from tests.rigs.simulated_rig import SimulatedRig
from tests.unit.guest.collectors.shapes import CSCRIPT_EXE, PROGRAMS


class Scene:
    """A simulated guest whose programs can be changed."""

    def __init__(self, folder: Path) -> None:
        self.rig = SimulatedRig(folder)
        self.ref = self.rig.make_guest("vm")
        self.adapter: Adapter = self.rig.provider.open(self.rig.endpoint, self.rig.secrets)
        self.programs(PROGRAMS)

    def programs(self, programs: dict[str, SimProgram]) -> None:
        with self.rig.world.edit() as centre:
            machine = centre.machines[self.ref.id]
            machine.guest = GuestOs(product="Windows Server 2008")
            machine.programs = PROGRAMS | programs

    def collect(self, hand: RecordingEffect, collector: Collector = Collector.CSCRIPT):
        return collect_in_guest(self.adapter.guests, self.ref, collector, hand)

    def left(self) -> frozenset[str]:
        return self.rig.objects(ObjectKind.GUEST_FILE)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def hand(**disturbed: int) -> RecordingEffect:
    return RecordingEffect("ferry.r1.FILE01.collect", **disturbed)


@pytest.mark.parametrize("which", list(Collector))
def test_facts_come_out_and_nothing_stays(scene: Scene, which: Collector) -> None:
    effect = hand()
    found = scene.collect(effect, which)
    assert found.origin is Origin.IN_GUEST
    assert found.identity.build == {Collector.CSCRIPT: 6003, Collector.POWERSHELL: 26100}[which]
    assert scene.left() == frozenset()
    assert not effect.ledger.left(ObjectKind.GUEST_FILE)


def _failing() -> dict[str, dict[str, SimProgram]]:
    return {
        "exit code": {CSCRIPT_EXE: SimProgram(exit_code=1, output="no \u001b[31mright")},
        "no output": {CSCRIPT_EXE: SimProgram()},
        "hangs": {CSCRIPT_EXE: SimProgram(seconds=1e6)},
        "rubbish": {CSCRIPT_EXE: SimProgram(writes='{"ferry-collect": 1')},
    }


@pytest.mark.parametrize("how", sorted(_failing()))
def test_failing_collector_is_told_and_deleted(scene: Scene, how: str) -> None:
    scene.programs(_failing()[how])
    effect = hand()
    with pytest.raises(FerryError) as failure:
        scene.collect(effect)
    assert "\u001b" not in str(failure.value)
    assert scene.left() == frozenset()
    assert not effect.ledger.left(ObjectKind.GUEST_FILE)


def test_guest_that_is_no_windows_is_refused_before_anything_is_put_there(scene: Scene) -> None:
    scene.programs({"cmd.exe": SimProgram(output="/usr; rm -rf /")})
    with pytest.raises(FerryError, match="does not say where its Windows is"):
        scene.collect(hand())
    assert scene.left() == frozenset()


def test_machine_without_an_agent_is_unsupported_with_the_other_way(scene: Scene) -> None:
    ref: MachineRef = scene.rig.make_machine("silent", running=True)
    with pytest.raises(ProviderError) as failure:
        collect_in_guest(scene.adapter.guests, ref, Collector.CSCRIPT, hand())
    assert failure.value.kind is ErrorKind.UNSUPPORTED
    assert "ferry collector show" in failure.value.hint


@pytest.mark.parametrize("disturb", [lambda n: hand(crash_at=n), lambda n: hand(lose_lease_at=n)])
def test_repeat_after_a_crash_or_a_lost_lease_leaves_nothing(
    scene: Scene, disturb: Callable[[int], RecordingEffect]
) -> None:
    for point in range(1, 100):
        first = disturb(point)
        try:
            scene.collect(first)
        except (Crash, LeaseLost):
            scene.collect(RecordingEffect(first.token, first.ledger))
            assert scene.left() == frozenset()
            assert not first.ledger.left(ObjectKind.GUEST_FILE)
        else:
            assert point > 5
            return
    raise AssertionError("it never came to an end")
