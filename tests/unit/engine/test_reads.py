"""Reads are retried when the endpoint is only busy, as late as it asks; nothing else is."""

from __future__ import annotations

import pytest

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.engine.reads import ATTEMPTS, read


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
