"""Runs as the commands need them: start, follow, resume, control, and the change set that takes one back."""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from orchestrator import registry
from orchestrator.app import clock, following, secrets, states
from orchestrator.app.following import Update
from orchestrator.changeset import store
from orchestrator.changeset.changes import ChangeSet
from orchestrator.changeset.undo import build_undo
from orchestrator.diagnostics import Diagnostic, InvalidInput, Refused
from orchestrator.engine import api, runs
from orchestrator.engine.runtime import Engine, Runtime
from orchestrator.engine.state import State
from orchestrator.engine.undoable import undoable
from orchestrator.guest.offline import collect_offline
from orchestrator.history import RunRecord, RunStatus


def to_apply(what: Path, yes: bool, url: str | None, now: datetime) -> tuple[ChangeSet, str]:
    """Return the change set to carry out with its digest: a saved one, or with `yes` that of a plan file."""
    if not yes:
        if what.suffix.lower() in (".yaml", ".yml"):
            hint = (
                f"`ferry plan preview {what} -o CS.json` first, or add --yes to preview and apply in one go"
            )
            raise InvalidInput((Diagnostic("usage", f"{what} is a plan file, not a change set", hint),))
        return store.load(what)
    # Here: whoever carries out a saved change set reads no plan file.
    from orchestrator.app import planning

    with states.known_of(url) as known_of:
        change_set = planning.preview(what, now, known_of)
    if change_set.change.approvals:
        message = f"the plan asks for {change_set.change.approvals} approvals; --yes cannot give them"
        raise Refused(message, hint="preview it with -o, have that approved, apply that", code="not-approved")
    return change_set, store.digest(change_set)


def start(url: str | None, change_set: ChangeSet, digest: str, update: Update) -> RunRecord:
    """Carry a change set out and follow it to its end. Raises Refused before anything was done."""

    def early(engine: Engine) -> None:
        api.look_early(engine, change_set, digest, now=clock.now())

    working_ = working(url, _providers(change_set), api.limits_of(change_set), early)
    with following.stop_signals() as stop, working_ as engine:
        if change_set.undo_of is not None:
            api.settle(engine, change_set.undo_of, now=clock.now())
        if stop.is_set():
            raise KeyboardInterrupt
        run = api.start_run(engine, change_set, digest, now=clock.now())
        return following.follow(engine, run, update, stop)


def resume(url: str | None, name: str, update: Update) -> RunRecord:
    """Continue a run in this process and follow it to its end."""
    with states.opened(url) as state:
        run = states.run_id(state, name)
        providers = providers_of(state, run)
    with following.stop_signals() as stop, working(url, providers) as engine:
        if stop.is_set():
            raise KeyboardInterrupt
        api.resume(engine, run, now=clock.now())
        return following.follow(engine, run, update, stop)


@contextmanager
def working(
    url: str | None,
    providers: set[str],
    limits: Sequence[int] = (),
    early: Callable[[Engine], None] = lambda _: None,
) -> Iterator[Engine]:
    """Launch the engine of this process with the providers and the queues that its work needs; `early` is
    called before."""
    with states.opened(url) as state:
        runtime = Runtime(
            state=state,
            providers=registry.load_all(providers | _pending(state)),
            secrets=secrets.resolve,
            clock=clock.now,
            collect=collect_offline,
            limits=limits,
        )
        engine = Engine(runtime)
        early(engine)
        with engine:
            # Almost all that there is now was imported and stays: Python's collector need never look at it.
            gc.freeze()
            yield engine


def _pending(state: State) -> set[str]:
    """A worker takes any queued work of its state: it needs the providers of every run that has not ended."""
    found: set[str] = set()
    for record in api.list_runs(state):
        if record.status not in runs.ENDED:
            found |= _providers(runs.change_set(state, record.digest))
    return found & set(registry.installed()) if found else found


def providers_of(state: State, run: str) -> set[str]:
    """Return the providers that a run's endpoints need. Raises NoSuchRun."""
    return _providers(runs.change_set(state, runs.row(state, run).digest))


def known_host(state: State, run: str, host: str) -> None:
    """Raise InvalidInput for a host that the run has not."""
    names = [h.plan.name for h in runs.change_set(state, runs.row(state, run).digest).hosts]
    if host not in names:
        hint = f"its hosts are: {', '.join(names)}"
        raise InvalidInput((Diagnostic("no-host", f"run {run} has no host {host!r}", hint),))


def _providers(change_set: ChangeSet) -> set[str]:
    return {endpoint.settings.provider for endpoint in change_set.endpoints}


def watch(url: str | None, name: str, update: Update) -> RunRecord:
    """Follow a run that other processes work on."""
    with states.opened(url) as state:
        return following.watch(state, states.run_id(state, name), update)


def list_runs(url: str | None) -> tuple[RunRecord, ...]:
    """Return all runs, the newest first."""
    with states.opened(url) as state:
        return tuple(reversed(api.list_runs(state)))


def record(url: str | None, name: str) -> RunRecord:
    """Return one run as it stands."""
    with states.opened(url) as state:
        return api.run_record(state, states.run_id(state, name))


def pause(url: str | None, name: str) -> str:
    """Ask a run to pause; return its id."""
    with states.opened(url) as state:
        run = states.run_id(state, name)
        api.pause(state, run, clock.now())
        return run


def cancel(url: str | None, name: str) -> str:
    """Ask a run to end; one that nobody works on is ended here. Return its id."""
    with states.opened(url) as state:
        run = states.run_id(state, name)
        if api.run_record(state, run).status is not RunStatus.INTERRUPTED:
            api.cancel(state, run, clock.now())
            return run
        providers = providers_of(state, run)
    with working(url, providers) as engine:
        api.settle(engine, run, now=clock.now())
    return run


def undo_of(
    url: str | None,
    name: str,
    now: datetime,
    *,
    hosts: tuple[str, ...] = (),
    destroy_targets: bool = False,
    delete_disks: bool = False,
    only_release: bool = False,
) -> ChangeSet:
    """Build the change set that takes a run back, from what it left behind.

    Raises Refused (codes "active", "nothing") and InvalidInput for a host that the run has not.
    """
    with states.opened(url) as state:
        run = states.run_id(state, name)
        _refuse_active(api.run_record(state, run))
        for host in hosts:
            known_host(state, run, host)
        original, left = undoable(state, run, delete_disks=delete_disks)
    change_set = build_undo(
        original,
        run,
        left,
        now,
        hosts=hosts,
        destroy_targets=destroy_targets,
        delete_disks=delete_disks,
        only_release=only_release,
    )
    if not change_set.hosts:
        message = f"run {run} left nothing to take back" + (f" on {', '.join(hosts)}" if hosts else "")
        raise Refused(
            message, hint="`ferry run list` shows whether it was taken back already", code="nothing"
        )
    return change_set


def _refuse_active(record: RunRecord) -> None:
    if record.status in (RunStatus.RUNNING, RunStatus.PAUSED):
        message = f"run {record.run} is {record.status.value}: a worker still holds it"
        raise Refused(message, hint=f"`ferry run cancel {record.run}` first", code="active")
