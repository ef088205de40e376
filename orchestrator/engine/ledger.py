"""Every object that we created, so that only our own is ever removed. The key is (endpoint identity, kind,
object id)."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from orchestrator.engine.state import State
from orchestrator.engine.tables import ledger
from orchestrator.history import LedgerEntry, LedgerState

_THERE = (LedgerState.INTENDED.value, LedgerState.PRESENT.value)


def record(connection: sa.Connection, entry: LedgerEntry) -> None:
    """Write the entry; of one key the newest stands, its history is in the journal.

    An intention repeated by the same token does not lower "exists" to "may exist".
    """
    old = connection.execute(
        sa.select(ledger).where(*_key(entry.endpoint, entry.kind, entry.object_id))
    ).first()
    values = entry.model_dump(mode="json") | {"at": entry.at.isoformat()}
    if old is None:
        connection.execute(ledger.insert().values(**values))
        return
    if entry.state is LedgerState.INTENDED and old.state == LedgerState.PRESENT and old.token == entry.token:
        return
    connection.execute(
        ledger.update().where(*_key(entry.endpoint, entry.kind, entry.object_id)).values(**values)
    )


def set_state(
    connection: sa.Connection, endpoint: str, kind: str, object_id: str, state: LedgerState, at: datetime
) -> bool:
    """Change the state of an entry that is there; False where there is none."""
    changed = connection.execute(
        ledger.update().where(*_key(endpoint, kind, object_id)).values(state=state.value, at=at.isoformat())
    )
    return bool(changed.rowcount)


def owns(state: State, endpoint: str, kind: str, object_id: str) -> bool:
    """Tell whether we made the object, or were about to, and have not removed it."""
    return _is_one_of(state, _key(endpoint, kind, object_id), _THERE)


def is_present(state: State, endpoint: str, kind: str, object_id: str) -> bool:
    """Tell whether the ledger says already that the object exists."""
    return _is_one_of(state, _key(endpoint, kind, object_id), (LedgerState.PRESENT.value,))


def _is_one_of(state: State, key: tuple[Any, ...], states: tuple[str, ...]) -> bool:
    query = sa.select(ledger.c.token).where(*key, ledger.c.state.in_(states))
    with state.read() as connection:
        return connection.execute(query).first() is not None


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


def _key(endpoint: str, kind: str, object_id: str) -> tuple[Any, ...]:
    return (ledger.c.endpoint == endpoint, ledger.c.kind == kind, ledger.c.object_id == object_id)
