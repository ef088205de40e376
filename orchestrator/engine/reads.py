"""Reads are retried here and nowhere else: TRANSIENT only, as often and as late as the server says. A
mutation never comes here."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt

from orchestrator.contract.errors import ErrorKind, ProviderError

T = TypeVar("T")
U = TypeVar("U")

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


def together(one: Callable[[], T], other: Callable[[], U]) -> tuple[T, U]:
    """Make two reads at once that do not depend on each other. Raises what either raises, after both have
    ended."""
    with ThreadPoolExecutor(1, thread_name_prefix="ferry-read") as pool:
        first = pool.submit(one)
        second = other()
        return first.result(), second


class Shared:
    """Reads of a whole site, each shared by those of a run (named by its change set's digest) who ask within
    a moment of it: hosts that begin together."""

    def __init__(self, seconds: float, elapsed: Callable[[], float] = time.monotonic) -> None:
        """`seconds` is how old an answer may be."""
        self._seconds = seconds
        self._elapsed = elapsed
        self._guard = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._known: dict[str, tuple[str, float, Any]] = {}

    def get(self, site: str, digest: str, call: Callable[[], T]) -> T:
        """Return what `call` reads of a site, or what it read for another host of the run not long ago. An
        error is nobody else's."""
        with self._lock(site):
            if not self._fresh(site, digest):
                begun = self._elapsed()
                self._known[site] = digest, begun, call()
            found: T = self._known[site][2]
            return found

    def seen(self, site: str, digest: str) -> Any | None:
        """Return what was read of a site for the run not long ago, or is being read now; None where nothing
        was."""
        with self._lock(site):
            return self._known[site][2] if self._fresh(site, digest) else None

    def _lock(self, site: str) -> threading.Lock:
        with self._guard:
            return self._locks.setdefault(site, threading.Lock())

    def _fresh(self, site: str, digest: str) -> bool:
        of, begun, _ = self._known.get(site, ("", float("-inf"), None))
        return of == digest and self._elapsed() - begun <= self._seconds
