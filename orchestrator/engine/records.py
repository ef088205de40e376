"""Records of runs, assembled from their rows: what the command line shows."""

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from orchestrator.engine import journal
from orchestrator.engine.runs import ENDED
from orchestrator.engine.state import State
from orchestrator.engine.tables import hosts, runs, steps
from orchestrator.history import HostRecord, RunRecord, RunStatus, StepRecord


def of_runs(state: State, names: Sequence[str] | None, *, worked_on: bool) -> tuple[RunRecord, ...]:
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
