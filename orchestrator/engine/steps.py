"""Carries out one step: the gate before it, its record, its action, its outcome. Never raises but for
StopWork."""

import logging

from orchestrator.changeset.changes import Step, StepKind
from orchestrator.contract.errors import ErrorKind, LeaseLost, ProviderError
from orchestrator.diagnostics import FerryError
from orchestrator.engine import journal, runs
from orchestrator.engine.job import Job
from orchestrator.engine.outcome import Outcome, StopWork, failed, of_error
from orchestrator.engine.runtime import Engine
from orchestrator.history import HostStatus, StepStatus

log = logging.getLogger("ferry.engine")

GATE_POLL = 0.3

TARGET_STEPS = frozenset({StepKind.STAGE, StepKind.INVENTORY_TARGET, StepKind.REMOVE_TARGET})
"""Steps that work on the target's endpoint; all others work on the legacy machine's, or on none."""


def gate(engine: Engine, run: str) -> Outcome | None:
    """Block while the run is paused. Return an outcome when the host must end here. Raises StopWork on
    shutdown."""
    while True:
        if engine.stopping.is_set():
            message = "this worker is leaving"
            raise StopWork(message)
        row = runs.row(engine.runtime.state, run)
        if row.cancelled:
            return failed("cancelled", "the run was cancelled", status=HostStatus.CANCELLED)
        if not (row.paused or row.interrupted):
            return None
        engine.stopping.wait(GATE_POLL)


def carry_out(job: Job, attempt: int, position: int) -> Outcome:
    """Carry out step `position` of the host."""
    stopped = gate(job.engine, job.run)
    if stopped is not None:
        return stopped
    step = job.host.steps[position]
    try:
        _begin(job, attempt, position, step)
        outcome = _act(job, step.kind)
        _end(job, attempt, position, step, outcome)
    except LeaseLost as error:
        log.warning("%s", error)
        raise StopWork(str(error)) from error
    return outcome


def _act(job: Job, kind: StepKind) -> Outcome:
    # Here, not above: the actions stand above this module's other users and pull in parity and lifecycle.
    from orchestrator.engine.actions import ACTIONS

    try:
        return ACTIONS[kind](job)
    except LeaseLost:
        raise
    except FerryError as error:
        if isinstance(error, ProviderError) and error.kind in (ErrorKind.TRANSIENT, ErrorKind.UNCERTAIN):
            _forget(job, kind)
        return of_error(error)
    except Exception as error:
        log.exception("step %s of %s in run %s failed", kind.value, job.name, job.run)
        message = f"{kind.value} failed for a reason that ferry does not know: {type(error).__name__}"
        return failed("internal", message, "see the log; the run can be resumed or undone")


def _forget(job: Job, kind: StepKind) -> None:
    name = job.target.endpoint if kind in TARGET_STEPS else job.host.plan.endpoint
    job.engine.forget_adapter(job.endpoint(name).settings)


def _begin(job: Job, attempt: int, position: int, step: Step) -> None:
    at = job.now()
    with job.lease.guarded() as connection:
        runs.begin_step(connection, job.run, job.name, attempt, position, step.kind.value, at)
        data = {"step": step.kind.value, "title": step.title, "generation": job.lease.generation}
        journal.append(connection, job.run, job.name, "step-started", data, at)


def _end(job: Job, attempt: int, position: int, step: Step, outcome: Outcome) -> None:
    at, status = job.now(), StepStatus.DONE if outcome.ok else StepStatus.FAILED
    with job.lease.guarded() as connection:
        runs.end_step(connection, job.run, job.name, attempt, position, status, outcome.message, at)
        data = {"step": step.kind.value, "message": outcome.message, "code": outcome.code}
        journal.append(connection, job.run, job.name, f"step-{status.value}", data, at)
