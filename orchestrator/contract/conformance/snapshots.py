"""Snapshots: one for each token, nothing that the guest wrote is ever lost by removing one, and nobody
else's is touched."""

from dataclasses import dataclass

from orchestrator.contract.conformance.effect import Ledger, RecordingEffect
from orchestrator.contract.conformance.rig import BLOCK, Oddity, Rig
from orchestrator.contract.conformance.support import (
    again,
    at_every_crash,
    at_every_lost_lease,
    effect,
    needs,
    observe,
    picture,
    refused,
    same,
)
from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.provider import Adapter, Capability, ObjectKind
from orchestrator.model.machine import Consistency, MachineRef, Snapshot

BEFORE, AFTER, LATEST = 0x5A, 0xA5, 0x3C

STRENGTH = {
    Consistency.CRASH: 0,
    Consistency.FILESYSTEM: 1,
    Consistency.APPLICATION: 2,
    Consistency.MEMORY: 3,
    Consistency.OFFLINE: 3,
}
"""At least as good as asked: a snapshot of a stopped machine has lost nothing."""

CAPABILITIES = {
    Consistency.CRASH: Capability.SNAPSHOT_CRASH,
    Consistency.OFFLINE: Capability.SNAPSHOT_OFFLINE,
    Consistency.FILESYSTEM: Capability.SNAPSHOT_FILESYSTEM,
    Consistency.APPLICATION: Capability.SNAPSHOT_APPLICATION,
    Consistency.MEMORY: Capability.SNAPSHOT_MEMORY,
}


@dataclass(frozen=True, slots=True)
class Case:
    """A machine, the name for its snapshot, and what the hypervisor listed before."""

    ref: MachineRef
    name: str
    snapshots: frozenset[str]
    disks: frozenset[str]


def snapshot_case(rig: Rig, *, running: bool = True, disks: int = 1) -> Case:
    """Make a machine to be snapshotted."""
    ref = rig.make_machine(rig.name("vm"), running=running, disks=disks)
    return Case(ref, rig.name("snap"), rig.objects(ObjectKind.SNAPSHOT), rig.objects(ObjectKind.DISK))


def stopped_read(rig: Rig, ref: MachineRef, disk: int = 0, offset: int = 0) -> bytes:
    """Stop the machine and return a block as its guest would read it."""
    rig.set_running(ref, False)
    return rig.read(ref, disk, offset, BLOCK)


class TestSnapshots:
    """ensure_snapshot."""

    @needs(Capability.SNAPSHOT_CRASH)
    def test_snapshot_of_a_running_machine_is_seen_by_all(self, adapter: Adapter, rig: Rig) -> None:
        case, hand = snapshot_case(rig, disks=2), effect("snapshot")
        snapshot = adapter.snapshots.ensure_snapshot(case.ref, case.name, Consistency.CRASH, hand)
        assert (snapshot.name, snapshot.token) == (case.name, hand.token)
        assert snapshot.consistency is Consistency.CRASH
        assert len(rig.objects(ObjectKind.SNAPSHOT) - case.snapshots) == 1
        assert observe(adapter, case.ref).snapshots == (snapshot,)
        assert hand.ledger.left(ObjectKind.SNAPSHOT)
        assert not hand.ledger.intended
        assert rig.is_running(case.ref)

    @needs(Capability.SNAPSHOT_CRASH)
    def test_base_and_size_of_the_disks_stay(self, adapter: Adapter, rig: Rig) -> None:
        case = snapshot_case(rig, disks=2)
        before = [(d.key, d.base, d.size_bytes) for d in observe(adapter, case.ref).disks]
        adapter.snapshots.ensure_snapshot(case.ref, case.name, Consistency.CRASH, effect("snapshot"))
        assert [(d.key, d.base, d.size_bytes) for d in observe(adapter, case.ref).disks] == before

    @needs(Capability.SNAPSHOT_OFFLINE)
    def test_offline_snapshot_of_a_stopped_machine(self, adapter: Adapter, rig: Rig) -> None:
        case = snapshot_case(rig, running=False)
        got = adapter.snapshots.ensure_snapshot(case.ref, case.name, Consistency.OFFLINE, effect("snapshot"))
        assert got.consistency is Consistency.OFFLINE

    def test_less_than_asked_is_an_error_that_leaves_nothing(self, adapter: Adapter, rig: Rig) -> None:
        for consistency, capability in CAPABILITIES.items():
            if capability not in adapter.capabilities:
                continue
            for running in (True, False):
                case, hand = snapshot_case(rig, running=running), effect("snapshot")
                try:
                    got = adapter.snapshots.ensure_snapshot(case.ref, case.name, consistency, hand)
                except ProviderError:
                    assert rig.objects(ObjectKind.SNAPSHOT) == case.snapshots
                    assert rig.objects(ObjectKind.DISK) == case.disks
                    assert consistency is not Consistency.CRASH
                else:
                    assert got.consistency is not None
                    assert STRENGTH[got.consistency] >= STRENGTH[consistency]
                    assert running is not (got.consistency is Consistency.OFFLINE)

    @needs(Capability.SNAPSHOT_CRASH)
    def test_repeat_finds_its_own_and_changes_nothing(self, adapter: Adapter, rig: Rig) -> None:
        case, first = snapshot_case(rig), effect("snapshot")
        made = adapter.snapshots.ensure_snapshot(case.ref, case.name, Consistency.CRASH, first)
        before, repeat = picture(rig, case.ref), again(first)
        assert adapter.snapshots.ensure_snapshot(case.ref, case.name, Consistency.CRASH, repeat) == made
        assert picture(rig, case.ref) == before
        assert repeat.mutations == 0

    @needs(Capability.SNAPSHOT_CRASH)
    def test_name_of_a_foreign_snapshot_is_not_taken_over(self, adapter: Adapter, rig: Rig) -> None:
        case = snapshot_case(rig, running=False)
        rig.foreign_snapshot(case.ref, case.name)
        before = picture(rig, case.ref)
        with refused(ErrorKind.CONFLICT):
            adapter.snapshots.ensure_snapshot(case.ref, case.name, Consistency.CRASH, effect("snapshot"))
        assert picture(rig, case.ref) == before

    @needs(Capability.SNAPSHOT_CRASH)
    def test_ends_the_same_after_a_crash_or_a_lost_lease(self, adapter: Adapter, rig: Rig) -> None:
        def act(case: Case, hand: RecordingEffect) -> Snapshot:
            return adapter.snapshots.ensure_snapshot(case.ref, case.name, Consistency.CRASH, hand)

        def check(case: Case, snapshot: Snapshot, ledger: Ledger) -> None:
            assert observe(adapter, case.ref).snapshots == (snapshot,)
            assert len(rig.objects(ObjectKind.SNAPSHOT) - case.snapshots) == 1
            assert len(rig.objects(ObjectKind.DISK) - case.disks) <= 1
            assert not ledger.intended
            rig.fill(case.ref, 0, 0, BLOCK, AFTER)
            assert same(stopped_read(rig, case.ref), bytes([AFTER]) * BLOCK)

        at_every_crash(lambda: snapshot_case(rig), act, check)
        at_every_lost_lease(rig, lambda: snapshot_case(rig), act, check)

    @needs(Capability.SNAPSHOT_CRASH)
    def test_odd_machines_are_hindered_before_and_refused(self, adapter: Adapter, rig: Rig) -> None:
        for oddity in sorted(rig.oddities):
            ref = rig.make_machine(rig.name("odd"), running=True, oddity=oddity)
            found = adapter.preflight.snapshot(observe(adapter, ref), Consistency.CRASH)
            assert any(not finding.ok and finding.detail for finding in found), oddity
            before = picture(rig, ref)
            if oddity is not Oddity.BUSY:  # a job may end between two looks
                with refused(*(set(ErrorKind) - {ErrorKind.UNCERTAIN, ErrorKind.NOT_FOUND})):
                    adapter.snapshots.ensure_snapshot(
                        ref, rig.name("snap"), Consistency.CRASH, effect("snapshot")
                    )
                assert picture(rig, ref) == before

    @needs(Capability.SNAPSHOT_CRASH)
    def test_ordinary_machine_has_no_hindrance(self, adapter: Adapter, rig: Rig) -> None:
        case = snapshot_case(rig)
        found = adapter.preflight.snapshot(observe(adapter, case.ref), Consistency.CRASH)
        assert found
        assert [finding for finding in found if not finding.ok] == []
