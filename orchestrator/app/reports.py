"""Reports: of a change set before it runs; of a run with its evidence, approvals and journal heads."""

from pathlib import Path

from orchestrator.app import clock, states
from orchestrator.changeset import store
from orchestrator.changeset.changes import ChangeSet
from orchestrator.engine import api, approvals, evidence, journal, runs
from orchestrator.engine.state import State
from orchestrator.report.model import ReportView
from orchestrator.report.view import build_view


def before(change_set: ChangeSet, digest: str, state: State | None = None) -> ReportView:
    """Return the board's view of a change set; `state` has what earlier runs found of its hosts."""
    earlier = states.earlier(state, change_set) if state is not None else ()
    return build_view(change_set, digest, now=clock.now(), earlier=earlier)


def of(url: str | None, what: str) -> ReportView:
    """Return the view of a saved change set (a file), or of a run."""
    path = Path(what)
    with states.opened(url) as state:
        if path.suffix == ".json" or path.is_file():
            change_set, digest = store.load(path)
            given = approvals.of_digest(state, digest)
            return build_view(
                change_set,
                digest,
                now=clock.now(),
                approvals=given,
                earlier=states.earlier(state, change_set),
            )
        return _of_run(state, states.run_id(state, what))


def _of_run(state: State, run: str) -> ReportView:
    record = api.run_record(state, run)
    change_set = runs.change_set(state, record.digest)
    return build_view(
        change_set,
        record.digest,
        now=clock.now(),
        run=record,
        evidence=evidence.of_run(state, run),
        approvals=approvals.of_digest(state, record.digest),
        heads={host: head for host, head in journal.heads(state, run).items() if host},
        earlier=states.earlier(state, change_set),
    )
