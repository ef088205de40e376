"""DiskSource: the bytes of a snapshot, whole, in order, as they were, and read without leaving a trace."""

from orchestrator.contract.conformance.rig import BLOCK, DISK_BYTES, Rig
from orchestrator.contract.conformance.snapshots import AFTER, BEFORE, snapshot_case
from orchestrator.contract.conformance.support import effect, needs, observe, picture, refused, same
from orchestrator.contract.errors import ErrorKind
from orchestrator.contract.provider import Adapter, Capability
from orchestrator.model.machine import Consistency


class TestDiskSource:
    """open_frozen."""

    @needs(Capability.SNAPSHOT_CRASH, Capability.DISK_SOURCE)
    def test_frozen_disks_show_what_was_before_the_snapshot(self, adapter: Adapter, rig: Rig) -> None:
        case, hand = snapshot_case(rig, disks=2), effect("snapshot")
        rig.fill(case.ref, 1, BLOCK, BLOCK, BEFORE)
        adapter.snapshots.ensure_snapshot(case.ref, case.name, Consistency.CRASH, hand)
        rig.fill(case.ref, 1, 0, 2 * BLOCK, AFTER)
        with adapter.disks.open_frozen(case.ref, hand.token) as disks:
            assert [disk.key for disk in disks] == [
                d.key for d in observe(adapter, case.ref).disks if not d.cdrom
            ]
            assert [disk.size for disk in disks] == [DISK_BYTES, DISK_BYTES]
            wanted = bytes(BLOCK) + bytes([BEFORE]) * BLOCK + bytes(BLOCK)
            assert same(disks[1].read(0, 3 * BLOCK), wanted)
            assert same(disks[0].read(DISK_BYTES - BLOCK, BLOCK), bytes(BLOCK))

    @needs(Capability.SNAPSHOT_CRASH, Capability.DISK_SOURCE)
    def test_extents_cover_the_disk_and_zero_ones_read_zero(self, adapter: Adapter, rig: Rig) -> None:
        case, hand = snapshot_case(rig), effect("snapshot")
        for block in (3, 4, 20):
            rig.fill(case.ref, 0, block * BLOCK, BLOCK, BEFORE)
        adapter.snapshots.ensure_snapshot(case.ref, case.name, Consistency.CRASH, hand)
        with adapter.disks.open_frozen(case.ref, hand.token) as (disk,):
            position, content = 0, b""
            for extent in disk.extents():
                assert extent.offset == position
                assert extent.length > 0
                part = disk.read(extent.offset, extent.length)
                assert not extent.zero or part == bytes(extent.length)
                position, content = position + extent.length, content + part
            assert position == disk.size
            assert content == disk.read(0, disk.size)
            assert content.count(BEFORE) == 3 * BLOCK

    @needs(Capability.SNAPSHOT_CRASH, Capability.DISK_SOURCE)
    def test_reading_past_the_end_is_refused(self, adapter: Adapter, rig: Rig) -> None:
        case, hand = snapshot_case(rig), effect("snapshot")
        adapter.snapshots.ensure_snapshot(case.ref, case.name, Consistency.CRASH, hand)
        with adapter.disks.open_frozen(case.ref, hand.token) as (disk,), refused(ErrorKind.PERMANENT):
            disk.read(disk.size - 1, 2)

    @needs(Capability.DISK_SOURCE)
    def test_without_the_snapshot_there_is_nothing_to_open(self, adapter: Adapter, rig: Rig) -> None:
        case = snapshot_case(rig)
        with refused(ErrorKind.NOT_FOUND), adapter.disks.open_frozen(case.ref, "ferry.never.host.snapshot"):
            pass

    @needs(Capability.SNAPSHOT_CRASH, Capability.DISK_SOURCE)
    def test_reading_changes_nothing(self, adapter: Adapter, rig: Rig) -> None:
        case, hand = snapshot_case(rig), effect("snapshot")
        adapter.snapshots.ensure_snapshot(case.ref, case.name, Consistency.CRASH, hand)
        before = picture(rig, case.ref)
        with adapter.disks.open_frozen(case.ref, hand.token) as (disk,):
            disk.read(0, BLOCK)
        assert picture(rig, case.ref) == before
