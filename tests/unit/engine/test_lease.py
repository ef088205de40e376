"""Lease, heartbeat, takeover: who may change a host, on a clock that the test moves."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from orchestrator.contract.errors import LeaseLost
from orchestrator.contract.provider import ObjectKind
from orchestrator.engine import journal, ledger
from orchestrator.engine.effect import EngineEffect, token_of
from orchestrator.engine.lease import Lease, acquire
from orchestrator.engine.liveness import Liveness, anybody, rows
from orchestrator.engine.reaper import Reaper
from orchestrator.engine.state import State
from tests.unit.builders import NOW
from tests.unit.engine.conftest import FakeClock

TTL = 15.0


class Worker:
    """An executor without a heartbeat thread: the test renews by hand, as a thread would, or does not."""

    def __init__(self, state: State, name: str, clock: FakeClock) -> None:
        self.state, self.name = state, name
        self.live = Liveness(state, name, TTL, clock.stopwatch)
        self.live.renew()
        self.taken: list[str] = []
        self.reaper = Reaper(state, name, TTL, self._requeue)

    def _requeue(self, executor: str) -> int:
        self.taken.append(executor)
        return 1

    def lease(self, freshen: Callable[[], bool] | None = None) -> Lease:
        fresh = freshen or self.live.freshen
        return acquire(self.state, "r1", "A", self.name, alive=self.live.alive, freshen=fresh)

    def die(self) -> None:
        self.live.stop()


@pytest.fixture
def one(state: State, clock: FakeClock) -> Worker:
    return Worker(state, "one", clock)


@pytest.fixture
def two(state: State, clock: FakeClock) -> Worker:
    return Worker(state, "two", clock)


def test_a_live_holder_is_not_robbed(one: Worker, two: Worker) -> None:
    held = one.lease()
    with pytest.raises(LeaseLost, match="another worker holds"):
        two.lease()
    held.check()


def test_a_released_hold_is_free_with_a_higher_generation(one: Worker, two: Worker) -> None:
    first = one.lease()
    first.release()
    assert two.lease().generation == first.generation + 1
    with pytest.raises(LeaseLost):
        first.check()


def test_a_dead_holder_is_replaced(one: Worker, two: Worker) -> None:
    first = one.lease()
    one.die()
    assert two.lease().generation == first.generation + 1


def test_a_frozen_holder_is_replaced_and_finds_out_when_it_wakes(
    one: Worker, two: Worker, clock: FakeClock
) -> None:
    frozen = one.lease()
    clock.advance(TTL + 1)
    two.live.renew()
    taken = two.lease()
    with pytest.raises(LeaseLost, match="another worker took over"):
        frozen.check()
    taken.check()


def test_a_worker_that_slept_while_nobody_took_over_goes_on(one: Worker, clock: FakeClock) -> None:
    held = one.lease()
    clock.advance(10 * TTL)
    held.check()
    assert one.live.fresh()


def test_a_heartbeat_that_cannot_be_renewed_stops_the_worker(one: Worker) -> None:
    held = one.lease(freshen=lambda: False)
    with pytest.raises(LeaseLost, match="could not be renewed"):
        held.check()


def test_a_second_execution_of_one_worker_fences_the_first(one: Worker) -> None:
    first, second = one.lease(), one.lease()
    with pytest.raises(LeaseLost):
        first.check()
    second.check()
    first.release()
    second.check()


def test_the_reaper_takes_over_from_the_dead_at_once(one: Worker, two: Worker) -> None:
    held = one.lease()
    one.die()
    assert two.reaper.look() == ("one",)
    assert two.taken == ["one"]
    with pytest.raises(LeaseLost):
        held.check()
    assert two.reaper.look() == ()


def test_the_reaper_leaves_the_living_alone(one: Worker, two: Worker) -> None:
    assert two.reaper.look() == ()


def test_the_reaper_takes_over_from_the_frozen_after_the_ttl(
    one: Worker, two: Worker, clock: FakeClock
) -> None:
    held = one.lease()
    clock.advance(TTL - 1)
    assert two.reaper.look() == ()
    clock.advance(2)
    two.live.renew()
    assert two.reaper.look() == ("one",)
    with pytest.raises(LeaseLost):
        held.check()


def test_a_worker_that_was_taken_over_is_known_again_but_holds_nothing(
    state: State, one: Worker, two: Worker, clock: FakeClock
) -> None:
    held = one.lease()
    clock.advance(TTL + 1)
    two.live.renew()
    two.reaper.look()
    one.live.renew()
    assert {row.executor for row in rows(state)} == {"one", "two"}
    with pytest.raises(LeaseLost):
        held.check()
    one.lease().check()


def test_two_reapers_do_not_work_at_once(state: State, one: Worker, two: Worker, clock: FakeClock) -> None:
    three = Worker(state, "three", clock)
    one.die()
    seen: list[tuple[str, ...]] = []
    two.reaper._requeue = lambda _: seen.append(three.reaper.look()) or 0
    assert two.reaper.look() == ("one",)
    assert seen == [()]


def test_nobody_works_when_all_are_gone(state: State, one: Worker, clock: FakeClock) -> None:
    assert anybody(state, TTL)
    one.die()
    assert not anybody(state, TTL)


def an_effect(state: State, held: Lease) -> EngineEffect:
    return EngineEffect(state, held, "sim:1", "snapshot", lambda: NOW)


def test_an_effect_writes_ledger_and_journal_together(state: State, one: Worker) -> None:
    effect = an_effect(state, one.lease())
    effect.intend(ObjectKind.SNAPSHOT, "snap-1", "nightly")
    effect.before("snapshot file01")
    effect.made(ObjectKind.SNAPSHOT, "snap-1")
    assert effect.owns(ObjectKind.SNAPSHOT, "snap-1")
    effect.removed(ObjectKind.SNAPSHOT, "snap-1")
    assert not effect.owns(ObjectKind.SNAPSHOT, "snap-1")
    events = [e.event for _, e in journal.entries(state, "r1")]
    assert events == ["intend", "change", "made", "removed"]


@pytest.mark.parametrize("call", ["before", "intend"])
def test_a_fenced_effect_is_refused_and_leaves_no_trace(
    state: State, one: Worker, two: Worker, clock: FakeClock, call: str
) -> None:
    effect = an_effect(state, one.lease())
    clock.advance(TTL + 1)
    two.live.renew()
    two.lease()
    with pytest.raises(LeaseLost):
        effect.before("x") if call == "before" else effect.intend(ObjectKind.SNAPSHOT, "snap-1")
    assert ledger.entries(state) == ()
    assert journal.entries(state, "r1") == ()


def test_what_was_made_is_recorded_even_without_the_lease(
    state: State, one: Worker, two: Worker, clock: FakeClock
) -> None:
    effect = an_effect(state, one.lease())
    effect.intend(ObjectKind.SNAPSHOT, "snap-1")
    clock.advance(TTL + 1)
    two.live.renew()
    two.lease()
    effect.made(ObjectKind.SNAPSHOT, "snap-1")
    assert [e.state for e in ledger.entries(state)] == ["present"]


def test_tokens_are_unique_per_step_and_never_odd() -> None:
    assert token_of("r20261124-081500-4f2a", "A" * 63, "inventory-target")
    with pytest.raises(ValueError, match="not a token"):
        token_of("r1", "a b", "claim")
