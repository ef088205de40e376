"""Reports: of a change set before it runs; of a run with its evidence, approvals and journal heads."""

from collections.abc import Sequence
from pathlib import Path

from orchestrator.app import clock, states
from orchestrator.changeset import store
from orchestrator.changeset.changes import ChangeSet
from orchestrator.engine import api, approvals, evidence, journal, runs
from orchestrator.engine.state import State
from orchestrator.history import Evidence
from orchestrator.report.model import ReportView
from orchestrator.report.view import build_view


def before(change_set: ChangeSet, digest: str, seen: states.SeenBefore | None = None) -> ReportView:
    """Return the board's view of a change set; `seen` is what earlier runs saw of its hosts."""
    earlier = seen.facts(change_set.hosts) if seen is not None else ()
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
                earlier=states.SeenBefore(state).facts(change_set.hosts),
            )
        return _of_run(state, states.run_id(state, what))


def _of_run(state: State, run: str) -> ReportView:
    record = api.run_record(state, run)
    change_set = runs.change_set(state, record.digest)
    own = evidence.of_run(state, run)
    return build_view(
        change_set,
        record.digest,
        now=clock.now(),
        run=record,
        evidence=own,
        approvals=approvals.of_digest(state, record.digest),
        heads={host: head for host, head in journal.heads(state, run).items() if host},
        earlier=earlier(state, change_set, own),
    )


def earlier(state: State, change_set: ChangeSet, own: Sequence[Evidence]) -> tuple[Evidence, ...]:
    """Return what other runs saw of the hosts that a run has no facts of."""
    seen = {piece.host for piece in own if piece.kind == "facts-source"}
    return states.SeenBefore(state).facts(h for h in change_set.hosts if h.plan.name not in seen)
