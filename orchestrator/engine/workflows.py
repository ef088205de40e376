"""The three workflow functions: run, host, phase. Imports DBOS: only `runtime` may import this, at launch.

Ids: `RUN~ATTEMPT`, `RUN/HOST/ATTEMPT`, `RUN/HOST/ATTEMPT/PHASE`. What DBOS is asked for, workflows and steps,
is a pure function of the change set and of what stands in our own tables for good: which hosts began, how a
phase ended. The steps of a phase are ours (`steps`): their record and the journal's are one transaction.
"""

import logging
from collections.abc import Callable
from typing import Any

from dbos import DBOS, SetEnqueueOptions, SetWorkflowID

from orchestrator.changeset.changes import ChangeSet, HostChange
from orchestrator.contract.errors import LeaseLost
from orchestrator.engine import admission, runs, schedule
from orchestrator.engine.job import Job
from orchestrator.engine.lease import Lease
from orchestrator.engine.outcome import Outcome, StopWork, failed
from orchestrator.engine.runtime import (
    APPLICATION_VERSION,
    HOSTS,
    MAX_PARALLEL,
    RUNS,
    Engine,
    endpoint_queue,
)
from orchestrator.engine.steps import carry_out

log = logging.getLogger("ferry.engine")

_LOOK_AGAIN = 1.0
"""Seconds between looks for what another process has finished; what this one finishes rings a bell."""

_LOOKS_PER_CHECK = 10
_FEW, _TOGETHER = 16, 0.05
"""Where more hosts than that are open, those that end within so many seconds count as ending together: with
thousands, not each of them is looked for by itself."""
_LOST = failed(
    "internal", "a workflow ended without an outcome", "see the log; the run can be resumed or undone"
)

GIVEN_UP = ("ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")
"""DBOS' states of a workflow that it will not go on with."""

_bound: list[Engine] = []


def bind(engine: Engine) -> None:
    """Say which engine the workflow functions of this process belong to. Raises RuntimeError for a second
    one."""
    if _bound and not _bound[0].stopping.is_set():
        message = "an engine is already launched in this process"
        raise RuntimeError(message)
    _bound[:] = [engine]


def run_id(run: str, attempt: int) -> str:
    """Return the id of the workflow of one attempt of a run."""
    return f"{run}~{attempt}"


def host_id(run: str, host: str, attempt: int) -> str:
    """Return the id of the workflow of one attempt of a host."""
    return f"{run}/{host}/{attempt}"


def start(run: str, attempt: int) -> None:
    """Begin an attempt of a run that nobody has begun, here and at once."""
    with SetWorkflowID(run_id(run, attempt)):
        DBOS.start_workflow(run_workflow, run, attempt)


def ensure_started(run: str, attempt: int) -> None:
    """Hand an attempt of a run to the workers. The same again changes nothing."""
    with SetWorkflowID(run_id(run, attempt)):
        DBOS.enqueue_workflow(RUNS, run_workflow, run, attempt)


def is_given_up(run: str, attempt: int) -> bool:
    """Tell whether nobody will go on with an attempt of a run: DBOS gave it up, or it is of a ferry whose
    workflows had other steps."""
    found = DBOS.get_workflow_status(run_id(run, attempt))
    return found is not None and (found.status in GIVEN_UP or found.app_version != APPLICATION_VERSION)


@DBOS.workflow(name="ferry.run")
def run_workflow(run: str, attempt: int) -> str:
    """Wave after wave, level after level; what may not begin is skipped with its reason."""
    engine = _bound[0]
    with engine.working():
        change_set = _change_set(engine, run)
        for wave in change_set.waves:
            for level in schedule.levels(change_set, wave):
                ready = _step("open level", admission.open_level, engine, change_set, run, list(level))
                for host in ready:
                    with SetWorkflowID(host_id(run, host, attempt)):
                        DBOS.enqueue_workflow(HOSTS, host_workflow, run, host, attempt)
                _step("await level", _await_hosts, engine, run, ready, attempt)
        return str(_step("close run", admission.close_run, engine, run))


@DBOS.workflow(name="ferry.host")
def host_workflow(run: str, host: str, attempt: int) -> str:
    """One phase after the other, each on its endpoint's queue, until one does not go well."""
    engine = _bound[0]
    with engine.working():
        change_set = _change_set(engine, run)
        plan = schedule.phases(change_set, _host(change_set, host), MAX_PARALLEL)
        outcome = Outcome()
        for number, phase in enumerate(plan):
            with (
                SetWorkflowID(f"{host_id(run, host, attempt)}/{number}"),
                SetEnqueueOptions(queue_partition_key=phase.identity),
            ):
                DBOS.enqueue_workflow(endpoint_queue(phase.limit), phase_workflow, run, host, attempt, number)
            outcome = _await_phase(engine, run, host, attempt, number)
            if not outcome.ok:
                break
        admission.close_host(engine, run, host, outcome)
        engine.bells.ring(run)
        return outcome.status.value


@DBOS.workflow(name="ferry.phase")
def phase_workflow(run: str, host: str, attempt: int, number: int) -> str:
    """The steps of one phase under one lease. The lease is of this very execution: a stale one cannot take it
    back."""
    engine = _bound[0]
    with engine.working():
        outcome = _phase_outcome(engine, run, host, attempt, number)
        if outcome is None:
            change_set, digest = _change_set(engine, run), runs.row(engine.runtime.state, run).digest
            change = _host(change_set, host)
            phase = schedule.phases(change_set, change, MAX_PARALLEL)[number]
            job = Job(engine, change_set, digest, change, _take(engine, run, host))
            try:
                outcome = carry_out(job, attempt, number, phase)
            finally:
                job.lease.release()
        return outcome.status.value


def _take(engine: Engine, run: str, host: str) -> Lease:
    """Take the host. Another live holder is about to let go of it, or will be taken over: wait for that."""
    while True:
        try:
            return engine.lease(run, host)
        except LeaseLost as error:
            log.info("waiting: %s", error)
        _wait(engine, f"{run}/{host}")


def _step(name: str, call: Callable[..., Any], *args: Any) -> Any:
    """Run a call as a DBOS step: recorded once, skipped in every later execution."""
    return DBOS.run_step({"name": name}, lambda: call(*args))


def _change_set(engine: Engine, run: str) -> ChangeSet:
    state = engine.runtime.state
    return runs.change_set(state, runs.row(state, run).digest)


def _host(change_set: ChangeSet, name: str) -> HostChange:
    return next(h for h in change_set.hosts if h.plan.name == name)


def _phase_outcome(engine: Engine, run: str, host: str, attempt: int, number: int) -> Outcome | None:
    found = runs.phase_outcome(engine.runtime.state, run, host, attempt, number)
    return None if found is None else Outcome.model_validate_json(found)


def _await_phase(engine: Engine, run: str, host: str, attempt: int, number: int) -> Outcome:
    while (outcome := _phase_outcome(engine, run, host, attempt, number)) is None:
        _wait(engine, f"{run}/{host}")
    return outcome


def _await_hosts(engine: Engine, run: str, names: list[str], attempt: int) -> bool:
    looks = 0
    while left := admission.open_of(engine, run, names):
        looks += 1
        if looks % _LOOKS_PER_CHECK == 0:
            _close_given_up(engine, run, attempt)
        _wait(engine, run)
        if len(left) > _FEW:
            engine.stopping.wait(_TOGETHER)
    return True


def _close_given_up(engine: Engine, run: str, attempt: int) -> None:
    """Write an outcome for what DBOS has given up: it failed where nothing fails, or was begun too often."""
    found = DBOS.list_workflows(
        workflow_id_prefix=f"{run}/", status=list(GIVEN_UP), load_input=False, load_output=False
    )
    for workflow in found:
        _, host, of_attempt, *phase = workflow.workflow_id.split("/")
        if int(of_attempt) != attempt:
            continue
        if phase:
            with engine.runtime.state.write() as connection:
                runs.end_phase(connection, run, host, attempt, int(phase[0]), _LOST.model_dump_json())
            engine.bells.ring(f"{run}/{host}")
        else:
            admission.close_host(engine, run, host, _LOST)


def _wait(engine: Engine, bell: str) -> None:
    engine.bells.wait(bell, _LOOK_AGAIN)
    if engine.stopping.is_set():
        message = "this worker is leaving"
        raise StopWork(message)
