"""Takes over what dead and frozen workers left, once a second. One process of a state does it at a time.

A free lock means dead; a held lock with an old heartbeat means frozen. In both cases the leases are raised
first, so that the old worker can change nothing more, then its workflows go back to the queues that they came
from.
"""

import logging
import threading
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from orchestrator.engine import lease, liveness, locks
from orchestrator.engine.state import State, StateUnavailable
from orchestrator.engine.tables import executors

log = logging.getLogger("ferry.engine")

Requeue = Callable[[str], int]
"""Puts every pending workflow of an executor back on its queue; returns how many."""


class Reaper:
    """The loop. `requeue` is given by `runtime`, which knows DBOS."""

    def __init__(self, state: State, me: str, ttl: float, requeue: Requeue, interval: float = 1.0) -> None:
        self._state = state
        self._me = me
        self._ttl = ttl
        self._requeue = requeue
        self._interval = interval
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="ferry-reaper", daemon=True)

    def start(self) -> None:
        """Look at once, then every second."""
        self._thread.start()

    def stop(self) -> None:
        """End the loop."""
        self._stopping.set()
        self._thread.join(timeout=10)

    def look(self) -> tuple[str, ...]:
        """Take over from every dead or frozen executor; return their ids."""
        others = [row for row in liveness.rows(self._state) if row.executor != self._me]
        if not others:
            return ()
        mutex = locks.try_lock(self._state, "reaper")
        if mutex is None:
            return ()
        try:
            return tuple(row.executor for row in others if self._take_over(row))
        finally:
            mutex.release()

    def _take_over(self, row: Any) -> bool:
        lock = locks.try_lock(self._state, row.executor)
        try:
            if lock is None and not liveness.is_stale(self._state, row, self._ttl):
                return False
            if lock is None:
                _end_session(self._state, row.backend_pid)
            with self._state.write() as connection:
                lease.fence(connection, row.executor)
            count = self._requeue(row.executor)
            with self._state.write() as connection:
                seen = (executors.c.executor == row.executor, executors.c.heartbeat_at == row.heartbeat_at)
                connection.execute(executors.delete().where(*seen))
            if count:
                words = "dead" if lock is not None else "frozen"
                log.warning("took %d workflows over from the %s worker %s", count, words, row.executor)
            return True
        finally:
            if lock is not None:
                lock.release()

    def _loop(self) -> None:
        while True:
            try:
                self.look()
            except (StateUnavailable, DBAPIError) as error:
                log.warning("the look for dead workers failed: %s", error)
            if self._stopping.wait(self._interval):
                return


def _end_session(state: State, backend_pid: int | None) -> None:
    """End a frozen worker's lock session (PostgreSQL), as far as our rights go."""
    if backend_pid is None:
        return
    try:
        with state.write() as connection:
            connection.execute(sa.text("SELECT pg_terminate_backend(:pid)"), {"pid": backend_pid})
    except (StateUnavailable, DBAPIError) as error:
        log.warning("the session %d of a frozen worker could not be ended: %s", backend_pid, error)
