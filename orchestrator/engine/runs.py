"""Rows of runs, hosts, phases and steps. No decisions: who may start what is decided in `api` and
`workflows`."""

from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from orchestrator.changeset.changes import ChangeSet
from orchestrator.changeset.store import parse_body
from orchestrator.diagnostics import FerryError
from orchestrator.engine.state import State
from orchestrator.engine.tables import change_sets, hosts, matching, phases, runs, steps
from orchestrator.engine.tables import journal as journal_table
from orchestrator.history import HostStatus, RunStatus, StepStatus

ENDED = frozenset({RunStatus.DONE, RunStatus.FAILED, RunStatus.CANCELLED})


# Built once: SQLAlchemy takes longer to put such a statement together than SQLite to carry it out.
_RUN = sa.select(runs).where(*matching(runs, "run"))
_HOST_STATUS = sa.select(hosts.c.status).where(*matching(hosts, "run", "host"))
_SET_HOST = hosts.update().where(*matching(hosts, "run", "host"))
_STEP_KEY = ("run", "host", "attempt", "position")
_STEPS = sa.select(steps.c.position, steps.c.status).where(*matching(steps, *_STEP_KEY[:3]))
_SET_STEP = steps.update().where(*matching(steps, *_STEP_KEY))
_NEW_STEP = steps.insert()
_PHASE_KEY = ("run", "host", "attempt", "phase")
_PHASE = sa.select(phases.c.outcome).where(*matching(phases, *_PHASE_KEY))
_NEW_PHASE = phases.insert()


def _key(names: Iterable[str], *values: object) -> dict[str, object]:
    return {f"of_{name}": value for name, value in zip(names, values, strict=True)}


class NoSuchRun(FerryError):
    """There is no run of that name in this state."""

    code = "no-run"


def row(state: State, run: str) -> Any:
    """Return the run's row. Raises NoSuchRun."""
    with state.read() as connection:
        return found(connection, run)


def found(connection: sa.Connection, run: str) -> Any:
    """As `row`, within the caller's transaction."""
    known = connection.execute(_RUN, {"of_run": run}).first()
    if known is None:
        message = f"there is no run {run!r} in this state"
        raise NoSuchRun(message, hint="`ferry run list` shows the runs; --state names another state")
    return known


def newest(state: State) -> str | None:
    """Return the run that was started last."""
    query = sa.select(runs.c.run).order_by(runs.c.started_at.desc(), runs.c.run.desc()).limit(1)
    with state.read() as connection:
        return connection.execute(query).scalar()


def all_ids(state: State) -> tuple[str, ...]:
    """Return every run that has a row or a journal, so that a deleted row hides no journal."""
    with state.read() as connection:
        found = set(connection.execute(sa.select(runs.c.run)).scalars())
        found |= set(connection.execute(sa.select(journal_table.c.run).distinct()).scalars())
    return tuple(sorted(found))


def change_set(state: State, digest: str) -> ChangeSet:
    """Return a change set that was carried out, by its digest."""
    return _read_change_set(state, digest)


@lru_cache(maxsize=8)
def _read_change_set(state: State, digest: str) -> ChangeSet:
    """Read once per process: every phase of every host asks for it, and it never changes."""
    query = sa.select(change_sets.c.body).where(change_sets.c.digest == digest)
    with state.read() as connection:
        return parse_body(connection.execute(query).scalar_one())


def insert(
    connection: sa.Connection, run: str, digest: str, body: str, change: ChangeSet, at: datetime
) -> None:
    """Write a new run with its hosts. Raises sqlalchemy's IntegrityError when the change set has run
    already."""
    connection.execute(
        runs.insert().values(
            run=run,
            digest=digest,
            name=change.name,
            kind=change.kind.value,
            undo_of=change.undo_of,
            status=RunStatus.RUNNING.value,
            attempt=1,
            started_at=at.isoformat(),
        )
    )
    connection.execute(change_sets.insert().values(digest=digest, body=body))
    rows = [
        {
            "run": run,
            "host": host.plan.name,
            "position": position,
            "wave": host.plan.wave,
            "status": HostStatus.WAITING.value,
            "attempt": 1,
        }
        for position, host in enumerate(change.hosts)
    ]
    if rows:
        connection.execute(hosts.insert(), rows)


def set_run(connection: sa.Connection, run: str, **values: Any) -> int:
    """Change columns of a run's row; return the number of rows (0 or 1)."""
    return connection.execute(runs.update().where(runs.c.run == run).values(**values)).rowcount


def next_attempt(connection: sa.Connection, run: str, attempt: int) -> bool:
    """Open attempt `attempt` + 1 for the hosts that are not done; False when another process was quicker."""
    fresh = {"paused": False, "interrupted": False, "cancelled": False, "ended_at": None}
    opened = connection.execute(
        runs.update()
        .where(runs.c.run == run, runs.c.attempt == attempt)
        .values(attempt=attempt + 1, status=RunStatus.RUNNING.value, **fresh)
    )
    if opened.rowcount != 1:
        return False
    again = {
        "status": HostStatus.WAITING.value,
        "attempt": attempt + 1,
        "code": "",
        "message": "",
        "hint": "",
    }
    left = (hosts.c.run == run, hosts.c.status != HostStatus.DONE.value)
    connection.execute(hosts.update().where(*left).values(**again))
    return True


def set_host(connection: sa.Connection, run: str, host: str, status: HostStatus, **words: str) -> None:
    """Change a host's state and words (code, message, hint)."""
    connection.execute(_SET_HOST, _key(("run", "host"), run, host) | {"status": status.value} | words)


def host_rows(state: State, run: str) -> dict[str, Any]:
    """Return the hosts' rows by name, in the order of the change set."""
    query = sa.select(hosts).where(hosts.c.run == run).order_by(hosts.c.position)
    with state.read() as connection:
        return {r.host: r for r in connection.execute(query)}


def host_status(connection: sa.Connection, run: str, host: str) -> str:
    """Return one host's status, within the caller's transaction."""
    return str(connection.execute(_HOST_STATUS, _key(("run", "host"), run, host)).scalar_one())


def with_status(
    connection: sa.Connection, run: str, statuses: Iterable[str], *, wave: str | None = None
) -> list[str]:
    """Return the hosts of a run, or of one wave, that are in one of these states."""
    query = sa.select(hosts.c.host).where(hosts.c.run == run, hosts.c.status.in_(tuple(statuses)))
    if wave is not None:
        query = query.where(hosts.c.wave == wave)
    return list(connection.execute(query.order_by(hosts.c.position)).scalars())


def host_statuses(connection: sa.Connection, run: str) -> list[tuple[str, str]]:
    """Return (host, status) of all hosts, within the caller's transaction."""
    query = sa.select(hosts.c.host, hosts.c.status).where(hosts.c.run == run)
    return [(r.host, r.status) for r in connection.execute(query)]


def step_statuses(state: State, run: str, host: str, attempt: int) -> dict[int, StepStatus]:
    """Return the steps of a host's attempt that were begun: position and status."""
    with state.read() as connection:
        known = connection.execute(_STEPS, _key(_STEP_KEY[:3], run, host, attempt))
        return {position: StepStatus(status) for position, status in known}


def begin_step(
    connection: sa.Connection, run: str, host: str, attempt: int, position: int, step: str, at: datetime
) -> None:
    """Write that a step runs; again after a crash."""
    values = {"step": step, "status": StepStatus.RUNNING.value, "started_at": at.isoformat(), "message": ""}
    if _set_step(connection, (run, host, attempt, position), **values, ended_at=None) == 0:
        ids = {"run": run, "host": host, "attempt": attempt, "position": position}
        connection.execute(_NEW_STEP, ids | values)


def end_step(
    connection: sa.Connection,
    run: str,
    host: str,
    attempt: int,
    position: int,
    status: StepStatus,
    message: str,
    at: datetime,
) -> None:
    """Write how a step ended."""
    values = {"status": status.value, "message": message, "ended_at": at.isoformat()}
    _set_step(connection, (run, host, attempt, position), **values)


def _set_step(connection: sa.Connection, key: tuple[str, str, int, int], **values: str | None) -> int:
    return connection.execute(_SET_STEP, _key(_STEP_KEY, *key) | values).rowcount


def end_phase(connection: sa.Connection, run: str, host: str, attempt: int, phase: int, outcome: str) -> None:
    """Write a phase's outcome (JSON); the first one stands."""
    if connection.execute(_PHASE, _key(_PHASE_KEY, run, host, attempt, phase)).first() is None:
        ids = {"run": run, "host": host, "attempt": attempt, "phase": phase}
        connection.execute(_NEW_PHASE, ids | {"outcome": outcome})


def phase_outcome(state: State, run: str, host: str, attempt: int, phase: int) -> str | None:
    """Return a phase's outcome (JSON); None while it has none."""
    with state.read() as connection:
        return connection.execute(_PHASE, _key(_PHASE_KEY, run, host, attempt, phase)).scalar()
