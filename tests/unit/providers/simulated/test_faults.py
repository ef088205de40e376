"""Injected faults hit the call they name, as often as they say, and leave what they promise."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from orchestrator.contract.conformance.support import effect, refused
from orchestrator.contract.errors import ErrorKind
from orchestrator.model.machine import Consistency, PowerState
from orchestrator.model.network import NetworkSpec
from orchestrator.model.secret import SecretRef
from orchestrator.model.target import TargetSpec
from providers.simulated import FaultKind, FaultRule
from tests.unit.providers.simulated import scene


@pytest.fixture
def world(tmp_path):
    return scene.make(tmp_path)


def power(world, ref):
    return world.read().machines[ref.id].power


def test_before_fails_without_effect_once(world):
    ref, adapter = world.add_machine("a"), scene.connect(world)
    world.add_fault(
        FaultRule(operation="ensure_power", kind=FaultKind.BEFORE, error=ErrorKind.TIMEOUT, machine="a")
    )
    with refused(ErrorKind.TIMEOUT):
        adapter.power.ensure_power(ref, PowerState.ON, effect("on"))
    assert power(world, ref) is PowerState.OFF
    assert world.log() == ()
    adapter.power.ensure_power(ref, PowerState.ON, effect("on"))
    assert power(world, ref) is PowerState.ON
    assert world.read().faults == []


def test_after_takes_effect_and_is_uncertain(world):
    ref, adapter = world.add_machine("a"), scene.connect(world)
    world.add_fault(FaultRule(operation="power.ensure_power", kind=FaultKind.AFTER))
    with refused(ErrorKind.UNCERTAIN):
        adapter.power.ensure_power(ref, PowerState.ON, effect("on"))
    assert power(world, ref) is PowerState.ON


def test_fault_of_another_machine_or_operation_does_not_hit(world):
    ref, other, adapter = world.add_machine("a"), world.add_machine("b"), scene.connect(world)
    world.add_fault(FaultRule(operation="ensure_power", kind=FaultKind.DENIED, machine="b"))
    world.add_fault(FaultRule(operation="ensure_claim", kind=FaultKind.DENIED))
    adapter.power.ensure_power(ref, PowerState.ON, effect("on"))
    with refused(ErrorKind.DENIED):
        adapter.power.ensure_power(other, PowerState.ON, effect("on"))


def test_skip_lets_so_many_calls_go_well_and_times_so_many_fail(world):
    ref, adapter = world.add_machine("a"), scene.connect(world)
    world.add_fault(FaultRule(operation="ensure_power", kind=FaultKind.DENIED, skip=1, times=2))
    adapter.power.ensure_power(ref, PowerState.ON, effect("on"))
    for _ in range(2):
        with refused(ErrorKind.DENIED):
            adapter.power.ensure_power(ref, PowerState.OFF, effect("off"))
    adapter.power.ensure_power(ref, PowerState.OFF, effect("off"))


def test_down_is_transient_for_reads_and_uncertain_for_changes(world):
    ref, adapter = world.add_machine("a"), scene.connect(world)
    world.add_fault(FaultRule(operation="inventory.machines", kind=FaultKind.DOWN, times=None))
    world.add_fault(FaultRule(operation="ensure_power", kind=FaultKind.DOWN, times=None))
    for _ in range(2):
        with refused(ErrorKind.TRANSIENT):
            adapter.inventory.machines()
        with refused(ErrorKind.UNCERTAIN):
            adapter.power.ensure_power(ref, PowerState.ON, effect("on"))
    assert power(world, ref) is PowerState.OFF


def test_slow_call_waits_for_its_file_and_checks_the_lease_only_then(world, tmp_path):
    ref, adapter, hand = world.add_machine("a"), scene.connect(world), effect("on")
    world.add_fault(
        FaultRule(operation="ensure_power", kind=FaultKind.SLOW, until=str(tmp_path / "go")),
    )
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(adapter.power.ensure_power, ref, PowerState.ON, hand)
        while world.read().faults:  # the call has met its fault
            assert not call.done()
        assert hand.calls == []
        assert power(world, ref) is PowerState.OFF
        (tmp_path / "go").touch()
        assert call.result(timeout=20).power is PowerState.ON


def test_slow_call_to_one_machine_does_not_hold_up_the_other(world, tmp_path):
    slow, quick, adapter = world.add_machine("a"), world.add_machine("b"), scene.connect(world)
    world.add_fault(
        FaultRule(operation="ensure_power", kind=FaultKind.SLOW, machine="a", until=str(tmp_path / "go"))
    )
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(adapter.power.ensure_power, slow, PowerState.ON, effect("on"))
        adapter.power.ensure_power(quick, PowerState.ON, effect("on"))
        assert power(world, quick) is PowerState.ON
        assert power(world, slow) is PowerState.OFF
        (tmp_path / "go").touch()
        call.result(timeout=20)


def test_lost_reply_in_the_middle_of_staging_is_finished_by_the_token(world, tmp_path):
    golden = tmp_path / "golden.raw"
    golden.write_bytes(b"g" * 4096)
    world.add_image("golden", golden)
    adapter, hand = scene.connect(world), effect("stage")
    spec = TargetSpec(
        endpoint="sim",
        release=2025,
        image="golden",
        vm="new",
        network=NetworkSpec(name="prod"),
        computer_name="NEW",
        admin_password=SecretRef(env="X"),
    )
    for operation in ("copy_disk", "make_medium", "ensure_target"):
        world.add_fault(FaultRule(operation=f"staging.{operation}", kind=FaultKind.AFTER))
        with refused(ErrorKind.UNCERTAIN):
            adapter.staging.ensure_target(spec, hand)
    staged = adapter.staging.ensure_target(spec, hand)
    assert [m.ref.id for m in adapter.inventory.machines()] == [staged.id]
    assert [path.name for path in world.images.iterdir()] == [staged.disks[0].rpartition("/")[2]]


def test_lost_reply_of_a_merge_keeps_what_was_written(world):
    ref, adapter, hand = world.add_machine("a"), scene.connect(world), effect("snapshot")
    adapter.snapshots.ensure_snapshot(ref, "s", Consistency.CRASH, hand)
    source = adapter.inventory.machines(["a"])[0].disks[0].source
    with Path(source).open("r+b") as overlay:
        overlay.write(b"written since")
    world.add_fault(FaultRule(operation="ensure_snapshot_removed", kind=FaultKind.AFTER))
    with refused(ErrorKind.UNCERTAIN):
        adapter.snapshots.ensure_snapshot_removed(ref, hand.token, hand)
    adapter.snapshots.ensure_snapshot_removed(ref, hand.token, hand)
    (disk,) = adapter.inventory.machines(["a"])[0].disks
    assert disk.source == disk.base
    assert Path(disk.base).read_bytes().startswith(b"written since")
