"""What the command line calls: start, watch, pause, cancel, resume, and what there is to take back.

Functions that take an `Engine` need it launched; those that take a `State` work from any process, beside
whoever does the work.
"""

import secrets
import time
from collections.abc import Callable
from datetime import datetime
from threading import Event

from sqlalchemy.exc import IntegrityError

from orchestrator.changeset.changes import ChangeSet, Kind
from orchestrator.changeset.store import body, digest
from orchestrator.changeset.undo import reexposes
from orchestrator.diagnostics import Refused
from orchestrator.engine import approvals, early, journal, liveness, records, runs
from orchestrator.engine.bells import Bells, end_of
from orchestrator.engine.runtime import MAX_PARALLEL, Engine
from orchestrator.engine.schedule import limit_of
from orchestrator.engine.state import State
from orchestrator.history import JournalEntry, RunRecord, RunStatus

OnEvent = Callable[[JournalEntry], None]

_WATCH = 0.2
"""Seconds between looks of `wait_run`."""
_ALIVE_EVERY = 1.0
_TTL = 15.0


def new_run_id(now: datetime, random: Callable[[], str] = lambda: secrets.token_hex(2)) -> str:
    """Return a run's name: sortable by time, unlike others of the same second."""
    return f"r{now:%Y%m%d-%H%M%S}-{random()}"


def check_permission(state: State, change_set: ChangeSet, expected: str, now: datetime) -> None:
    """Raise Refused when this change set may not be carried out now.

    Codes: "digest", "already-run", "window-not-open", "window-closed", "not-approved".
    """
    actual = digest(change_set)
    if actual != expected:
        message = f"the change set has digest {actual[:12]}, not {expected[:12]}"
        raise Refused(message, hint="what was approved is another change set; preview again", code="digest")
    ran = run_of_digest(state, expected)
    if ran is not None:
        message = f"this change set has been carried out already, as run {ran}"
        raise Refused(message, hint="preview again for a new one", code="already-run")
    _check_window(change_set, now)
    _check_approvals(state, change_set, expected, now)


def look_early(engine: Engine, change_set: ChangeSet, expected: str, *, now: datetime) -> None:
    """Check permission and, before the engine is launched, begin to look at the endpoints. Raises Refused."""
    check_permission(engine.runtime.state, change_set, expected, now)
    early.look(engine, change_set, expected)


def start_run(
    engine: Engine,
    change_set: ChangeSet,
    expected: str,
    *,
    now: datetime,
    random: Callable[[], str] = lambda: secrets.token_hex(2),
) -> str:
    """Check permission, write the run down, begin it; return its name. Raises Refused."""
    from orchestrator.engine import workflows

    state = engine.runtime.state
    check_permission(state, change_set, expected, now)
    run = new_run_id(now, random)
    try:
        with state.write() as connection:
            runs.insert(connection, run, expected, body(change_set), change_set, now)
            data = {
                "digest": expected,
                "name": change_set.name,
                "kind": change_set.kind.value,
                "undo_of": change_set.undo_of,
                "state": state.state_id,
                "approvals": [a.name for a in approvals.of_digest(state, expected)],
            }
            journal.append(connection, run, journal.ROOT, "run-started", data, now)
    except IntegrityError:
        message = "this change set is being carried out already"
        raise Refused(message, hint="preview again for a new one", code="already-run") from None
    _use_queues(engine, change_set)
    workflows.start(run, 1)
    return run


def _use_queues(engine: Engine, change_set: ChangeSet) -> None:
    for limit in limits_of(change_set):
        if limit not in engine.runtime.limits:
            engine.use_queue(limit)


def limits_of(change_set: ChangeSet) -> tuple[int, ...]:
    """Return the limits that the endpoints of a change set have, each once."""
    found = {limit_of(change_set, e.info.identity, MAX_PARALLEL) for e in change_set.endpoints}
    return tuple(sorted(found))


def run_of_digest(state: State, expected: str) -> str | None:
    """Return the run that carried a change set out."""
    return next((r.run for r in list_runs(state) if r.digest == expected), None)


def _check_window(change_set: ChangeSet, now: datetime) -> None:
    """An undo is not bound to the window: outside of it, giving a network back needs approvals instead (rule
    5)."""
    window = change_set.change.window
    if window is None or change_set.kind is Kind.UNDO:
        return
    words = f"{window.opens:%Y-%m-%d %H:%M} to {window.closes:%Y-%m-%d %H:%M} ({window.timezone})"
    if now < window.opens:
        message = f"the change window is not open yet: {words}"
        raise Refused(message, hint="wait for it", code="window-not-open")
    if now >= window.closes:
        message = f"the change window is closed: {words}"
        raise Refused(
            message, hint="agree on a new window, preview and have that approved", code="window-closed"
        )


def _check_approvals(state: State, change_set: ChangeSet, expected: str, now: datetime) -> None:
    needed = approvals_needed(change_set, now)
    found = approvals.counting(approvals.of_digest(state, expected), change_set.owner)
    if len(found) < needed:
        names = ", ".join(a.name for a in found) or "nobody"
        message = (
            f"{needed} approval(s) of digest {expected[:12]} are needed, there are {len(found)} ({names})"
        )
        hint = f"`ferry plan approve` by people other than {change_set.owner}"
        raise Refused(message, hint=hint, code="not-approved")


def approvals_needed(change_set: ChangeSet, now: datetime) -> int:
    """Return how many people must have approved. Re-exposing a server after the window needs at least one."""
    asked, window = change_set.change.approvals, change_set.change.window
    if change_set.kind is Kind.APPLY:
        return asked
    late = window is not None and now >= window.closes
    return max(1, asked) if late and reexposes(change_set) else 0


def run_record(state: State, run: str) -> RunRecord:
    """Return a run as it stands. Raises NoSuchRun."""
    runs.row(state, run)
    return records.of_runs(state, [run], worked_on=liveness.anybody(state, _TTL))[0]


def list_runs(state: State) -> tuple[RunRecord, ...]:
    """Return every run, oldest first."""
    return records.of_runs(state, None, worked_on=liveness.anybody(state, _TTL))


def wait_run(
    state: State,
    run: str,
    on_event: OnEvent = lambda _: None,
    stop: Event | None = None,
    bells: Bells | None = None,
) -> RunRecord:
    """Report each journal entry from the run's begin on as it is written; return when the run has ended,
    nobody works on it, or `stop` is set.

    Works from any process; where it is the one that works, its `bells` tell of the end at once. A run that is
    paused is waited for.
    """
    seen: set[int] = set()
    asked_alive, last = float("-inf"), 0
    stop, bells = stop or Event(), bells or Bells()
    overlap = 0 if state.dialect == "sqlite" else _OVERLAP
    while True:
        # Before the entries, so that the last of them are not missed.
        ended = runs.row(state, run).status in runs.ENDED
        for number, entry in journal.entries(state, run, after=last - overlap):
            if number not in seen:
                seen.add(number)
                last = max(last, number)
                on_event(entry)
        if ended or stop.is_set():
            return run_record(state, run)
        if time.monotonic() - asked_alive > _ALIVE_EVERY:
            asked_alive = time.monotonic()
            if runs.row(state, run).interrupted or not liveness.anybody(state, _TTL):
                return run_record(state, run)
        bells.wait(end_of(run), _WATCH)


_OVERLAP = 100
"""Row ids of concurrent writers (PostgreSQL) may show out of order: look so far back."""


def pause(state: State, run: str, now: datetime) -> None:
    """Let no host begin another step until the run is resumed. Raises Refused when it has ended."""
    _control(state, run, "paused", now)


def cancel(state: State, run: str, now: datetime) -> None:
    """End every host before its next step. Raises Refused when the run has ended."""
    _control(state, run, "cancelled", now)


def interrupt(state: State, run: str, now: datetime) -> None:
    """Note that the operator broke the run off (Ctrl-C): nobody goes on with it before `resume`."""
    _control(state, run, "interrupted", now)


def _control(state: State, run: str, flag: str, now: datetime) -> None:
    row = runs.row(state, run)
    if row.status in runs.ENDED:
        message = f"run {run} has ended: {row.status}"
        raise Refused(message, hint=f"`ferry run show {run}`", code="ended")
    with state.write() as connection:
        runs.set_run(connection, run, **{flag: True})
        journal.append(connection, run, journal.ROOT, f"run-{flag}", {}, now)


def resume(engine: Engine, run: str, *, now: datetime) -> RunRecord:
    """Go on with a run: lift a pause, or open a new attempt for the hosts that are not done.

    What a dead worker left is taken over by the reaper of any launched engine. Raises Refused (codes "done",
    "undone", "window-closed").
    """
    from orchestrator.engine import workflows

    state = engine.runtime.state
    row, change_set = runs.row(state, run), runs.change_set(state, runs.row(state, run).digest)
    if row.status == RunStatus.DONE:
        message = f"run {run} is done, there is nothing to resume"
        raise Refused(message, hint=f"`ferry plan undo {run}` takes it back", code="done")
    undo = next((r.run for r in list_runs(state) if r.undo_of == run), None)
    if undo is not None:
        message = f"run {run} is being taken back, or was, by run {undo}"
        raise Refused(message, hint=f"resume {undo}, or preview the plan again", code="undone")
    _check_window(change_set, now)
    broken = row.status not in runs.ENDED and workflows.is_given_up(run, row.attempt)
    attempt = row.attempt
    with state.write() as connection:
        if row.status in runs.ENDED or broken:
            attempt += 1
            if not runs.next_attempt(connection, run, row.attempt):
                message = f"run {run} has just been resumed by another process"
                raise Refused(message, hint=f"`ferry run watch {run}`", code="already-resumed")
        else:
            runs.set_run(connection, run, paused=False, interrupted=False)
        journal.append(connection, run, journal.ROOT, "run-resumed", {"attempt": attempt}, now)
    _use_queues(engine, change_set)
    if attempt > row.attempt:
        workflows.start(run, attempt)
    else:  # a process may have died between writing the run down and beginning it
        workflows.ensure_started(run, attempt)
    return run_record(state, run)


def settle(engine: Engine, run: str, *, now: datetime) -> RunRecord:
    """End a run that no worker goes on with, so that it can be taken back: its hosts end before their next
    step.

    Without this the reaper would carry on with what is about to be undone. Returns when the run has ended.
    """
    from orchestrator.engine import workflows

    state = engine.runtime.state
    row = runs.row(state, run)
    if row.status not in runs.ENDED:
        cancel(state, run, now)
        _use_queues(engine, runs.change_set(state, row.digest))
        # A process may have died between writing the run down and beginning it.
        workflows.ensure_started(run, row.attempt)
        wait_run(state, run, bells=engine.bells)
    return run_record(state, run)
