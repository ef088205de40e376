"""Facts kept with a run, each with its SHA-256 and time. Nothing is overwritten: the newest of a kind counts,
the older ones stay."""

import hashlib
from datetime import datetime
from typing import Any, TypeVar

import sqlalchemy as sa
from pydantic import TypeAdapter

from orchestrator.changeset.store import canonical_json
from orchestrator.diagnostics import FerryError
from orchestrator.engine.state import State
from orchestrator.engine.tables import evidence
from orchestrator.history import Evidence

T = TypeVar("T")


class EvidenceDamaged(FerryError):
    """Stored evidence does not match its own hash."""

    code = "evidence-damaged"


def put(
    connection: sa.Connection, run: str, host: str, kind: str, value: Any, at: datetime, *, once: bool = False
) -> Evidence:
    """Store a value (a pydantic value, or a list of them) as canonical JSON; the same again is not stored
    twice.

    `once`: what is stored already stays, whatever `value` is (the captures of the way back).
    """
    body = canonical_json(TypeAdapter(type(value)).dump_python(value, mode="json"))
    sha256 = hashlib.sha256(body.encode("ascii")).hexdigest()
    old = _newest(connection, run, host, kind)
    if old is not None and (once or old.sha256 == sha256):
        return _value(old)
    made = Evidence(run=run, host=host, kind=kind, at=at, sha256=sha256, body=body)
    connection.execute(_NEW, made.model_dump() | {"at": at.isoformat()})
    return made


def latest(state: State, run: str, host: str, kind: str) -> Evidence | None:
    """Return the newest evidence of a kind. Raises EvidenceDamaged."""
    with state.read() as connection:
        row = _newest(connection, run, host, kind)
    return None if row is None else _value(row)


def read(state: State, run: str, host: str, kind: str, shape: type[T]) -> T | None:
    """Return the newest evidence of a kind as a value of `shape`."""
    found = latest(state, run, host, kind)
    return None if found is None else TypeAdapter(shape).validate_json(found.body)


def of_run(state: State, run: str) -> tuple[Evidence, ...]:
    """Return all evidence of a run, in the order in which it was stored."""
    query = sa.select(evidence).where(evidence.c.run == run).order_by(evidence.c.id)
    with state.read() as connection:
        return tuple(_value(row) for row in connection.execute(query))


def newest_of_host(state: State, host: str, kind: str) -> Evidence | None:
    """Return the newest evidence of a host over all runs (preview's "known from an earlier run")."""
    query = sa.select(evidence).where(evidence.c.host == host, evidence.c.kind == kind)
    with state.read() as connection:
        row = connection.execute(query.order_by(evidence.c.id.desc()).limit(1)).first()
    return None if row is None else _value(row)


def hosts_with(state: State, kind: str) -> tuple[tuple[str, str], ...]:
    """Return (run, host) of all evidence of a kind, oldest first, without reading its content."""
    query = sa.select(evidence.c.run, evidence.c.host).where(evidence.c.kind == kind).order_by(evidence.c.id)
    with state.read() as connection:
        return tuple((row.run, row.host) for row in connection.execute(query))


# Built once: SQLAlchemy takes longer to put such a statement together than SQLite to carry it out.
_NEW = evidence.insert()
_NEWEST = (
    sa.select(evidence)
    .where(*(evidence.c[name] == sa.bindparam(name) for name in ("run", "host", "kind")))
    .order_by(evidence.c.id.desc())
    .limit(1)
)


def _newest(connection: sa.Connection, run: str, host: str, kind: str) -> Any:
    return connection.execute(_NEWEST, {"run": run, "host": host, "kind": kind}).first()


def _value(row: Any) -> Evidence:
    if hashlib.sha256(row.body.encode()).hexdigest() != row.sha256:
        message = f"evidence {row.kind} of {row.host} in run {row.run} does not match its SHA-256"
        raise EvidenceDamaged(message, hint="the state database was edited; do not rest anything on it")
    fields = dict(row._mapping)
    del fields["id"]
    return Evidence.model_validate(fields)
