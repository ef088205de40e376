"""Locks that die with their process: flock beside the SQLite file, session advisory locks on PostgreSQL.

A held lock does not show that its holder is not frozen; that is what the heartbeat is for (`liveness`).
"""

import fcntl
import hashlib
import os
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from orchestrator.engine.state import State


class HeldLock(Protocol):
    """A lock in our hand."""

    def held(self) -> bool:
        """Tell whether it is still ours (a broken connection loses it)."""
        ...

    def release(self) -> None:
        """Give it back. Repeatable."""
        ...

    @property
    def backend_pid(self) -> int | None:
        """The PostgreSQL server process that holds it."""
        ...


def try_lock(state: State, name: str) -> HeldLock | None:
    """Take the lock of this name, or None when another process has it."""
    return _try_file(state, name) if state.path is not None else _try_advisory(state, name)


class _FileLock:
    backend_pid = None

    def __init__(self, path: Path, handle: int) -> None:
        self._path = path
        self._handle: int | None = handle

    def held(self) -> bool:
        return self._handle is not None

    def release(self) -> None:
        if self._handle is not None:
            self._path.unlink(missing_ok=True)
            os.close(self._handle)
            self._handle = None


def _try_file(state: State, name: str) -> _FileLock | None:
    directory = Path(f"{state.path}.locks")
    directory.mkdir(mode=0o700, exist_ok=True)
    path = directory / f"{name}.lock"
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        # Its last holder may have unlinked the file between our open and our lock: then we hold a lock that
        # nobody sees.
        try:
            if path.stat().st_ino == os.fstat(handle).st_ino:
                return _FileLock(path, handle)
        except FileNotFoundError:
            pass
        os.close(handle)


class _AdvisoryLock:
    def __init__(self, connection: sa.Connection, key: int, pid: int) -> None:
        self._connection: sa.Connection | None = connection
        self._key = key
        self.backend_pid: int | None = pid

    def held(self) -> bool:
        if self._connection is None:
            return False
        try:
            return bool(self._connection.execute(sa.text("SELECT 1")).scalar() == 1)
        except DBAPIError:
            self._drop()
            return False

    def release(self) -> None:
        if self._connection is None:
            return
        try:
            self._connection.execute(sa.text("SELECT pg_advisory_unlock(:key)"), {"key": self._key})
        except DBAPIError:
            pass
        finally:
            self._drop()

    def _drop(self) -> None:
        if self._connection is not None:
            # Not back into the pool: the lock belongs to the session.
            self._connection.invalidate()
            self._connection.close()
            self._connection = None


def _try_advisory(state: State, name: str) -> _AdvisoryLock | None:
    wide = hashlib.sha256(f"{state.state_id}\0{name}".encode()).digest()
    key = int.from_bytes(wide[:8], "big", signed=True)
    connection = state.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    row = connection.execute(
        sa.text("SELECT pg_try_advisory_lock(:key) AS got, pg_backend_pid() AS pid"), {"key": key}
    ).one()
    if row.got:
        return _AdvisoryLock(connection, key, row.pid)
    connection.close()
    return None
