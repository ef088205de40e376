"""Who may begin, and how hosts and runs end: the decisions of `schedule`, taken on the state and written down
in the journal."""

from typing import Any

from orchestrator.changeset.changes import ChangeSet
from orchestrator.engine import journal, runs, schedule
from orchestrator.engine.bells import end_of
from orchestrator.engine.gate import gate
from orchestrator.engine.job import Job
from orchestrator.engine.outcome import Outcome, failed
from orchestrator.engine.runtime import Engine
from orchestrator.engine.state import State
from orchestrator.history import HostStatus, RunStatus

_OPEN = frozenset({HostStatus.WAITING, HostStatus.RUNNING})


def open_level(engine: Engine, change_set: ChangeSet, run: str, names: list[str]) -> list[str]:
    """Return the hosts of a level that begin now; write the others off with their reason."""
    state = engine.runtime.state
    now = statuses(state, run)
    cancelled = runs.row(state, run).cancelled
    ready = []
    for host in (h for h in change_set.hosts if h.plan.name in names):
        name = host.plan.name
        if now[name] not in _OPEN:
            continue  # done in an earlier attempt
        reason = None if cancelled else schedule.why_not(change_set, host, now)
        if cancelled:
            _end_unbegun(engine, run, name, HostStatus.CANCELLED, "cancelled", "the run was cancelled")
        elif reason is not None:
            _end_unbegun(engine, run, name, HostStatus.SKIPPED, "skipped", f"not begun: {reason}")
        else:
            ready.append(name)
    return ready


def admit(job: Job) -> Outcome | None:
    """Begin a host, now that its endpoint has room. Return an outcome when it must end here."""
    stopped = gate(job.engine, job.run)
    if stopped is not None:
        return stopped
    at = job.now()
    with job.lease.guarded() as connection:
        if runs.host_status(connection, job.run, job.name) == HostStatus.WAITING:
            wave = job.host.plan.wave
            failures = runs.with_status(connection, job.run, schedule.FAILURES, wave=wave)
            reason = schedule.wave_stopped(job.change_set, wave, failures)
            if reason is not None:
                return failed("skipped", f"not begun: {reason}", status=HostStatus.SKIPPED)
        runs.set_host(connection, job.run, job.name, HostStatus.RUNNING)
        journal.append(connection, job.run, job.name, "host-started", {"wave": job.host.plan.wave}, at)
    return None


def close_host(engine: Engine, run: str, host: str, outcome: Outcome) -> None:
    """Write how a host ended. A failed one keeps its claim, and the message says what to do about it."""
    hint = outcome.hint
    if outcome.status is HostStatus.FAILED:
        held = f"the host stays claimed: `ferry run resume {run}` or `ferry plan undo {run} --host {host}`"
        hint = f"{hint}; {held}" if hint else held
    words = {"code": outcome.code, "message": outcome.message if not outcome.ok else "", "hint": hint}
    _end(engine, run, host, outcome.status, words)


def _end_unbegun(engine: Engine, run: str, host: str, status: HostStatus, code: str, message: str) -> None:
    _end(engine, run, host, status, {"code": code, "message": message, "hint": ""})


def _end(engine: Engine, run: str, host: str, status: HostStatus, words: dict[str, str]) -> None:
    with engine.runtime.state.write() as connection:
        if runs.host_status(connection, run, host) not in _OPEN:
            return  # written by an execution that died right after
        runs.set_host(connection, run, host, status, **words)
        data: dict[str, Any] = {"status": status.value} | words
        journal.append(connection, run, host, "host-ended", data, engine.runtime.clock())


def close_run(engine: Engine, run: str) -> str:
    """Write how a run ended, and close its journal over the host chains."""
    state, at = engine.runtime.state, engine.runtime.clock()
    row = runs.row(state, run)
    with state.write() as connection:
        status = _overall(set(_statuses(connection, run).values()), cancelled=bool(row.cancelled))
        if row.status not in runs.ENDED:
            journal.close(connection, run, {"status": status.value, "attempt": row.attempt}, at)
            runs.set_run(connection, run, status=status.value, ended_at=at.isoformat())
    engine.bells.ring(end_of(run))
    return status.value


def _overall(found: set[HostStatus], *, cancelled: bool) -> RunStatus:
    if found <= {HostStatus.DONE}:
        return RunStatus.DONE
    return RunStatus.CANCELLED if cancelled else RunStatus.FAILED


def open_of(engine: Engine, run: str, names: list[str]) -> list[str]:
    """Return those of the hosts that have not ended."""
    with engine.runtime.state.read() as connection:
        found = set(runs.with_status(connection, run, _OPEN))
    return [name for name in names if name in found]


def statuses(state: State, run: str) -> dict[str, HostStatus]:
    """Return every host's state."""
    with state.read() as connection:
        return _statuses(connection, run)


def _statuses(connection: Any, run: str) -> dict[str, HostStatus]:
    return {name: HostStatus(status) for name, status in runs.host_statuses(connection, run)}
