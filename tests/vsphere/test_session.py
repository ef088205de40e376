"""Sessions, waits and claims on the rig: what ends is opened again by a read alone, no wait is lost, and of
several who claim at one moment vCenter itself lets one through."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from pyVmomi import vim

from orchestrator.contract.conformance.effect import Ledger, OvertakenEffect
from orchestrator.contract.conformance.support import effect, refused, token
from orchestrator.contract.errors import ErrorKind
from orchestrator.model.machine import Claim, PowerState
from providers.vsphere import session
from providers.vsphere.claims import VsphereClaims
from providers.vsphere.convert import CLAIM_KEY
from tests.rigs.vcsim import Vcsim, vcsim
from tests.rigs.vsphere_hands import Hands, Made

CLAIM = Claim(run="run-1", digest="0" * 64, state_id="state-1", host="ws1")


@pytest.fixture(scope="module")
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vcsim]:
    with vcsim(tmp_path_factory.mktemp("vcenter"), hosts=1) as started:
        yield started


@pytest.fixture(scope="module")
def shared(sim: Vcsim) -> Hands:
    return Hands(sim)


@pytest.fixture
def hands(sim: Vcsim, shared: Hands) -> Iterator[Hands]:
    shared.again()
    sim.control("counts/reset")
    yield shared
    sim.control("faults/clear")
    shared.close()


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def claims(hands: Hands) -> VsphereClaims:
    return VsphereClaims(hands.link, hands.inventory)


def strangers_mark(hands: Hands, made: Made, text: str) -> None:
    """Another administrator writes the option that holds claims."""
    option = vim.option.OptionValue(key=CLAIM_KEY, value=text)
    hands.done(hands.vm(made).ReconfigVM_Task(vim.vm.ConfigSpec(extraConfig=[option])))


def logins(sim: Vcsim) -> int:
    return int(sim.control("counts")["logins"])


class TestExpiry:
    """A session that ended meanwhile."""

    def test_many_readers_at_once_log_in_once(self, sim: Vcsim, hands: Hands) -> None:
        made = hands.machine()
        hands.inventory.machine(made.ref)
        sim.control("session/expire")
        sim.control("counts/reset")
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _: hands.inventory.machine(made.ref).ref, range(24)))
        assert set(found) == {made.ref}
        assert logins(sim) == 1

    def test_mutation_is_not_sent_again_but_called_uncertain(self, sim: Vcsim, hands: Hands) -> None:
        made = hands.machine(running=False)
        vm, hand = hands.inventory.vm(made.ref), effect("on")
        hands.link.open()
        sim.control("session/expire")
        sim.control("counts/reset")
        with refused(ErrorKind.UNCERTAIN):
            hands.link.run(hand, "start it", vm.PowerOnVM_Task)
        assert sim.control("counts")["calls"].get("PowerOnVM_Task") == 1
        assert logins(sim) == 0
        # The engine calls the same step again: it looks first, and so has a session.
        hands.power.ensure_power(made.ref, PowerState.ON, hand)
        assert hands.inventory.machine(made.ref).power is PowerState.ON

    def test_quiet_session_is_kept_alive(
        self, sim: Vcsim, hands: Hands, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(session, "_ALIVE_SECONDS", 0.05)
        hands.again()
        hands.link.open()
        sim.control("counts/reset")
        for _ in range(200):
            if sim.control("counts")["calls"].get("CurrentTime", 0) > 1:
                return
            sim.control("counts")
        pytest.fail("the session was never used again")

    def test_closing_logs_out(self, sim: Vcsim, hands: Hands) -> None:
        hands.link.open()
        sim.control("counts/reset")
        hands.close()
        hands.close()
        assert sim.control("counts")["calls"].get("Logout") == 1

    def test_the_end_waits_for_what_was_left_for_later(self, sim: Vcsim, hands: Hands) -> None:
        made, events = hands.machine(), hands.link.content.eventManager
        vm = hands.inventory.vm(made.ref)
        for number in range(20):
            hands.link.later(partial(events.LogUserEvent, vm, f"later {made.ref.name} {number}"))
        hands.close()
        assert f"User logged event: later {made.ref.name} 19" in sim.control("texts")["texts"]

    def test_endpoint_that_comes_back_is_read_again(self, sim: Vcsim, hands: Hands) -> None:
        made = hands.machine()
        sim.control("down", on=True)
        with refused(ErrorKind.TRANSIENT):
            hands.inventory.machine(made.ref)
        sim.control("down", on=False)
        assert hands.inventory.machine(made.ref).ref == made.ref


class TestWaiting:
    """Tasks of several threads."""

    def test_every_waiter_gets_its_own_outcome_from_few_calls(self, sim: Vcsim, hands: Hands) -> None:
        machines = [hands.machine(running=False) for _ in range(12)]
        vms = [hands.inventory.vm(made.ref) for made in machines]
        sim.control("task_delay", method="PowerOn", ms=400)
        full = {"method": "PowerOnVM_Task", "kind": "task-fault", "fault": "NoDiskSpace"}
        sim.control("fault", object=machines[5].ref.name, **full)
        sim.control("counts/reset")

        def start(vm: Any) -> str:
            try:
                hands.link.run(effect("on"), "start it", vm.PowerOnVM_Task)
            except Exception as error:  # told apart below
                return type(error.__cause__).__name__
            return "started"

        with ThreadPoolExecutor(12) as pool:
            ended = list(pool.map(start, vms))
        sim.control("task_delay", method="PowerOn", ms=0)
        assert [n for n, word in enumerate(ended) if word != "started"] == [5]
        assert "NoDiskSpace" in ended[5]
        calls = sim.control("counts")["calls"]
        assert calls["CreatePropertyCollector"] == calls["DestroyPropertyCollector"] == 1
        assert calls["WaitForUpdatesEx"] <= 16

    def test_task_that_runs_too_long_is_uncertain(self, sim: Vcsim, hands: Hands) -> None:
        made = hands.machine(running=False)
        vm = hands.inventory.vm(made.ref)
        sim.control("task_delay", method="PowerOn", ms=1500)
        with refused(ErrorKind.UNCERTAIN):
            hands.link.run(effect("on"), "start it", vm.PowerOnVM_Task, seconds=0.2)
        sim.control("task_delay", method="PowerOn", ms=0)
        hands.power.ensure_power(made.ref, PowerState.ON, effect("on"))


class TestClaims:
    """What the shared suite cannot see: the compare and swap, and what others are told."""

    def test_stranger_who_writes_in_between_is_not_overwritten(
        self, hands: Hands, claims: VsphereClaims, ledger: Ledger
    ) -> None:
        made = hands.machine()
        other = CLAIM.model_copy(update={"run": "run-2", "state_id": "state-2"})
        hand = OvertakenEffect(token("claim"), ledger)
        hand.overtake = lambda: claims.ensure_claim(made.ref, other, effect("other"))
        with refused(ErrorKind.CONFLICT) as errors:
            claims.ensure_claim(made.ref, CLAIM, hand)
        assert "run-2" in str(errors[0])
        held = hands.inventory.machine(made.ref).claim
        assert held is not None
        assert held.run == "run-2"
        assert not ledger.intended
        assert not ledger.present

    def test_machine_that_was_just_read_is_claimed_and_given_free_without_another_look(
        self, sim: Vcsim, hands: Hands, claims: VsphereClaims
    ) -> None:
        made = hands.machine()
        for change in (
            lambda: claims.ensure_claim(made.ref, CLAIM, effect("claim")),
            lambda: claims.ensure_released(made.ref, CLAIM, effect("release")),
        ):
            hands.inventory.machine(made.ref)
            sim.control("counts/reset")
            change()
            calls = sim.control("counts")["calls"]
            assert (calls["ReconfigVM_Task"], calls["RetrievePropertiesEx"]) == (1, 1)  # the task's outcome
        assert hands.inventory.machine(made.ref).claim is None

    def test_claim_that_a_stranger_set_since_the_last_read_is_not_overwritten(
        self, hands: Hands, claims: VsphereClaims, ledger: Ledger
    ) -> None:
        made, hand = hands.machine(), OvertakenEffect(token("claim"), ledger)
        other = CLAIM.model_copy(update={"run": "run-2", "state_id": "state-2"})
        hands.inventory.machine(made.ref)
        strangers_mark(hands, made, other.model_dump_json())
        with refused(ErrorKind.CONFLICT) as errors:
            claims.ensure_claim(made.ref, CLAIM, hand)
        assert "run-2" in str(errors[0])
        assert hands.inventory.machine(made.ref).claim == other
        assert not ledger.intended

    def test_claim_that_was_taken_off_since_the_last_read_hinders_nobody(
        self, hands: Hands, claims: VsphereClaims
    ) -> None:
        made = hands.machine()
        other = CLAIM.model_copy(update={"run": "run-2", "state_id": "state-2"})
        strangers_mark(hands, made, other.model_dump_json())
        assert hands.inventory.machine(made.ref).claim == other
        strangers_mark(hands, made, "")
        assert claims.ensure_claim(made.ref, CLAIM, effect("claim")) == CLAIM
        assert hands.inventory.machine(made.ref).claim == CLAIM

    def test_claim_of_ours_that_was_wiped_since_the_last_read_is_set_again(
        self, hands: Hands, claims: VsphereClaims
    ) -> None:
        made = hands.machine()
        claims.ensure_claim(made.ref, CLAIM, effect("claim"))
        assert hands.inventory.machine(made.ref).claim == CLAIM
        strangers_mark(hands, made, "")
        claims.ensure_claim(made.ref, CLAIM, effect("claim"))
        assert hands.inventory.machine(made.ref).claim == CLAIM

    def test_machine_that_is_gone_since_the_last_read_is_not_found(
        self, hands: Hands, claims: VsphereClaims, ledger: Ledger
    ) -> None:
        made, hand = hands.machine(running=False), OvertakenEffect(token("claim"), ledger)
        hands.inventory.machine(made.ref)
        hands.done(hands.vm(made).Destroy_Task())
        with refused(ErrorKind.NOT_FOUND) as errors:
            claims.ensure_claim(made.ref, CLAIM, hand)
        assert made.ref.name in str(errors[0])
        assert not ledger.intended
        assert not ledger.present

    def test_change_of_something_else_in_between_does_not_hinder(
        self, hands: Hands, claims: VsphereClaims
    ) -> None:
        made = hands.machine()
        spec = vim.vm.ConfigSpec(annotation="by somebody")
        hand = OvertakenEffect(token("claim"))
        hand.overtake = lambda: hands.done(hands.vm(made).ReconfigVM_Task(spec))
        assert claims.ensure_claim(made.ref, CLAIM, hand) == CLAIM
        assert hands.vm(made).config.annotation == "by somebody"

    def test_other_administrators_read_who_and_why_in_the_events(
        self, sim: Vcsim, hands: Hands, claims: VsphereClaims
    ) -> None:
        made, hand = hands.machine(), effect("claim")
        claims.ensure_claim(made.ref, CLAIM, hand)
        hands.close()  # the events are written beside the work, and all of them before the end
        assert any(hand.reason in text for text in sim.control("texts")["texts"])

    def test_account_that_may_not_log_events_claims_all_the_same(
        self, sim: Vcsim, hands: Hands, claims: VsphereClaims
    ) -> None:
        made = hands.machine()
        sim.control("fault", method="LogUserEvent", kind="denied")
        assert claims.ensure_claim(made.ref, CLAIM, effect("claim")) == CLAIM


def test_name_that_two_machines_bear_is_refused_with_both(sim: Vcsim, hands: Hands) -> None:
    for folder in ("North", "South"):
        sim.control("machine", name="twin", folder=folder, disks=[{"size": 1 << 20}])
    with refused(ErrorKind.CONFLICT) as errors:
        hands.inventory.machines(["twin"])
    assert "North/twin" in str(errors[0])
    assert "South/twin" in str(errors[0])
    (found,) = hands.inventory.machines(["North/twin"])
    assert "/DC0/vm/North/twin" in found.also
    assert hands.inventory.machines([found.ref.id, found.also[-1]]) == (found,)


def test_more_threads_than_connections_all_get_their_answers(hands: Hands) -> None:
    machine = hands.machine()
    with ThreadPoolExecutor(24) as pool:
        found = list(pool.map(lambda _: hands.inventory.machine(machine.ref).ref, range(48)))
    assert found == [machine.ref] * 48
