"""Snapshots, power and reverts against the rig's vCenter, with all that can go wrong there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from orchestrator.contract.conformance.effect import Crash, Ledger, Moment, RecordingEffect
from orchestrator.contract.conformance.support import again
from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.provider import ObjectKind
from orchestrator.model.machine import Consistency, PowerState
from tests.rigs.vcsim import vcsim
from tests.rigs.vsphere_hands import NETWORK, QUARANTINE, Hands, Made, effect

CREATE = "CreateSnapshotEx_Task"


@pytest.fixture(scope="module")
def module_hands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hands]:
    with vcsim(tmp_path_factory.mktemp("vcenter")) as sim:
        hands = Hands(sim)
        yield hands
        hands.close()


@pytest.fixture
def hands(module_hands: Hands) -> Iterator[Hands]:
    yield module_hands
    module_hands.sim.control("faults/clear")
    for method in ("CreateSnapshotEx", "RemoveSnapshot", "RevertToSnapshot"):
        module_hands.sim.control("task_delay", method=method, ms=0)


def snap(
    hands: Hands, made: Made, hand: RecordingEffect, consistency: Consistency = Consistency.CRASH
) -> Any:
    return hands.snapshots.ensure_snapshot(made.ref, f"before-{made.ref.name}", consistency, hand)


def fails(hands: Hands, method: str, fault: str) -> None:
    detail = {"task": {"type": "Task", "value": "task-1"}} if fault == "TaskInProgress" else {}
    hands.sim.control(
        "fault", method=method, kind="task-fault", fault=fault, message="no", times=1, detail=detail
    )


class Killed(RecordingEffect):
    """The controller dies as soon as a task's id is known."""

    def task(self, what: str, reference: str) -> None:
        RecordingEffect.task(self, what, reference)
        raise Crash(what)


def calls(hands: Hands) -> dict[str, int]:
    found = hands.sim.control("counts")["calls"]
    hands.sim.control("counts/reset")
    return {name: n for name, n in found.items() if n}


class TestConsistency:
    def test_what_was_asked_is_what_vcenter_made(self, hands: Hands) -> None:
        for consistency, running in (
            (Consistency.CRASH, True),
            (Consistency.OFFLINE, False),
            (Consistency.FILESYSTEM, True),
            (Consistency.APPLICATION, True),
            (Consistency.MEMORY, True),
        ):
            made = hands.machine(running=running, tools=True)
            got = snap(hands, made, effect("snapshot"), consistency)
            (node,) = hands.nodes(made)
            assert got.consistency is consistency
            assert node.quiesced is (consistency in (Consistency.FILESYSTEM, Consistency.APPLICATION))
            assert (str(node.state) == "poweredOn") is (consistency is Consistency.MEMORY)
            assert hands.inventory.machine(made.ref).snapshots == (got,)

    def test_crash_of_a_stopped_machine_is_offline(self, hands: Hands) -> None:
        made = hands.machine(running=False)
        assert snap(hands, made, effect("snapshot")).consistency is Consistency.OFFLINE

    def test_quiesce_without_tools_is_refused_before_anything_is_done(self, hands: Hands) -> None:
        made, hand = hands.machine(), effect("snapshot")
        with pytest.raises(ProviderError, match="VMware Tools") as refused:
            snap(hands, made, hand, Consistency.FILESYSTEM)
        assert refused.value.kind is ErrorKind.CONFLICT
        assert (hands.nodes(made), hand.mutations) == ([], 0)

    def test_a_quiesce_that_vcenter_skipped_without_a_word_is_no_snapshot(self, hands: Hands) -> None:
        made = hands.machine(tools=True)

        class Stopped(RecordingEffect):
            def intend(self, kind: ObjectKind, object_id: str, detail: str = "") -> None:
                RecordingEffect.intend(self, kind, object_id, detail)
                hands.sim.control("power", moref=made.moref, on=False)

        hand = Stopped(effect("snapshot").token)
        with pytest.raises(ProviderError, match="is crash, not application") as refused:
            snap(hands, made, hand, Consistency.APPLICATION)
        assert refused.value.kind is ErrorKind.CONFLICT
        assert hands.nodes(made) == []
        assert hand.ledger.left(ObjectKind.SNAPSHOT) == frozenset()

    def test_a_machine_started_in_the_last_moment_is_not_called_offline(self, hands: Hands) -> None:
        made = hands.machine(running=False)

        class Started(RecordingEffect):
            def intend(self, kind: ObjectKind, object_id: str, detail: str = "") -> None:
                RecordingEffect.intend(self, kind, object_id, detail)
                hands.sim.control("power", moref=made.moref, on=True)

        with pytest.raises(ProviderError, match="is crash, not offline") as refused:
            snap(hands, made, Started(effect("snapshot").token), Consistency.OFFLINE)
        assert refused.value.kind is ErrorKind.CONFLICT
        assert hands.nodes(made) == []

    def test_a_machine_started_after_its_offline_snapshot_keeps_it(self, hands: Hands) -> None:
        made, hand = hands.machine(running=False), effect("snapshot")
        first = snap(hands, made, hand, Consistency.OFFLINE)
        hands.sim.control("power", moref=made.moref, on=True)
        assert snap(hands, made, again(hand), Consistency.OFFLINE) == first


class TestFaults:
    @pytest.mark.parametrize(
        ("fault", "kind", "word"),
        [
            ("ApplicationQuiesceFault", ErrorKind.PERMANENT, "frozen"),
            ("FileLocked", ErrorKind.CONFLICT, "FileLocked"),
            ("NoDiskSpace", ErrorKind.PERMANENT, "NoDiskSpace"),
            ("TaskInProgress", ErrorKind.CONFLICT, "TaskInProgress"),
            ("TooManySnapshotLevels", ErrorKind.PERMANENT, "TooManySnapshotLevels"),
        ],
    )
    def test_a_failed_snapshot_leaves_nothing_and_says_what_to_do(
        self, hands: Hands, fault: str, kind: ErrorKind, word: str
    ) -> None:
        made, hand = hands.machine(tools=True), effect("snapshot")
        fails(hands, CREATE, fault)
        with pytest.raises(ProviderError, match=word) as failed:
            snap(hands, made, hand, Consistency.APPLICATION)
        assert (failed.value.kind, failed.value.sdk_code) == (kind, fault)
        assert failed.value.hint
        assert hands.nodes(made) == []
        assert hand.ledger.left(ObjectKind.SNAPSHOT) == frozenset()
        assert snap(hands, made, again(hand)).consistency is Consistency.CRASH

    def test_what_a_failed_snapshot_left_is_taken_away(self, hands: Hands) -> None:
        made = hands.machine(tools=True)

        class Half(RecordingEffect):
            def task(self, what: str, reference: str) -> None:
                RecordingEffect.task(self, what, reference)
                if what.startswith("snapshot"):
                    text = f"x\nferry token: {self.token}"
                    hands.done(hands.vm(made).CreateSnapshot_Task("half", text, False, False))

        hand = Half(effect("snapshot").token)
        fails(hands, CREATE, "ApplicationQuiesceFault")
        with pytest.raises(ProviderError, match="frozen"):
            snap(hands, made, hand, Consistency.APPLICATION)
        assert hands.nodes(made) == []
        assert hand.ledger.left(ObjectKind.SNAPSHOT) == frozenset()

    def test_a_locked_disk_is_named(self, hands: Hands) -> None:
        made, hand = hands.machine(), effect("snapshot")
        hands.sim.control("disk_lock", moref=made.moref, on=True)
        with pytest.raises(ProviderError, match="FileLocked") as failed:
            snap(hands, made, hand)
        assert "backup" in failed.value.hint
        hands.sim.control("disk_lock", moref=made.moref, on=False)
        snap(hands, made, again(hand))

    def test_a_full_datastore_is_refused_before_anything_is_done(self, hands: Hands) -> None:
        made, hand = hands.machine(), effect("snapshot")
        store = hands.vm(made).datastore[0]
        name, free = store.name, store.summary.freeSpace
        hands.sim.control("datastore", name=name, free=1 << 20)
        hands.again()  # what was read a moment ago would do for some seconds
        try:
            with pytest.raises(ProviderError, match=f"room on {name}"):
                snap(hands, made, hand)
        finally:
            hands.sim.control("datastore", name=name, free=free)
            hands.again()
        assert (hands.nodes(made), hand.mutations) == ([], 0)

    def test_pending_consolidation_is_refused_before_anything_is_done(self, hands: Hands) -> None:
        made, hand = hands.machine(), effect("snapshot")
        hands.sim.control("consolidation", moref=made.moref, needed=True)
        with pytest.raises(ProviderError, match="consolidation"):
            snap(hands, made, hand)
        assert hand.mutations == 0

    @pytest.mark.parametrize("method", [CREATE, "RemoveSnapshot_Task"])
    def test_a_reply_lost_after_success_leaves_exactly_one(self, hands: Hands, method: str) -> None:
        made, hand = hands.machine(), effect("snapshot")

        def go() -> None:
            snap(hands, made, again(hand))
            hands.snapshots.ensure_snapshot_removed(made.ref, hand.token, again(hand))

        hands.sim.control("fault", method=method, kind="reply-lost", times=1)
        with pytest.raises(ProviderError) as lost:
            go()
        assert lost.value.kind is ErrorKind.UNCERTAIN
        hands.again()
        if method == CREATE:
            snap(hands, made, again(hand))
            assert len(hands.nodes(made)) == 1
        hands.snapshots.ensure_snapshot_removed(made.ref, hand.token, again(hand))
        assert hands.nodes(made) == []
        assert hand.ledger.left(ObjectKind.SNAPSHOT) == frozenset()


class TestSlowTasks:
    def test_a_controller_killed_during_a_slow_snapshot_and_resumed_at_once_has_one(
        self, hands: Hands
    ) -> None:
        made = hands.machine()
        hands.sim.control("task_delay", method="CreateSnapshotEx", ms=1500)
        killed = Killed(effect("snapshot").token)
        with pytest.raises(Crash):
            snap(hands, made, killed)
        hands.again()
        assert hands.nodes(made) == []
        got = snap(hands, made, again(killed))
        assert [node.snapshot._moId for node in hands.nodes(made)] == [got.id]

    def test_a_second_call_while_the_first_runs_finds_its_work(self, hands: Hands) -> None:
        made, first = hands.machine(), effect("snapshot")
        hands.sim.control("task_delay", method="CreateSnapshotEx", ms=1500)
        running = threading.Event()

        class Told(RecordingEffect):
            def task(self, what: str, reference: str) -> None:
                RecordingEffect.task(self, what, reference)
                running.set()

        with ThreadPoolExecutor(1) as pool:
            begun = pool.submit(snap, hands, made, Told(first.token, first.ledger))
            assert running.wait(20)
            second = again(first)
            assert snap(hands, made, second) == begun.result(30)
        assert second.mutations == 0
        assert len(hands.nodes(made)) == 1

    def test_a_controller_killed_during_a_slow_removal_finishes_it(self, hands: Hands) -> None:
        made, hand = hands.machine(), effect("snapshot")
        snap(hands, made, hand)
        hands.sim.control("task_delay", method="RemoveSnapshot", ms=1500)
        with pytest.raises(Crash):
            hands.snapshots.ensure_snapshot_removed(made.ref, hand.token, Killed(hand.token, hand.ledger))
        hands.again()
        resumed = again(hand)
        hands.snapshots.ensure_snapshot_removed(made.ref, hand.token, resumed)
        assert (hands.nodes(made), resumed.mutations) == ([], 0)


class TestRemoval:
    def test_disks_that_a_removal_left_are_consolidated(self, hands: Hands) -> None:
        made, hand = hands.machine(), effect("snapshot")
        snap(hands, made, hand)
        (node,) = hands.nodes(made)
        hands.done(node.snapshot.RemoveSnapshot_Task(False, False))
        assert hands.vm(made).runtime.consolidationNeeded
        hands.snapshots.ensure_snapshot_removed(made.ref, hand.token, again(hand))
        assert not hands.vm(made).runtime.consolidationNeeded
        assert hand.ledger.left(ObjectKind.SNAPSHOT) == frozenset()

    def test_consolidation_that_is_not_ours_is_left_alone(self, hands: Hands) -> None:
        made, hand = hands.machine(), effect("undo")
        hands.sim.control("consolidation", moref=made.moref, needed=True)
        hands.snapshots.ensure_snapshot_removed(made.ref, "ferry.never.host.snapshot", hand)
        assert hand.mutations == 0

    def test_a_merge_that_a_lock_prevents_is_finished_by_a_repeat(self, hands: Hands) -> None:
        made, hand = hands.machine(), effect("snapshot")
        snap(hands, made, hand)
        hands.fill(made, 0x5A)
        hands.sim.control("disk_lock", moref=made.moref, on=True)
        with pytest.raises(ProviderError, match="FileLocked"):
            hands.snapshots.ensure_snapshot_removed(made.ref, hand.token, again(hand))
        assert hand.ledger.left(ObjectKind.SNAPSHOT)
        hands.sim.control("disk_lock", moref=made.moref, on=False)
        hands.snapshots.ensure_snapshot_removed(made.ref, hand.token, again(hand))
        assert not hands.vm(made).runtime.consolidationNeeded
        assert (hands.nodes(made), hands.first_byte(made)) == ([], 0x5A)
        assert hand.ledger.left(ObjectKind.SNAPSHOT) == frozenset()

    def test_the_token_decides_and_not_the_name(self, hands: Hands) -> None:
        made, hand = hands.machine(), effect("snapshot")
        got = snap(hands, made, hand)
        hands.done(hands.vm(made).CreateSnapshot_Task(got.name, "somebody's", False, False))
        hands.snapshots.ensure_snapshot_removed(made.ref, hand.token, again(hand))
        assert [node.description for node in hands.nodes(made)] == ["somebody's"]


class TestCalls:
    def test_one_look_one_task_one_look(self, hands: Hands) -> None:
        made, hand = hands.machine(), effect("snapshot")
        hands.inventory.machine(made.ref)
        snap(hands, hands.machine(), effect("warm-up"))
        calls(hands)
        snap(hands, made, hand)
        made_by = calls(hands)
        hands.snapshots.ensure_snapshot_removed(made.ref, hand.token, again(hand))
        removed_by = calls(hands)
        for found, task in ((made_by, CREATE), (removed_by, "RemoveSnapshot_Task")):
            assert found.pop(task) == 1
            assert found.pop("RetrievePropertiesEx") <= 3  # two looks, and one at the task
            waiting = {
                "CreatePropertyCollector",
                "CreateFilter",
                "WaitForUpdatesEx",
                "DestroyPropertyCollector",
            }
            assert set(found) <= waiting, found

    def test_room_of_many_machines_is_one_listing(self, hands: Hands) -> None:
        machines = [hands.inventory.machine(hands.machine().ref) for _ in range(5)]
        hands.again()
        calls(hands)
        for machine in machines:
            assert all(f.ok for f in hands.preflight.snapshot(machine, Consistency.CRASH))
        assert calls(hands)["RetrievePropertiesEx"] <= 2  # datastores, folders


class TestRevert:
    def _moved(self, hands: Hands, **more: Any) -> tuple[Made, Ledger, str]:
        """A machine with a snapshot from before it was cut off, and a claim of today."""
        made, hand = hands.machine(**more), effect("snapshot")
        hands.option(made, "ferry-claim", '{"run":"old","digest":"","state_id":"s"}')
        hands.fill(made, 0x11)
        snap(hands, made, hand)
        hands.fill(made, 0x22)
        hands.move(made, QUARANTINE)
        hands.option(made, "ferry-claim", '{"run":"new","digest":"","state_id":"s"}')
        return made, hand.ledger, hand.token

    def _right(self, hands: Hands, made: Made, description: str, *, on: bool = True) -> None:
        assert hands.place(made) == (QUARANTINE, True)
        assert hands.is_on(made) is on
        assert '"new"' in hands.option(made, "ferry-claim")
        assert [node.description for node in hands.nodes(made)] == [description]
        assert hands.first_byte(made) == 0x11

    @pytest.mark.parametrize("running", [True, False])
    def test_card_claim_and_power_are_as_before(self, hands: Hands, running: bool) -> None:
        made, ledger, token = self._moved(hands, running=running)
        mac, description = hands.card(made).macAddress, hands.nodes(made)[0].description
        machine = hands.snapshots.ensure_reverted(made.ref, token, effect("revert", ledger))
        assert machine.power is (PowerState.ON if running else PowerState.OFF)
        self._right(hands, made, description, on=running)
        assert hands.card(made).macAddress == mac

    def test_an_unplugged_card_stays_unplugged(self, hands: Hands) -> None:
        made, hand = hands.machine(), effect("snapshot")
        snap(hands, made, hand)
        hands.move(made, NETWORK, up=False, guest_control=False)
        hands.snapshots.ensure_reverted(made.ref, hand.token, effect("revert", hand.ledger))
        assert hands.is_on(made)
        assert hands.place(made) == (NETWORK, False)
        assert not hands.card(made).connectable.allowGuestControl

    def test_memory_with_a_card_that_its_guest_could_connect_again_is_refused(self, hands: Hands) -> None:
        made, hand = hands.machine(tools=True), effect("snapshot")
        snap(hands, made, hand, Consistency.MEMORY)
        hands.move(made, NETWORK, guest_control=False)
        with pytest.raises(ProviderError, match="holds memory"):
            hands.snapshots.ensure_reverted(made.ref, hand.token, effect("revert", hand.ledger))

    def test_no_card_comes_back_wherever_it_is_cut_short(self, hands: Hands) -> None:
        for point in range(1, 40):
            made, ledger, token = self._moved(hands)
            description = hands.nodes(made)[0].description
            first = RecordingEffect(effect("revert").token, ledger, crash_at=point)
            try:
                hands.snapshots.ensure_reverted(made.ref, token, first)
            except Crash:
                hands.again()
                self._never_back_on_a_running_machine(hands, made)
                hands.snapshots.ensure_reverted(made.ref, token, again(first))
                self._right(hands, made, description)
            else:
                assert point > 5
                return
        pytest.fail("the revert never ends")

    def _never_back_on_a_running_machine(self, hands: Hands, made: Made) -> None:
        for task in hands.vm(made).recentTask:
            hands.done(task)
        assert not hands.is_on(made) or hands.place(made)[0] == QUARANTINE

    @pytest.mark.parametrize(
        "method",
        ["RenameSnapshot", "RevertToSnapshot_Task", "ReconfigVM_Task", "PowerOnVM_Task"],
    )
    def test_a_lost_reply_is_found_again(self, hands: Hands, method: str) -> None:
        made, ledger, token = self._moved(hands)
        description = hands.nodes(made)[0].description
        hand = effect("revert", ledger)
        hands.sim.control("fault", method=method, kind="reply-lost", times=1)
        with pytest.raises(ProviderError) as lost:
            hands.snapshots.ensure_reverted(made.ref, token, hand)
        assert lost.value.kind is ErrorKind.UNCERTAIN
        self._never_back_on_a_running_machine(hands, made)
        hands.again()
        hands.snapshots.ensure_reverted(made.ref, token, again(hand))
        self._right(hands, made, description)

    def test_a_repeat_loses_nothing_that_was_written_since(self, hands: Hands) -> None:
        made, ledger, token = self._moved(hands)
        hand = effect("revert", ledger)
        hands.snapshots.ensure_reverted(made.ref, token, hand)
        hands.fill(made, 0x33)
        repeat = again(hand)
        hands.snapshots.ensure_reverted(made.ref, token, repeat)
        assert (repeat.mutations, hands.first_byte(made)) == (0, 0x33)

    def test_another_revert_does_not_go_on_where_one_was_cut_short(self, hands: Hands) -> None:
        made, ledger, token = self._moved(hands)
        with pytest.raises(Crash):
            hands.snapshots.ensure_reverted(made.ref, token, Killed(effect("revert").token, ledger))
        with pytest.raises(ProviderError, match="interrupted") as refused:
            hands.snapshots.ensure_reverted(made.ref, token, effect("revert", ledger))
        assert refused.value.kind is ErrorKind.CONFLICT

    def test_memory_with_cards_that_were_elsewhere_is_refused(self, hands: Hands) -> None:
        made, hand = hands.machine(tools=True), effect("snapshot")
        snap(hands, made, hand, Consistency.MEMORY)
        hands.move(made, QUARANTINE)
        reverting = effect("revert", hand.ledger)
        with pytest.raises(ProviderError, match="holds memory") as refused:
            hands.snapshots.ensure_reverted(made.ref, hand.token, reverting)
        assert refused.value.kind is ErrorKind.CONFLICT
        assert (reverting.mutations, hands.place(made)) == (0, (QUARANTINE, True))

    def test_memory_with_the_same_cards_runs_on(self, hands: Hands) -> None:
        made, hand = hands.machine(tools=True), effect("snapshot")
        snap(hands, made, hand, Consistency.MEMORY)
        machine = hands.snapshots.ensure_reverted(made.ref, hand.token, effect("revert", hand.ledger))
        assert machine.power is PowerState.ON
        assert hands.place(made) == (NETWORK, True)

    def test_a_later_snapshot_is_in_the_way(self, hands: Hands) -> None:
        made, ledger, token = self._moved(hands)
        hands.done(hands.vm(made).CreateSnapshot_Task("later", "", False, False))
        with pytest.raises(ProviderError, match="later"):
            hands.snapshots.ensure_reverted(made.ref, token, effect("revert", ledger))
        assert hands.place(made) == (QUARANTINE, True)


class TestPower:
    def test_a_suspended_machine_is_resumed_and_never_cut_off(self, hands: Hands) -> None:
        made = hands.machine()
        hands.done(hands.vm(made).SuspendVM_Task())
        with pytest.raises(ProviderError, match="suspended") as refused:
            hands.power.ensure_power(made.ref, PowerState.OFF, effect("off"))
        assert refused.value.kind is ErrorKind.CONFLICT
        assert hands.power.ensure_power(made.ref, PowerState.ON, effect("on")).power is PowerState.ON

    def test_somebody_who_was_quicker_is_no_error(self, hands: Hands) -> None:
        made = hands.machine(running=False)

        class Overtaken(RecordingEffect):
            def before(self, what: str) -> None:
                RecordingEffect.before(self, what)
                hands.sim.control("power", moref=made.moref, on=True)

        got = hands.power.ensure_power(made.ref, PowerState.ON, Overtaken(effect("on").token))
        assert got.power is PowerState.ON

    def test_a_controller_killed_during_a_slow_start_finds_it_started(self, hands: Hands) -> None:
        made = hands.machine(running=False)
        hands.sim.control("task_delay", method="PowerOnVM", ms=1000)
        try:
            killed = Killed(effect("on").token)
            with pytest.raises(Crash):
                hands.power.ensure_power(made.ref, PowerState.ON, killed)
            hands.again()
            resumed = again(killed)
            assert hands.power.ensure_power(made.ref, PowerState.ON, resumed).power is PowerState.ON
            assert not [c for c in resumed.calls if c.moment is Moment.TASK]
        finally:
            hands.sim.control("task_delay", method="PowerOnVM", ms=0)


def test_rights_that_the_account_lacks_are_named(hands: Hands) -> None:
    assert all(finding.ok for finding in hands.preflight.rights())
    hands.sim.control("lacking", privileges=["VirtualMachine.State.CreateSnapshot"])
    try:
        lacking = [f for f in hands.preflight.rights() if not f.ok]
    finally:
        hands.sim.control("lacking", privileges=[])
    assert [f.check for f in lacking] == ["privilege VirtualMachine.State.CreateSnapshot"]
    assert "making snapshots" in lacking[0].detail
