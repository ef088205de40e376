"""Rows of runs, hosts and steps, and the records made from them. No decisions: who may start what is decided
in `api` and `workflows`."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from orchestrator.changeset.changes import ChangeSet
from orchestrator.changeset.store import parse_body
from orchestrator.diagnostics import FerryError
from orchestrator.engine import journal
from orchestrator.engine.state import State
from orchestrator.engine.tables import change_sets, hosts, phases, runs, steps
from orchestrator.engine.tables import journal as journal_table
from orchestrator.history import HostRecord, HostStatus, RunRecord, RunStatus, StepRecord, StepStatus

ENDED = frozenset({RunStatus.DONE, RunStatus.FAILED, RunStatus.CANCELLED})


# Built once: SQLAlchemy takes longer to put such a statement together than SQLite to carry it out.
_RUN = sa.select(runs).where(runs.c.run == sa.bindparam("run"))
_STEP_KEY = ("of_run", "of_host", "of_attempt", "at_position")
_STEP = steps.update().where(
    *(c == sa.bindparam(n) for c, n in zip(steps.primary_key.columns, _STEP_KEY, strict=True))
)
_NEW_STEP = steps.insert()


class NoSuchRun(FerryError):
    """There is no run of that name in this state."""

    code = "no-run"


def row(state: State, run: str) -> Any:
    """Return the run's row. Raises NoSuchRun."""
    with state.read() as connection:
        return found(connection, run)


def found(connection: sa.Connection, run: str) -> Any:
    """As `row`, within the caller's transaction."""
    known = connection.execute(_RUN, {"run": run}).first()
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
    connection.execute(
        hosts.update().where(hosts.c.run == run, hosts.c.host == host).values(status=status.value, **words)
    )


def host_rows(state: State, run: str) -> dict[str, Any]:
    """Return the hosts' rows by name, in the order of the change set."""
    query = sa.select(hosts).where(hosts.c.run == run).order_by(hosts.c.position)
    with state.read() as connection:
        return {r.host: r for r in connection.execute(query)}


def host_status(connection: sa.Connection, run: str, host: str) -> str:
    """Return one host's status, within the caller's transaction."""
    mine = (hosts.c.run == run, hosts.c.host == host)
    return str(connection.execute(sa.select(hosts.c.status).where(*mine)).scalar_one())


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
    mine = (steps.c.run == run, steps.c.host == host, steps.c.attempt == attempt)
    with state.read() as connection:
        known = connection.execute(sa.select(steps.c.position, steps.c.status).where(*mine))
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
    return connection.execute(_STEP, dict(zip(_STEP_KEY, key, strict=True)) | values).rowcount


def end_phase(connection: sa.Connection, run: str, host: str, attempt: int, phase: int, outcome: str) -> None:
    """Write a phase's outcome (JSON); the first one stands."""
    key = (phases.c.run == run, phases.c.host == host, phases.c.attempt == attempt, phases.c.phase == phase)
    if connection.execute(sa.select(phases.c.phase).where(*key)).first() is None:
        ids = {"run": run, "host": host, "attempt": attempt, "phase": phase}
        connection.execute(phases.insert().values(**ids, outcome=outcome))


def phase_outcome(state: State, run: str, host: str, attempt: int, phase: int) -> str | None:
    """Return a phase's outcome (JSON); None while it has none."""
    key = (phases.c.run == run, phases.c.host == host, phases.c.attempt == attempt, phases.c.phase == phase)
    with state.read() as connection:
        return connection.execute(sa.select(phases.c.outcome).where(*key)).scalar()


def records(state: State, names: Sequence[str] | None, *, worked_on: bool) -> tuple[RunRecord, ...]:
    """Assemble records, oldest first; `names` None is all. `worked_on`: some live worker takes this state's
    work."""
    run_query = sa.select(runs).order_by(runs.c.started_at, runs.c.run)
    host_query = sa.select(hosts).order_by(hosts.c.position)
    step_query = sa.select(steps).order_by(steps.c.position)
    if names is not None:
        run_query = run_query.where(runs.c.run.in_(names))
        host_query = host_query.where(hosts.c.run.in_(names))
        step_query = step_query.where(steps.c.run.in_(names))
    with state.read() as connection:
        run_rows = connection.execute(run_query).all()
        host_rows_ = connection.execute(host_query).all()
        step_rows = connection.execute(step_query).all()
    by_run: dict[str, list[Any]] = {}
    for host in host_rows_:
        by_run.setdefault(host.run, []).append(host)
    by_host: dict[tuple[str, str, int], list[Any]] = {}
    for step in step_rows:
        by_host.setdefault((step.run, step.host, step.attempt), []).append(step)
    return tuple(_record(state, r, by_run.get(r.run, []), by_host, worked_on) for r in run_rows)


def _record(
    state: State,
    run: Any,
    host_rows_: Iterable[Any],
    by_host: dict[tuple[str, str, int], list[Any]],
    worked_on: bool,
) -> RunRecord:
    return RunRecord(
        run=run.run,
        digest=run.digest,
        name=run.name,
        kind=run.kind,
        undo_of=run.undo_of,
        status=_status(run, worked_on),
        started_at=run.started_at,
        ended_at=run.ended_at,
        hosts=tuple(
            HostRecord(
                host=h.host,
                wave=h.wave,
                status=h.status,
                code=h.code,
                message=h.message,
                hint=h.hint,
                # A host that was done before this attempt, or has not begun it, shows its earlier steps.
                steps=tuple(_step(s) for s in _last_steps(by_host, h)),
            )
            for h in host_rows_
        ),
        head=journal.head(state, run.run),
    )


def _last_steps(by_host: dict[tuple[str, str, int], list[Any]], host: Any) -> list[Any]:
    for attempt in range(host.attempt, 0, -1):
        found = by_host.get((host.run, host.host, attempt))
        if found:
            return found
    return []


def _step(found: Any) -> StepRecord:
    return StepRecord(
        step=found.step,
        status=found.status,
        started_at=found.started_at,
        ended_at=found.ended_at,
        message=found.message,
    )


def _status(run: Any, worked_on: bool) -> RunStatus:
    status = RunStatus(run.status)
    if status in ENDED:
        return status
    if run.interrupted or not worked_on:
        return RunStatus.INTERRUPTED
    return RunStatus.PAUSED if run.paused else RunStatus.RUNNING
