"""Which runs belong together: a run and its undos. Decides whose claim an undo may take over."""

import sqlalchemy as sa

from orchestrator.changeset.changes import ChangeSet, Kind
from orchestrator.engine.runs import ENDED
from orchestrator.engine.state import State
from orchestrator.engine.tables import runs
from orchestrator.model.machine import Claim


def replaceable_holder(state: State, change_set: ChangeSet, held: Claim | None) -> str | None:
    """Return the run whose claim this change set may replace: only an undo has one.

    That is the run that it takes back or an earlier undo of it, of this very state, and not one that still
    runs.
    """
    if change_set.kind is not Kind.UNDO or held is None or held.state_id != state.state_id:
        return None
    with state.read() as connection:
        row = connection.execute(sa.select(runs).where(runs.c.run == held.run)).first()
    if row is None or change_set.undo_of not in (row.run, row.undo_of) or row.status not in ENDED:
        return None
    return str(row.run)
