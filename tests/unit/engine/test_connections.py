"""One connection to an endpoint, and never one failed login after another."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.diagnostics import FerryError
from orchestrator.engine.connections import DENIED_SECONDS, Connections
from orchestrator.model.endpoint import EndpointSettings

LAB = EndpointSettings(name="lab", provider="fake", max_parallel=2, settings={})
OTHER = EndpointSettings(name="other", provider="fake", max_parallel=2, settings={})


class Fake:
    """A provider: each opening takes the next of `faults`, if any are left, and gives an adapter."""

    def __init__(self, *faults: ErrorKind) -> None:
        self.opened: list[str] = []
        self.closed: list[int] = []
        self._faults = list(faults)

    def open(self, settings: EndpointSettings, secrets: Any) -> Any:
        self.opened.append(settings.name)
        if self._faults:
            raise ProviderError(self._faults.pop(0), "no", hint="look", sdk_code="InvalidLogin")
        return Opened(len(self.opened), self.closed)


class Opened:
    def __init__(self, number: int, closed: list[int]) -> None:
        self.number, self._closed = number, closed

    def close(self) -> None:
        self._closed.append(self.number)


def connections(provider: Any, now: list[float] | None = None) -> Connections:
    at = now or [0.0]
    return Connections({"fake": provider}, lambda _: "x", lambda: at[0])


def test_threads_that_ask_at_once_share_one_connection() -> None:
    fake, together = Fake(), threading.Barrier(8)
    made = connections(fake)

    def ask(_: int) -> Any:
        together.wait(10)
        return made.to(LAB)

    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(ask, range(8)))
    assert (len(found), fake.opened) == (1, ["lab"])


def test_a_refused_login_is_not_tried_again_by_the_next_host() -> None:
    fake, now = Fake(ErrorKind.DENIED), [0.0]
    made = connections(fake, now)
    for _ in range(10):
        with pytest.raises(ProviderError) as caught:
            made.to(LAB)
        assert (caught.value.kind, caught.value.hint) == (ErrorKind.DENIED, "look")
        assert caught.value.sdk_code == "InvalidLogin"
    assert fake.opened == ["lab"]
    now[0] = DENIED_SECONDS - 1
    with pytest.raises(ProviderError):
        made.to(LAB)
    now[0] = DENIED_SECONDS
    assert made.to(LAB) is made.to(LAB)
    assert fake.opened == ["lab", "lab"]


def test_a_refusal_is_of_that_endpoint_alone() -> None:
    made = connections(Fake(ErrorKind.DENIED))
    with pytest.raises(ProviderError):
        made.to(LAB)
    assert made.to(OTHER) is not None


def test_an_endpoint_that_was_only_busy_is_tried_again() -> None:
    fake = Fake(ErrorKind.TRANSIENT)
    made = connections(fake)
    with pytest.raises(ProviderError):
        made.to(LAB)
    assert made.to(LAB) is not None
    assert fake.opened == ["lab", "lab"]


def test_a_forgotten_connection_is_replaced_and_closed_at_the_end() -> None:
    fake = Fake()
    made = connections(fake)
    first: Any = made.to(LAB)
    made.forget(LAB)
    second: Any = made.to(LAB)
    assert (first.number, second.number, fake.closed) == (1, 2, [])
    made.close()
    made.close()
    assert fake.closed == [1, 2]


def test_a_provider_that_is_not_here_is_named() -> None:
    with pytest.raises(FerryError, match="no provider 'fake' for endpoint lab"):
        Connections({}, lambda _: "x").to(LAB)
