"""Reads are retried when the endpoint is only busy, as late as it asks; nothing else is."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.engine.reads import ATTEMPTS, Shared, read, together


class Flaky:
    def __init__(self, *errors: ProviderError) -> None:
        self.errors, self.calls = list(errors), 0

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "read"


def busy(retry_after: float | None = None) -> ProviderError:
    return ProviderError(ErrorKind.TRANSIENT, "busy", retry_after=retry_after)


def test_a_busy_endpoint_is_asked_again_with_growing_pauses() -> None:
    pauses: list[float] = []
    assert read(Flaky(busy(), busy(), busy()), pauses.append) == "read"
    assert pauses == [0.5, 1.0, 2.0]


def test_the_server_says_how_long_to_wait_within_reason() -> None:
    pauses: list[float] = []
    read(Flaky(busy(7.0), busy(3600.0)), pauses.append)
    assert pauses == [7.0, 30.0]


def test_it_is_not_asked_for_ever() -> None:
    call = Flaky(*[busy()] * 50)
    with pytest.raises(ProviderError, match="busy"):
        read(call, lambda _: None)
    assert call.calls == ATTEMPTS


@pytest.mark.parametrize("kind", [k for k in ErrorKind if k is not ErrorKind.TRANSIENT])
def test_nothing_else_is_repeated(kind: ErrorKind) -> None:
    call = Flaky(ProviderError(kind, "no"))
    with pytest.raises(ProviderError):
        read(call, lambda _: None)
    assert call.calls == 1


def test_those_who_ask_together_share_one_read() -> None:
    asked, begun, go_on = [], threading.Event(), threading.Event()

    def slow() -> int:
        asked.append(1)
        begun.set()
        assert go_on.wait(10)
        return len(asked)

    shared = Shared(1.0, lambda: 0.0)
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(shared.get, "vcenter", "r1", slow) for _ in range(4)]
        assert begun.wait(10)
        other = pool.submit(Shared(1.0).get, "vcenter", "r1", lambda: "its own")
        go_on.set()
        assert [answer.result(10) for answer in answers] == [1, 1, 1, 1]
        assert other.result(10) == "its own"


def test_an_old_answer_is_not_given_again_and_another_site_s_never() -> None:
    now = [0.0]
    shared = Shared(1.0, lambda: now[0])
    assert shared.get("one", "r1", lambda: "first") == "first"
    assert shared.get("two", "r1", lambda: "other") == "other"
    now[0] = 1.0
    assert shared.get("one", "r1", lambda: "second") == "first"
    assert shared.get("one", "r2", lambda: "of another run") == "of another run"
    now[0] = 2.1
    assert shared.get("one", "r2", lambda: "third") == "third"


def test_the_age_of_an_answer_counts_from_before_it_was_asked_for() -> None:
    now = [0.0]
    shared = Shared(1.0, lambda: now[0])

    def slow() -> str:
        now[0] = 5.0
        return "seen at 0"

    assert shared.get("one", "r1", slow) == "seen at 0"
    assert shared.get("one", "r1", lambda: "seen at 5") == "seen at 5"


def test_an_error_is_not_shared() -> None:
    shared = Shared(1.0, lambda: 0.0)
    with pytest.raises(ProviderError):
        shared.get("one", "r1", Flaky(busy()))
    assert shared.get("one", "r1", lambda: "read") == "read"


def test_what_was_seen_is_told_only_while_it_is_young_and_of_this_run() -> None:
    now = [0.0]
    shared = Shared(1.0, lambda: now[0])
    assert shared.seen("one", "r1") is None
    shared.get("one", "r1", lambda: "seen")
    assert (shared.seen("one", "r1"), shared.seen("one", "r2"), shared.seen("two", "r1")) == (
        "seen",
        None,
        None,
    )
    now[0] = 1.1
    assert shared.seen("one", "r1") is None


def test_who_asks_what_was_seen_waits_for_the_read_that_is_under_way() -> None:
    shared, begun, go_on = Shared(1.0, lambda: 0.0), threading.Event(), threading.Event()

    def slow() -> str:
        begun.set()
        assert go_on.wait(10)
        return "seen"

    with ThreadPoolExecutor(2) as pool:
        pool.submit(shared.get, "one", "r1", slow)
        assert begun.wait(10)
        told = pool.submit(shared.seen, "one", "r1")
        go_on.set()
        assert told.result(10) == "seen"


def test_reads_that_do_not_depend_on_each_other_are_made_at_once() -> None:
    both = threading.Barrier(2)
    assert together(lambda: ("one", both.wait(10)), lambda: ("other", both.wait(10)))[0][0] == "one"


def test_an_error_of_either_read_comes_after_both_have_ended() -> None:
    ended = []
    with pytest.raises(ProviderError):
        together(Flaky(busy()), lambda: ended.append("other"))
    with pytest.raises(ProviderError):
        together(lambda: ended.append("one"), Flaky(busy()))
    assert ended == ["other", "one"]
