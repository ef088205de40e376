"""Opens the state database: SQLite (WAL, readable by its owner only) or PostgreSQL. Refuses what a newer
ferry wrote.

DBOS keeps its own tables in the same database. No query of a single table stands here.
"""

import os
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, OperationalError

from orchestrator.diagnostics import Diagnostic, FerryError, InvalidInput, Refused
from orchestrator.engine import tables

DBOS_SCHEMA = {"sqlite": 125, "postgresql": 125}
"""The newest system schema of DBOS that this ferry knows. A test compares it with the installed DBOS."""

Clock = Callable[[], datetime]

_PATIENCE = 30.0
"""Seconds that a database server may be away in the middle of a run; SQLite waits as long for its lock."""


class StateUnavailable(FerryError):
    """The state database cannot be opened."""

    code = "state"


def default_state_url(environ: Mapping[str, str]) -> str:
    """Return FERRY_STATE, or a SQLite file under the XDG state directory."""
    if environ.get("FERRY_STATE"):
        return environ["FERRY_STATE"]
    base = environ.get("XDG_STATE_HOME") or str(Path(environ.get("HOME", "~")).expanduser() / ".local/state")
    return f"sqlite:///{Path(base) / 'ferry' / 'state.db'}"


class State:
    """An open state database. Shared between threads; `close` when done."""

    def __init__(self, url: sa.URL, engine: sa.Engine, clock: Clock) -> None:
        self.url = url
        self.dialect = engine.dialect.name
        self.base_engine = engine
        """Without our schema translation: what DBOS is given on SQLite."""
        self.engine = (
            engine
            if self.dialect == "sqlite"
            else engine.execution_options(schema_translate_map={None: tables.SCHEMA})
        )
        self.path = Path(url.database) if self.dialect == "sqlite" and url.database else None
        self.state_id = ""
        self._clock = clock

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Yield a connection for reading. Raises StateUnavailable when the database does not answer."""
        with self._answering(), self._connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """Yield a connection in a transaction that holds the write lock from its first statement (SQLite).

        Raises StateUnavailable when the database does not answer.
        """
        with self._answering(), self._connect() as connection, connection.begin():
            if self.dialect == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection

    def _connect(self) -> sa.Connection:
        """Connect; a server that is just being restarted is waited for."""
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                return self.engine.connect()
            except OperationalError:
                if not self.state_id or time.monotonic() > end:
                    raise
            time.sleep(0.5)

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except OperationalError as error:
            message = f"the state database {shown(self.url)} does not answer: {str(error.orig).strip()}"
            hint = "is its server up, or does a stopped ferry process hold its lock? The run can be resumed"
            raise StateUnavailable(message, hint=hint) from error

    def now(self) -> datetime:
        """Return the time that heartbeats are compared by: one clock for all workers of this state."""
        if self.dialect == "sqlite":
            return self._clock()
        with self.read() as connection:
            found: datetime = connection.execute(sa.text("SELECT clock_timestamp()")).scalar_one()
        return found.astimezone(UTC)

    def close(self) -> None:
        """Close every connection. Repeatable."""
        self.engine.dispose()


def open_state(url: str, clock: Clock) -> State:
    """Open the state database, making it where it does not exist.

    Raises InvalidInput for an address that is none, StateUnavailable, Refused (code "newer-state").
    """
    parsed = _parse(url)
    engine = _sqlite(parsed) if parsed.get_backend_name() == "sqlite" else _postgresql(parsed)
    state = State(parsed, engine, clock)
    try:
        _refuse_newer(state)
        state.state_id = _prepare(state)
    except DBAPIError as error:
        engine.dispose()
        message = f"the state database {shown(parsed)} cannot be opened: {str(error.orig).strip()}"
        raise StateUnavailable(message, hint="check --state or FERRY_STATE, and the rights on it") from None
    except BaseException:
        engine.dispose()
        raise
    return state


def shown(url: sa.URL) -> str:
    """Return the address as it may be shown: without a password."""
    return url.render_as_string(hide_password=True)


def _parse(url: str) -> sa.URL:
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:
        parsed = None
    hint = "write sqlite:////path/to/state.db or postgresql://user@server/database"
    if parsed is None or parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise InvalidInput(
            (Diagnostic("state-url", "the state address is neither SQLite nor PostgreSQL", hint),)
        )
    if parsed.get_backend_name() == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.database in (None, "", ":memory:"):
        raise InvalidInput(
            (Diagnostic("state-url", "the state must be a file: it outlives the process", hint),)
        )
    return parsed.set(database=str(Path(str(parsed.database)).expanduser().absolute()))


def _sqlite(url: sa.URL) -> sa.Engine:
    _make_private(Path(str(url.database)))
    engine = sa.create_engine(url, pool_size=32, max_overflow=64, pool_timeout=60)

    @sa.event.listens_for(engine, "connect")
    def pragmas(connection: Any, _record: Any) -> None:
        # All four of DBOS' own engine must be repeated by an engine that is handed to it; WAL and FULL are
        # ours.
        connection.isolation_level = "IMMEDIATE"
        connection.execute("PRAGMA busy_timeout=30000")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")

    _queue_writers(engine)
    return engine


_WRITES = re.compile(r"\s*(INSERT|UPDATE|DELETE|REPLACE|BEGIN IMMEDIATE)\b", re.IGNORECASE)


def _queue_writers(engine: sa.Engine) -> None:
    """Let the writers of this process, DBOS among them, wait for each other in a lock.

    In SQLite's busy handler they would sleep, up to 100 ms at a time. Between processes that is still so. A
    writer that waits in vain goes on, and meets SQLite's own lock.
    """
    lock = threading.Lock()

    @sa.event.listens_for(engine, "before_cursor_execute")
    def wait_for_turn(
        connection: sa.Connection, _cursor: Any, statement: str, _parameters: Any, _context: Any, _many: bool
    ) -> None:
        if not connection.info.get("ferry writes") and _WRITES.match(statement):
            connection.info["ferry writes"] = lock.acquire(timeout=_PATIENCE)

    @sa.event.listens_for(engine, "checkin")
    def let_next(_dbapi_connection: Any, record: Any) -> None:
        if record.info.pop("ferry writes", False):
            lock.release()


def _make_private(path: Path) -> None:
    """Make the file 0600 before SQLite opens it: its -wal and -shm files inherit that."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
    except OSError as error:
        message = f"the state file {path} cannot be made: {error.strerror}"
        raise StateUnavailable(message, hint="give another one with --state or FERRY_STATE") from None


def _postgresql(url: sa.URL) -> sa.Engine:
    try:
        return sa.create_engine(url, pool_size=10, max_overflow=30, pool_timeout=60, pool_pre_ping=True)
    except ImportError:
        message = "a state on PostgreSQL needs the package psycopg"
        raise StateUnavailable(message, hint="pip install ferry6003[postgresql]") from None


def _refuse_newer(state: State) -> None:
    """Look before anything is written: an older ferry on newer tables loses results silently."""
    found = _read_int(state, "SELECT value FROM {0}ferry_meta WHERE key = 'schema_version'", tables.SCHEMA)
    if found is not None and found > tables.SCHEMA_VERSION:
        message = (
            f"the state was written by a newer ferry: schema {found}, this one knows {tables.SCHEMA_VERSION}"
        )
        raise Refused(message, hint="use the newer ferry, or another state", code="newer-state")
    known = DBOS_SCHEMA[state.dialect]
    system = _read_int(state, "SELECT max(version) FROM {0}dbos_migrations", "dbos")
    if system is not None and system > known:
        message = f"the state was written with a newer DBOS: system schema {system}, this ferry knows {known}"
        raise Refused(message, hint="use the newer ferry, or another state", code="newer-state")


def _read_int(state: State, query: str, schema: str) -> int | None:
    """Read one number from a table that may not be there."""
    table = query.split("{0}")[1].split()[0]
    where = None if state.dialect == "sqlite" else schema
    with state.base_engine.connect() as connection:
        if not sa.inspect(connection).has_table(table, schema=where):
            return None
        prefix = f"{schema}." if where else ""
        value = connection.execute(sa.text(query.format(prefix))).scalar()
    return None if value is None else int(value)


def _prepare(state: State) -> str:
    """Create what is missing and return the state's id; safe when several processes do it at once."""
    with state.write() as connection:
        if state.dialect == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(6003)"))
            connection.execute(sa.text(f"CREATE SCHEMA IF NOT EXISTS {tables.SCHEMA}"))
        tables.metadata.create_all(connection)
        rows = {r.key: r.value for r in connection.execute(sa.select(tables.meta))}
        wanted = {
            "schema_version": str(tables.SCHEMA_VERSION),
            "state_id": str(uuid.uuid4()),
            "ferry_version": _version("ferry6003"),
            "dbos_version": _version("dbos"),
        }
        for key in wanted.keys() - rows.keys():
            connection.execute(tables.meta.insert().values(key=key, value=wanted[key]))
    return str(rows.get("state_id", wanted["state_id"]))


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unknown"
