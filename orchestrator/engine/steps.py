"""Carries out the steps of one phase: the gate before each, its record, its action, its outcome. Never raises
but for StopWork.

What is done stands in our own table, written together with the journal's entry: whoever carries the phase out
again, after a crash, goes on behind it. A step's end and the next one's begin are one transaction, and so are
the last one's end, the phase's outcome and the giving back of the host.
"""

import logging

import sqlalchemy as sa

from orchestrator.changeset.changes import StepKind
from orchestrator.contract.errors import ErrorKind, LeaseLost, ProviderError
from orchestrator.diagnostics import FerryError
from orchestrator.engine import admission, journal, runs
from orchestrator.engine.gate import gate, is_open
from orchestrator.engine.job import Job
from orchestrator.engine.outcome import Outcome, StopWork, failed, of_error
from orchestrator.engine.schedule import TARGET_STEPS, Phase
from orchestrator.history import StepStatus

log = logging.getLogger("ferry.engine")

Ended = tuple[int, Outcome]
"""A step's position and how it ended, not written down yet."""


def carry_out(job: Job, attempt: int, number: int, phase: Phase) -> Outcome:
    """Carry out what is left of a phase of the host, and give the host back."""
    try:
        return _carry_out(job, attempt, number, phase)
    except LeaseLost as error:
        log.warning("%s", error)
        raise StopWork(str(error)) from error


def _carry_out(job: Job, attempt: int, number: int, phase: Phase) -> Outcome:
    known = runs.step_statuses(job.runtime.state, job.run, job.name, attempt)
    # Without any step the host has not begun: a later phase, or a repeat, finds it admitted.
    stopped = None if known else admission.admit(job)
    ended: Ended | None = None
    for position in range(phase.first, phase.last + 1):
        if known.get(position) == StepStatus.DONE:
            continue
        stopped = stopped or _begin(job, attempt, position, ended)
        if stopped is not None:
            ended = None
            break
        ended = position, _act(job, job.host.steps[position].kind)
        if not ended[1].ok:
            break
    outcome = stopped or (ended[1] if ended is not None else Outcome())
    _close(job, attempt, number, ended, outcome)
    return outcome


def _begin(job: Job, attempt: int, position: int, ended: Ended | None) -> Outcome | None:
    """Write the end of the step before and that this one runs; wait at the gate. Return an outcome when the
    host must end here, the end of the step before being written."""
    while True:
        with job.lease.guarded() as connection:
            if ended is not None:
                _write_end(connection, job, attempt, ended)
                ended = None
            if is_open(job.engine, runs.found(connection, job.run)):
                _write_begin(connection, job, attempt, position)
                return None
        stopped = gate(job.engine, job.run)
        if stopped is not None:
            return stopped


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
    job.engine.connections.forget(job.endpoint(name).settings)


def _close(job: Job, attempt: int, number: int, ended: Ended | None, outcome: Outcome) -> None:
    """Write how the phase ended. Whoever waits for that may begin the next one in another process at once."""
    with job.lease.ending() as connection:
        if ended is not None:
            _write_end(connection, job, attempt, ended)
        runs.end_phase(connection, job.run, job.name, attempt, number, outcome.model_dump_json())
    job.engine.bells.ring(f"{job.run}/{job.name}")


def _write_begin(connection: sa.Connection, job: Job, attempt: int, position: int) -> None:
    at, step = job.now(), job.host.steps[position]
    runs.begin_step(connection, job.run, job.name, attempt, position, step.kind.value, at)
    data = {"step": step.kind.value, "title": step.title, "generation": job.lease.generation}
    journal.append(connection, job.run, job.name, "step-started", data, at)


def _write_end(connection: sa.Connection, job: Job, attempt: int, ended: Ended) -> None:
    position, outcome = ended
    at, status = job.now(), StepStatus.DONE if outcome.ok else StepStatus.FAILED
    runs.end_step(connection, job.run, job.name, attempt, position, status, outcome.message, at)
    data = {"step": job.host.steps[position].kind.value, "message": outcome.message, "code": outcome.code}
    journal.append(connection, job.run, job.name, f"step-{status.value}", data, at)
