"""Every object that we created, so that only our own is ever removed. The key is (endpoint identity, kind,
object id)."""

from datetime import datetime

import sqlalchemy as sa

from orchestrator.engine.state import State
from orchestrator.engine.tables import ledger, matching
from orchestrator.history import LedgerEntry, LedgerState

_KEY = matching(ledger, "endpoint", "kind", "object_id")
_ENTRY = sa.select(ledger).where(*_KEY)
_SET_ENTRY = ledger.update().where(*_KEY)
_NEW_ENTRY = ledger.insert()
# Built once: SQLAlchemy takes longer to put such a statement together than SQLite to carry it out.
_STATE = sa.select(ledger.c.state).where(*_KEY)
_THERE = (LedgerState.INTENDED.value, LedgerState.PRESENT.value)


def record(connection: sa.Connection, entry: LedgerEntry) -> None:
    """Write the entry; of one key the newest stands, its history is in the journal.

    An intention repeated by the same token does not lower "exists" to "may exist".
    """
    key = _named(entry.endpoint, entry.kind, entry.object_id)
    old = connection.execute(_ENTRY, key).first()
    values = entry.model_dump(mode="json") | {"at": entry.at.isoformat()}
    if old is None:
        connection.execute(_NEW_ENTRY, values)
        return
    if entry.state is LedgerState.INTENDED and old.state == LedgerState.PRESENT and old.token == entry.token:
        return
    connection.execute(_SET_ENTRY, key | values)


def set_state(
    connection: sa.Connection, endpoint: str, kind: str, object_id: str, state: LedgerState, at: datetime
) -> bool:
    """Change the state of an entry that is there; False where there is none."""
    values = _named(endpoint, kind, object_id) | {"state": state.value, "at": at.isoformat()}
    return bool(connection.execute(_SET_ENTRY, values).rowcount)


def owns(state: State, endpoint: str, kind: str, object_id: str) -> bool:
    """Tell whether we made the object, or were about to, and have not removed it."""
    return _state(state, endpoint, kind, object_id) in _THERE


def is_present(state: State, endpoint: str, kind: str, object_id: str) -> bool:
    """Tell whether the ledger says already that the object exists."""
    return _state(state, endpoint, kind, object_id) == LedgerState.PRESENT


def _state(state: State, endpoint: str, kind: str, object_id: str) -> str | None:
    with state.read() as connection:
        return connection.execute(_STATE, _named(endpoint, kind, object_id)).scalar()


def _named(endpoint: str, kind: str, object_id: str) -> dict[str, str]:
    return {"of_endpoint": endpoint, "of_kind": kind, "of_object_id": object_id}


def knows_token(state: State, token: str) -> bool:
    """Tell whether an object with this token stands in our ledger, whatever became of it."""
    with state.read() as connection:
        return (
            connection.execute(sa.select(ledger.c.token).where(ledger.c.token == token)).first() is not None
        )


def entries(
    state: State, *, run: str | None = None, host: str | None = None, there: bool = False
) -> tuple[LedgerEntry, ...]:
    """Return entries, oldest first; `there` leaves out what was removed."""
    query = sa.select(ledger).order_by(ledger.c.at, ledger.c.kind, ledger.c.object_id)
    if run is not None:
        query = query.where(ledger.c.run == run)
    if host is not None:
        query = query.where(ledger.c.host == host)
    if there:
        query = query.where(ledger.c.state.in_(_THERE))
    with state.read() as connection:
        return tuple(LedgerEntry.model_validate(dict(r._mapping)) for r in connection.execute(query))
