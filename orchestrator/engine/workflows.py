"""The three workflow functions: run, host, phase. Imports DBOS: only `runtime` may import this, at launch.

Ids: `RUN~ATTEMPT`, `RUN/HOST/ATTEMPT`, `RUN/HOST/ATTEMPT/PHASE`. A function's own code is a pure function of
the change set and of what its steps returned; everything else happens inside steps, which DBOS records and
never runs again once recorded.
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
from orchestrator.engine.runtime import HOSTS, MAX_PARALLEL, RUNS, Engine, endpoint_queue
from orchestrator.engine.steps import carry_out

log = logging.getLogger("ferry.engine")

_LOOK_AGAIN = 1.0
"""Seconds between looks for what another process has finished; what this one finishes rings a bell."""

_LOOKS_PER_CHECK = 10
_TOGETHER = 0.05
"""Seconds in which hosts that end count as ending together: with thousands, not each of them is looked for by
itself."""
_LOST = failed(
    "internal", "a workflow ended without an outcome", "see the log; the run can be resumed or undone"
)

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
    """Enqueue an attempt of a run. The same again changes nothing."""
    with SetWorkflowID(run_id(run, attempt)):
        DBOS.enqueue_workflow(RUNS, run_workflow, run, attempt)


def state_of(run: str, attempt: int) -> str | None:
    """Return DBOS' status of an attempt of a run; None when it was never enqueued."""
    found = DBOS.get_workflow_status(run_id(run, attempt))
    return None if found is None else found.status


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
            outcome = Outcome.model_validate(
                _step("await phase", _await_phase, engine, run, host, attempt, number)
            )
            if not outcome.ok:
                break
        _step("close host", _close_host, engine, run, host, outcome)
        return outcome.status.value


@DBOS.workflow(name="ferry.phase")
def phase_workflow(run: str, host: str, attempt: int, number: int) -> str:
    """The steps of one phase under one lease. The lease is of this very execution: a stale one cannot take it
    back."""
    engine = _bound[0]
    with engine.working():
        change_set = _change_set(engine, run)
        change = _host(change_set, host)
        phase = schedule.phases(change_set, change, MAX_PARALLEL)[number]
        digest = runs.row(engine.runtime.state, run).digest
        job = Job(engine, change_set, digest, change, _take(engine, run, host))
        try:
            outcome = _carry_out_phase(job, attempt, number, phase)
            _step("close phase", _close_phase, job, attempt, number, outcome)
        finally:
            job.lease.release()
        return outcome.status.value


def _carry_out_phase(job: Job, attempt: int, number: int, phase: schedule.Phase) -> Outcome:
    outcome = Outcome()
    if number == 0:
        outcome = _outcome("admit", admission.admit, job)
    for position in range(phase.first, phase.last + 1):
        if not outcome.ok:
            break
        outcome = _outcome(job.host.steps[position].kind.value, carry_out, job, attempt, position)
    return outcome


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


def _outcome(name: str, call: Callable[..., Outcome], *args: Any) -> Outcome:
    return Outcome.model_validate(_step(name, lambda: call(*args).model_dump(mode="json")))


def _change_set(engine: Engine, run: str) -> ChangeSet:
    state = engine.runtime.state
    return runs.change_set(state, runs.row(state, run).digest)


def _host(change_set: ChangeSet, name: str) -> HostChange:
    return next(h for h in change_set.hosts if h.plan.name == name)


def _close_phase(job: Job, attempt: int, number: int, outcome: Outcome) -> bool:
    # Together: whoever waits for the outcome may begin the next phase in another process at once.
    with job.lease.releasing() as connection:
        runs.end_phase(connection, job.run, job.name, attempt, number, outcome.model_dump_json())
    job.engine.bells.ring(f"{job.run}/{job.name}")
    return True


def _close_host(engine: Engine, run: str, host: str, outcome: Outcome) -> bool:
    admission.close_host(engine, run, host, outcome)
    engine.bells.ring(run)
    return True


def _await_phase(engine: Engine, run: str, host: str, attempt: int, number: int) -> dict[str, Any]:
    state, workflow = engine.runtime.state, f"{host_id(run, host, attempt)}/{number}"
    looks = 0
    while (found := runs.phase_outcome(state, run, host, attempt, number)) is None:
        looks += 1
        if looks % _LOOKS_PER_CHECK == 0 and _gave_up(workflow):
            return _LOST.model_dump(mode="json")
        _wait(engine, f"{run}/{host}")
    return Outcome.model_validate_json(found).model_dump(mode="json")


def _await_hosts(engine: Engine, run: str, names: list[str], attempt: int) -> bool:
    looks = 0
    while open_now := admission.open_of(engine, run, names):
        looks += 1
        if looks % _LOOKS_PER_CHECK == 0:
            for host in (h for h in open_now if _gave_up(host_id(run, h, attempt))):
                admission.close_host(engine, run, host, _LOST)
        _wait(engine, run)
        engine.stopping.wait(_TOGETHER)
    return True


def _gave_up(workflow: str) -> bool:
    """Tell whether DBOS has given a workflow up: it failed where nothing fails, or was begun too often."""
    found = DBOS.get_workflow_status(workflow)
    return found is not None and found.status in ("ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")


def _wait(engine: Engine, bell: str) -> None:
    engine.bells.wait(bell, _LOOK_AGAIN)
    if engine.stopping.is_set():
        message = "this worker is leaving"
        raise StopWork(message)
