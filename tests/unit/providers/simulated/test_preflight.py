"""Room is added up once for a whole fleet, and anew once the centre has changed."""

from __future__ import annotations

from pathlib import Path

from orchestrator.contract.provider import Adapter
from orchestrator.model.machine import Consistency, Machine
from providers.simulated.world import Centre
from tests.unit.providers.simulated import scene


def _space_is_left(adapter: Adapter, machine: Machine) -> bool:
    findings = adapter.preflight.snapshot(machine, Consistency.CRASH)
    return next(finding.ok for finding in findings if finding.check == "space")


def test_room_is_added_up_once_for_a_fleet(tmp_path: Path, monkeypatch) -> None:
    counted = []

    class Counting:
        def __get__(self, centre: Centre, _: type) -> int:
            counted.append(centre.id)
            return 1024**3

    world = scene.make(tmp_path)
    for name in ("web01", "web02", "web03"):
        world.add_machine(name)
    adapter = scene.connect(world)
    machines = adapter.inventory.machines()
    monkeypatch.setattr(Centre, "free_bytes", Counting())
    assert [_space_is_left(adapter, machine) for machine in machines] == [True] * 3
    assert len(counted) == 1


def test_room_that_has_gone_meanwhile_is_seen(tmp_path: Path) -> None:
    world = scene.make(tmp_path)
    world.add_machine("web01", disks=(1024**2,))
    adapter = scene.connect(world)
    (machine,) = adapter.inventory.machines()
    assert _space_is_left(adapter, machine)
    with world.edit() as centre:
        centre.capacity_bytes = 1024**2 + 4096
    assert not _space_is_left(adapter, machine)
