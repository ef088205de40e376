"""Removing and reverting: what the guest wrote is kept, or lost on purpose, and nobody else's snapshot is
touched."""

from orchestrator.contract.conformance.effect import Ledger, RecordingEffect
from orchestrator.contract.conformance.rig import BLOCK, Rig
from orchestrator.contract.conformance.snapshots import (
    AFTER,
    BEFORE,
    LATEST,
    Case,
    snapshot_case,
    stopped_read,
)
from orchestrator.contract.conformance.support import (
    at_every_crash,
    at_every_lost_lease,
    effect,
    needs,
    observe,
    picture,
    refused,
    same,
)
from orchestrator.contract.errors import ErrorKind
from orchestrator.contract.provider import Adapter, Capability, ObjectKind
from orchestrator.model.machine import Consistency


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
            assert same(stopped_read(rig, case.ref, 1), bytes([BEFORE]) * BLOCK)
            assert same(stopped_read(rig, case.ref, 1, BLOCK), bytes([AFTER]) * BLOCK)
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
        assert same(stopped_read(rig, case.ref), bytes([BEFORE]) * BLOCK)
        assert same(stopped_read(rig, case.ref, 0, BLOCK), bytes([AFTER]) * BLOCK)

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
            assert same(stopped_read(rig, case.ref), bytes([LATEST]) * BLOCK)

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
        assert same(stopped_read(rig, case.ref), bytes([BEFORE]) * BLOCK)
        assert same(stopped_read(rig, case.ref, 0, BLOCK), bytes(BLOCK))

    @needs(Capability.SNAPSHOT_REVERT)
    def test_revert_to_no_snapshot_is_not_found(self, adapter: Adapter, rig: Rig) -> None:
        case = snapshot_case(rig)
        with refused(ErrorKind.NOT_FOUND):
            adapter.snapshots.ensure_reverted(case.ref, "ferry.never.host.snapshot", effect("revert"))
