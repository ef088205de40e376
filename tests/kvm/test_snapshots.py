"""What only KVM's snapshots can go wrong in: overlay files, chains, merges of stopped machines, a libvirtd
that dies."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.contract.conformance.effect import Ledger, RecordingEffect
from orchestrator.contract.conformance.rig import BLOCK, Oddity
from orchestrator.contract.conformance.support import effect, observe, refused
from orchestrator.contract.errors import ErrorKind
from orchestrator.contract.provider import Adapter, ObjectKind
from orchestrator.model.machine import Consistency, MachineRef, PowerState
from providers.kvm.overlays import overlay_path
from tests.rigs.kvm_rig import INACTIVE, KvmRig, run

pytestmark = pytest.mark.kvm
CRASH = Consistency.CRASH


def take(adapter: Adapter, ref: MachineRef, name: str, ledger: Ledger) -> RecordingEffect:
    hand = effect(name, ledger)
    adapter.snapshots.ensure_snapshot(ref, name, CRASH, hand)
    return hand


def overlay(adapter: Adapter, ref: MachineRef, token: str) -> Path:
    (disk,) = [d for d in observe(adapter, ref).disks if not d.cdrom]
    return Path(overlay_path(disk, token))


def make_overlay(path: Path, base: str) -> None:
    run("qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", str(path))


def definition(rig: KvmRig, ref: MachineRef) -> str:
    """The persistent definition. libvirt writes out an empty backing store, and keeps an empty metadata
    element."""
    text = rig.conn.lookupByUUIDString(ref.id).XMLDesc(INACTIVE)
    return re.sub(r"\s*(<metadata>\s*</metadata>|<metadata/>)", "", text)


@contextmanager
def held_for_writing(path: Path) -> Iterator[None]:
    """Hold an image as a QEMU does that writes it."""
    with subprocess.Popen(
        ["qemu-io", "-f", "qcow2", str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        holder.stdin.write("length\n")
        holder.stdin.flush()
        assert holder.stdout.readline()
        yield
        holder.stdin.close()


def test_overlay_that_a_crash_left_is_replaced(adapter: Adapter, rig: KvmRig, ledger: Ledger) -> None:
    ref, hand = rig.make_machine(rig.name("vm")), effect("snapshot", ledger)
    left = overlay(adapter, ref, hand.token)
    make_overlay(left, observe(adapter, ref).disks[-1].base)
    ledger.intended.add((ObjectKind.DISK, str(left)))
    adapter.snapshots.ensure_snapshot(ref, "s", CRASH, hand)
    assert observe(adapter, ref).disks[-1].source == str(left)
    adapter.snapshots.ensure_snapshot_removed(ref, hand.token, effect("undo", ledger))
    assert not left.exists()
    assert not ledger.left(ObjectKind.DISK)


def test_file_in_the_overlays_place_that_the_ledger_does_not_know_is_left_alone(
    adapter: Adapter, rig: KvmRig, ledger: Ledger
) -> None:
    ref, hand = rig.make_machine(rig.name("vm")), effect("snapshot", ledger)
    theirs = overlay(adapter, ref, hand.token)
    theirs.write_text("somebody's")
    with refused(ErrorKind.CONFLICT):
        adapter.snapshots.ensure_snapshot(ref, "s", CRASH, hand)
    assert theirs.read_text() == "somebody's"
    assert observe(adapter, ref).snapshots == ()


def test_overlay_that_a_qemu_writes_is_never_removed(adapter: Adapter, rig: KvmRig, ledger: Ledger) -> None:
    ref, hand = rig.make_machine(rig.name("vm")), effect("snapshot", ledger)
    left = overlay(adapter, ref, hand.token)
    make_overlay(left, observe(adapter, ref).disks[-1].base)
    ledger.intended.add((ObjectKind.DISK, str(left)))
    with held_for_writing(left), refused(ErrorKind.CONFLICT):
        adapter.snapshots.ensure_snapshot_removed(ref, hand.token, effect("undo", ledger))
    assert left.exists()
    adapter.snapshots.ensure_snapshot_removed(ref, hand.token, effect("undo", ledger))
    assert not left.exists()


def test_older_of_two_goes_while_the_machine_stays_off(adapter: Adapter, rig: KvmRig, ledger: Ledger) -> None:
    ref = rig.make_machine(rig.name("vm"))
    before = definition(rig, ref)
    older = take(adapter, ref, "older", ledger)
    rig.fill(ref, 0, 0, BLOCK, 0x11)
    newer = take(adapter, ref, "newer", ledger)
    rig.fill(ref, 0, BLOCK, BLOCK, 0x22)
    adapter.snapshots.ensure_snapshot_removed(ref, older.token, effect("undo", ledger))
    seen = observe(adapter, ref)
    assert seen.power is PowerState.OFF
    assert [s.token for s in seen.snapshots] == [newer.token]
    assert len(seen.disks[-1].chain) == 2
    adapter.snapshots.ensure_snapshot_removed(ref, newer.token, effect("undo", ledger))
    assert rig.read(ref, 0, 0, 2 * BLOCK) == b"\x11" * BLOCK + b"\x22" * BLOCK
    assert definition(rig, ref) == before
    assert not ledger.intended | ledger.present


@pytest.mark.parametrize("running", [True, False])
def test_definition_is_the_old_one_after_a_snapshot_came_and_went(
    adapter: Adapter, rig: KvmRig, ledger: Ledger, running: bool
) -> None:
    ref = rig.make_machine(rig.name("vm"), running=running)
    before = definition(rig, ref)
    hand = take(adapter, ref, "s", ledger)
    assert definition(rig, ref) != before
    adapter.snapshots.ensure_snapshot_removed(ref, hand.token, effect("undo", ledger))
    assert definition(rig, ref) == before
    assert observe(adapter, ref).power is (PowerState.ON if running else PowerState.OFF)


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize("older_first", [True, False])
def test_definition_is_the_old_one_after_two_snapshots_came_and_went(
    adapter: Adapter, rig: KvmRig, ledger: Ledger, running: bool, older_first: bool
) -> None:
    ref = rig.make_machine(rig.name("vm"), running=running)
    before = definition(rig, ref)
    hands = [take(adapter, ref, name, ledger) for name in ("older", "newer")]
    for hand in hands if older_first else reversed(hands):
        adapter.snapshots.ensure_snapshot_removed(ref, hand.token, effect("undo", ledger))
    assert definition(rig, ref) == before
    assert len(observe(adapter, ref).disks[-1].chain) == 1


def test_chain_is_told_of_running_and_stopped_machines_and_has_a_limit(
    adapter: Adapter, rig: KvmRig, ledger: Ledger
) -> None:
    ref = rig.make_machine(rig.name("vm"))
    base = observe(adapter, ref).disks[-1].base
    for number in range(8):
        take(adapter, ref, f"s{number}", ledger)
    stopped = observe(adapter, ref).disks[-1]
    rig.set_running(ref, True)
    assert observe(adapter, ref).disks[-1].chain == stopped.chain
    assert (len(stopped.chain), stopped.base) == (9, base)
    with refused(ErrorKind.UNSUPPORTED) as errors:
        take(adapter, ref, "too-many", ledger)
    assert "8 overlays" in str(errors[0])


def test_job_under_way_keeps_a_snapshot_from_being_removed(
    adapter: Adapter, rig: KvmRig, ledger: Ledger
) -> None:
    ref = rig.make_machine(rig.name("vm"), running=True)
    hand = take(adapter, ref, "s", ledger)
    rig.begin_job(ref)
    with refused(ErrorKind.CONFLICT) as errors:
        adapter.snapshots.ensure_snapshot_removed(ref, hand.token, effect("undo", ledger))
    assert "block job on hda" in str(errors[0])
    assert [s.token for s in observe(adapter, ref).snapshots] == [hand.token]


@pytest.mark.parametrize("running", [True, False])
def test_merge_that_libvirtd_died_in_is_finished_by_a_repeat(
    adapter: Adapter, rig: KvmRig, ledger: Ledger, running: bool
) -> None:
    ref = rig.make_machine(rig.name("vm"), running=running, disk_bytes=512 * 1024**2)
    hand = take(adapter, ref, "s", ledger)
    rig.fill(ref, 0, 0, 300 * 1024**2, 0x33)
    undo = effect("undo", ledger)
    remover = threading.Thread(target=_remove_until_cut_off, args=(adapter, ref, hand.token, undo))
    remover.start()
    rig.await_job(ref)
    rig.daemon.stop_daemon(kill=True)
    remover.join(30)
    rig.daemon.start()
    adapter.snapshots.ensure_snapshot_removed(ref, hand.token, effect("undo", ledger))
    seen = observe(adapter, ref)
    assert seen.power is (PowerState.ON if running else PowerState.OFF)
    assert seen.snapshots == ()
    assert not ledger.intended | ledger.present
    rig.set_running(ref, False)
    assert rig.read(ref, 0, 299 * 1024**2, BLOCK) == b"\x33" * BLOCK


def _remove_until_cut_off(adapter: Adapter, ref: MachineRef, token: str, undo: RecordingEffect) -> None:
    with refused(ErrorKind.UNCERTAIN):
        adapter.snapshots.ensure_snapshot_removed(ref, token, undo)


def test_passed_through_disk_is_refused_stopped_too(adapter: Adapter, rig: KvmRig) -> None:
    ref = rig.make_machine(rig.name("vm"), oddity=Oddity.PASSTHROUGH)
    assert observe(adapter, ref).disks[-1].raw_passthrough
    with refused(ErrorKind.UNSUPPORTED) as errors:
        adapter.snapshots.ensure_snapshot(ref, "s", CRASH, effect("snapshot"))
    assert "hda" in str(errors[0])
