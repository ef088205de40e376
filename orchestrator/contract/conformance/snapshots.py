"""Snapshots:

one for each token, nothing that the guest wrote is ever lost by removing one, and nobody else's is touched.
"""

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


def _stopped_read(rig: Rig, ref: MachineRef, disk: int = 0, offset: int = 0) -> bytes:
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
            assert _stopped_read(rig, case.ref) == bytes([AFTER]) * BLOCK

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


class TestSnapshotRemoval:
    """ensure_snapshot_removed and ensure_reverted."""

    @needs(Capability.SNAPSHOT_CRASH, Capability.SNAPSHOT_REMOVE)
    def test_writes_made_since_the_snapshot_are_kept(
        self, adapter: Adapter, rig: Rig, ledger: Ledger
    ) -> None:
        for running in (True, False):
            case, hand = snapshot_case(rig, running=running, disks=2), effect("snapshot", ledger)
            rig.fill(case.ref, 1, 0, BLOCK, BEFORE)
            adapter.snapshots.ensure_snapshot(case.ref, case.name, Consistency.CRASH, hand)
            rig.fill(case.ref, 1, BLOCK, BLOCK, AFTER)
            for _ in range(2):
                adapter.snapshots.ensure_snapshot_removed(case.ref, hand.token, effect("undo", ledger))
            assert observe(adapter, case.ref).snapshots == ()
            assert rig.objects(ObjectKind.SNAPSHOT) == case.snapshots
            assert rig.objects(ObjectKind.DISK) == case.disks
            assert _stopped_read(rig, case.ref, 1) == bytes([BEFORE]) * BLOCK
            assert _stopped_read(rig, case.ref, 1, BLOCK) == bytes([AFTER]) * BLOCK
            assert ledger.left(ObjectKind.SNAPSHOT) == ledger.left(ObjectKind.DISK) == frozenset()

    @needs(Capability.SNAPSHOT_CRASH, Capability.SNAPSHOT_REMOVE)
    def test_older_of_two_is_removed_and_the_newer_stays(
        self, adapter: Adapter, rig: Rig, ledger: Ledger
    ) -> None:
        case = snapshot_case(rig)
        older, newer = effect("older", ledger), effect("newer", ledger)
        adapter.snapshots.ensure_snapshot(case.ref, case.name, Consistency.CRASH, older)
        rig.fill(case.ref, 0, 0, BLOCK, BEFORE)
        adapter.snapshots.ensure_snapshot(case.ref, rig.name("newer"), Consistency.CRASH, newer)
        rig.fill(case.ref, 0, BLOCK, BLOCK, AFTER)
        adapter.snapshots.ensure_snapshot_removed(case.ref, older.token, effect("undo", ledger))
        assert [s.token for s in observe(adapter, case.ref).snapshots] == [newer.token]
        adapter.snapshots.ensure_snapshot_removed(case.ref, newer.token, effect("undo", ledger))
        assert rig.objects(ObjectKind.SNAPSHOT) == case.snapshots
        assert rig.objects(ObjectKind.DISK) == case.disks
        assert _stopped_read(rig, case.ref) == bytes([BEFORE]) * BLOCK
        assert _stopped_read(rig, case.ref, 0, BLOCK) == bytes([AFTER]) * BLOCK

    @needs(Capability.SNAPSHOT_CRASH, Capability.SNAPSHOT_REMOVE)
    def test_foreign_snapshot_stays(self, adapter: Adapter, rig: Rig, ledger: Ledger) -> None:
        case, hand = snapshot_case(rig), effect("snapshot", ledger)
        foreign = rig.foreign_snapshot(case.ref, rig.name("foreign"))
        adapter.snapshots.ensure_snapshot(case.ref, case.name, Consistency.CRASH, hand)
        adapter.snapshots.ensure_snapshot_removed(case.ref, hand.token, effect("undo", ledger))
        assert rig.objects(ObjectKind.SNAPSHOT) == case.snapshots | {foreign}

    @needs(Capability.SNAPSHOT_CRASH, Capability.SNAPSHOT_REMOVE)
    def test_snapshot_that_the_ledger_does_not_know_stays(self, adapter: Adapter, rig: Rig) -> None:
        case, hand = snapshot_case(rig), effect("snapshot")
        adapter.snapshots.ensure_snapshot(case.ref, case.name, Consistency.CRASH, hand)
        before = picture(rig, case.ref)
        with refused(ErrorKind.CONFLICT, ErrorKind.DENIED):
            adapter.snapshots.ensure_snapshot_removed(case.ref, hand.token, effect("undo"))
        assert picture(rig, case.ref) == before

    @needs(Capability.SNAPSHOT_REMOVE)
    def test_snapshot_that_is_not_there_is_fine(self, adapter: Adapter, rig: Rig) -> None:
        case, hand = snapshot_case(rig), effect("undo")
        before = picture(rig, case.ref)
        adapter.snapshots.ensure_snapshot_removed(case.ref, "ferry.never.host.snapshot", hand)
        assert picture(rig, case.ref) == before
        assert hand.mutations == 0

    @needs(Capability.SNAPSHOT_CRASH, Capability.SNAPSHOT_REMOVE)
    def test_ends_the_same_after_a_crash_or_a_lost_lease(self, adapter: Adapter, rig: Rig) -> None:
        tokens: dict[str, str] = {}

        def act(case: Case, hand: RecordingEffect) -> None:
            if case.name not in tokens:
                taken = effect("snapshot", hand.ledger)
                adapter.snapshots.ensure_snapshot(case.ref, case.name, Consistency.CRASH, taken)
                tokens[case.name] = taken.token
                rig.fill(case.ref, 0, 0, BLOCK, LATEST)
            adapter.snapshots.ensure_snapshot_removed(case.ref, tokens[case.name], hand)

        def check(case: Case, result: None, ledger: Ledger) -> None:
            assert rig.objects(ObjectKind.SNAPSHOT) == case.snapshots
            assert rig.objects(ObjectKind.DISK) == case.disks
            assert ledger.left(ObjectKind.SNAPSHOT) == frozenset()
            assert _stopped_read(rig, case.ref) == bytes([LATEST]) * BLOCK

        at_every_crash(lambda: snapshot_case(rig), act, check)
        at_every_lost_lease(rig, lambda: snapshot_case(rig), act, check)

    @needs(Capability.SNAPSHOT_CRASH, Capability.SNAPSHOT_REMOVE)
    def test_what_a_crash_left_of_a_snapshot_is_removed_by_its_token(
        self, adapter: Adapter, rig: Rig
    ) -> None:
        def act(case: Case, hand: RecordingEffect) -> str:
            adapter.snapshots.ensure_snapshot(case.ref, case.name, Consistency.CRASH, hand)
            return hand.token

        def remove_instead(case: Case, hand: RecordingEffect) -> str:
            if hand.crash_at is not None:
                return act(case, hand)
            adapter.snapshots.ensure_snapshot_removed(case.ref, hand.token, effect("undo", hand.ledger))
            return ""

        def check(case: Case, made: str, ledger: Ledger) -> None:
            if made:
                return
            assert rig.objects(ObjectKind.SNAPSHOT) == case.snapshots
            assert rig.objects(ObjectKind.DISK) == case.disks
            assert ledger.left(ObjectKind.DISK) == ledger.left(ObjectKind.SNAPSHOT) == frozenset()

        at_every_crash(lambda: snapshot_case(rig), remove_instead, check)

    @needs(Capability.SNAPSHOT_CRASH, Capability.SNAPSHOT_REVERT)
    def test_revert_loses_later_writes_and_no_card_comes_back(
        self, adapter: Adapter, rig: Rig, ledger: Ledger
    ) -> None:
        case, hand = snapshot_case(rig), effect("snapshot", ledger)
        rig.fill(case.ref, 0, 0, BLOCK, BEFORE)
        adapter.snapshots.ensure_snapshot(case.ref, case.name, Consistency.CRASH, hand)
        rig.fill(case.ref, 0, 0, 2 * BLOCK, AFTER)
        networks = [nic.network for nic in rig.nics(case.ref)]
        machine = adapter.snapshots.ensure_reverted(case.ref, hand.token, effect("revert", ledger))
        assert [snapshot.token for snapshot in machine.snapshots] == [hand.token]
        assert [nic.network for nic in rig.nics(case.ref)] == networks
        assert _stopped_read(rig, case.ref) == bytes([BEFORE]) * BLOCK
        assert _stopped_read(rig, case.ref, 0, BLOCK) == bytes(BLOCK)

    @needs(Capability.SNAPSHOT_REVERT)
    def test_revert_to_no_snapshot_is_not_found(self, adapter: Adapter, rig: Rig) -> None:
        case = snapshot_case(rig)
        with refused(ErrorKind.NOT_FOUND):
            adapter.snapshots.ensure_reverted(case.ref, "ferry.never.host.snapshot", effect("revert"))
