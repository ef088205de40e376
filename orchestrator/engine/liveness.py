"""Shows that this process lives, and tells whether another one does: a lock that dies with it, and a
heartbeat that stops with it."""

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from orchestrator.engine import locks
from orchestrator.engine.state import State, StateUnavailable
from orchestrator.engine.tables import executors

log = logging.getLogger("ferry.engine")


class Liveness:
    """This process's sign of life, renewed by a thread every third of `ttl` seconds."""

    def __init__(self, state: State, executor: str, ttl: float, elapsed: Callable[[], float]) -> None:
        """`elapsed` is a clock that also runs while the machine sleeps, in seconds."""
        self._state = state
        self._elapsed = elapsed
        self._lock: locks.HeldLock | None = None
        self._renewed = float("-inf")
        self._renewing = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self.executor = executor
        self.ttl = ttl

    def start(self) -> None:
        """Take the lock, write the first heartbeat and keep it up."""
        self.renew()
        self._thread = threading.Thread(target=self._keep_up, name="ferry-heartbeat", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Let go. The row stays: whatever this process left pending is found and taken over by its lock,
        which is free."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=10)
        if self._lock is not None:
            self._lock.release()

    def fresh(self) -> bool:
        """Tell whether our own heartbeat is young enough to change something."""
        return self._elapsed() - self._renewed < self.ttl

    def freshen(self) -> bool:
        """Renew our heartbeat if it is old; tell whether it is young now."""
        if not self.fresh():
            self.renew()
        return self.fresh()

    def renew(self) -> None:
        """Hold the lock and write the heartbeat; after a takeover this makes us known again, with no lease
        left."""
        asked = self._elapsed()
        with self._renewing:
            self._renew(asked)

    def _renew(self, asked: float) -> None:
        if self._lock is None or not self._lock.held():
            self._lock = locks.try_lock(self._state, self.executor)
            if self._lock is None:
                return  # the reaper is just taking us over
        values = {"heartbeat_at": self._state.now().isoformat(), "backend_pid": self._lock.backend_pid}
        with self._state.write() as connection:
            mine = executors.c.executor == self.executor
            if connection.execute(executors.update().where(mine).values(**values)).rowcount == 0:
                connection.execute(executors.insert().values(executor=self.executor, **values))
        self._renewed = asked

    def alive(self, executor: str) -> bool:
        """Tell whether another process lives: it is known, its heartbeat is young and its lock is held."""
        if executor == self.executor:
            return True
        found = next((r for r in rows(self._state) if r.executor == executor), None)
        return found is not None and is_alive(self._state, found, self.ttl)

    def _keep_up(self) -> None:
        while not self._stopping.wait(self.ttl / 3):
            try:
                self.renew()
            except (StateUnavailable, DBAPIError) as error:
                log.warning("the heartbeat could not be written: %s", error)


def rows(state: State) -> tuple[Any, ...]:
    """Return every known executor's row."""
    with state.read() as connection:
        return tuple(connection.execute(sa.select(executors)))


def is_stale(state: State, row: Any, ttl: float) -> bool:
    """Tell whether a heartbeat is older than `ttl` seconds."""
    return bool(state.now() - datetime.fromisoformat(row.heartbeat_at) > timedelta(seconds=ttl))


def is_alive(state: State, row: Any, ttl: float) -> bool:
    """Tell whether the executor of a row lives."""
    if is_stale(state, row, ttl):
        return False
    lock = locks.try_lock(state, row.executor)
    if lock is None:
        return True
    lock.release()
    return False


def anybody(state: State, ttl: float) -> bool:
    """Tell whether some live process takes this state's work."""
    return any(is_alive(state, row, ttl) for row in rows(state))
