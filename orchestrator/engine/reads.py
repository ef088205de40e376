"""Reads are retried here and nowhere else: TRANSIENT only, as often and as late as the server says. A
mutation never comes here."""

from collections.abc import Callable
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt

from orchestrator.contract.errors import ErrorKind, ProviderError

T = TypeVar("T")

ATTEMPTS = 4
LONGEST_WAIT = 30.0


def read(call: Callable[[], T], sleep: Callable[[float], None]) -> T:
    """Return what `call` reads. Raises its last ProviderError."""
    retrying = Retrying(
        retry=retry_if_exception(_transient),
        stop=stop_after_attempt(ATTEMPTS),
        wait=_wait,
        sleep=sleep,
        reraise=True,
    )
    return retrying(call)


def _transient(error: BaseException) -> bool:
    return isinstance(error, ProviderError) and error.kind is ErrorKind.TRANSIENT


def _wait(state: RetryCallState) -> float:
    """Wait half a second, then twice as long each time; what the server asks for goes before that."""
    error = state.outcome.exception() if state.outcome is not None else None
    asked = error.retry_after if isinstance(error, ProviderError) else None
    return min(asked if asked is not None else 0.5 * 2 ** (state.attempt_number - 1), LONGEST_WAIT)
