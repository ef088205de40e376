"""From a change set, and a run's records where there are any, to the view that all outputs render.

Pure: the clock's reading is passed in, and the same arguments give the same view.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from orchestrator.changeset.changes import ChangeSet, Kind, ObservedEndpoint
from orchestrator.history import Approval, Evidence, HostStatus, RunRecord, RunStatus
from orchestrator.report import prose, wording
from orchestrator.report.assessment import assessments
from orchestrator.report.hosts import host_view
from orchestrator.report.model import (
    ApprovalView,
    Badge,
    EndpointView,
    EvidenceView,
    HostView,
    Notice,
    Pairs,
    ReportView,
    RunView,
    Tone,
    WaveView,
)
from orchestrator.report.notices import notices, simulated, tls_off
from orchestrator.report.records import host_records


def build_view(
    change_set: ChangeSet,
    digest: str,
    *,
    now: datetime,
    run: RunRecord | None = None,
    evidence: Sequence[Evidence] = (),
    approvals: Sequence[Approval] = (),
    heads: Mapping[str, str] | None = None,
    earlier: Sequence[Evidence] = (),
) -> ReportView:
    """Return the view of a change set (before) or of a run of it (after).

    `digest` is the change set's; approvals of another digest are left out. `evidence` is the run's, of all
    hosts; `heads` the hash of the last journal entry by host; `earlier` evidence of other runs, for what is
    known of a host that this run has not seen yet. `now` is aware and stands in the report as its
    time.
    """
    by_host: dict[str, list[Evidence]] = {h.plan.name: [] for h in change_set.hosts}
    for piece in evidence:
        by_host.setdefault(piece.host, []).append(piece)
    names = [h.plan.name for h in change_set.hosts]
    records = {n: host_records(by_host[n], [e for e in earlier if e.host == n]) for n in names}
    assessed = assessments(change_set, records, now)
    ran = {r.host: r for r in run.hosts} if run else {}
    hosts = tuple(
        host_view(change_set, h, ran.get(n), records[n], assessed.get(n), now)
        for n, h in zip(names, change_set.hosts, strict=True)
    )
    found = notices(change_set, run, records, assessed, now)
    given = tuple(a for a in approvals if a.digest == digest)
    return ReportView(
        title=_title(change_set, run),
        subtitle=f"{change_set.name}, plan file {change_set.plan_path}",
        badge=_badge(run, found),
        headline=_headline(change_set, run, hosts),
        generated_at=now,
        digest=digest,
        glance=_glance(change_set, run, len(given)),
        notices=found,
        why=prose.why(change_set),
        schedule=prose.schedule(change_set),
        risk=prose.risk(change_set),
        back_out=prose.back_out(change_set),
        point_of_no_return=prose.point_of_no_return(change_set),
        approvals_needed=change_set.change.approvals,
        approvals=tuple(_approval(a) for a in sorted(given, key=lambda a: (a.at, a.name))),
        waves=_waves(change_set),
        endpoints=tuple(_endpoint(e) for e in change_set.endpoints),
        hosts=hosts,
        run=_run(run) if run else None,
        evidence=tuple(_evidence(e) for e in sorted(evidence, key=lambda e: (e.host, e.at, e.kind))),
        heads=tuple(sorted((heads or {}).items())),
        provenance=_provenance(change_set, digest),
    )


def _title(change_set: ChangeSet, run: RunRecord | None) -> str:
    ticket = f"{change_set.change.ticket}: " if change_set.change.ticket else ""
    if change_set.kind is Kind.UNDO:
        return f"{ticket}back-out of run {change_set.undo_of}"
    return f"{ticket}{'result of a change' if run else 'proposed change'}"


def _badge(run: RunRecord | None, found: Sequence[Notice]) -> Badge:
    bad = any(notice.tone is Tone.BAD for notice in found)
    if run is None:
        return Badge(tone=Tone.BAD, text="not ready") if bad else Badge(tone=Tone.NEUTRAL, text="proposed")
    badge = wording.RUN_BADGES[run.status]
    if run.status is RunStatus.DONE and any(notice.host for notice in found):
        return Badge(tone=Tone.BAD if bad else Tone.WARN, text="done, with findings")
    return badge


def _headline(change_set: ChangeSet, run: RunRecord | None, hosts: tuple[HostView, ...]) -> str:
    count = wording.plural(len(hosts), "server")
    if run is not None:
        done = sum(r.status is HostStatus.DONE for r in run.hosts)
        return f"{done} of {count} done. {_verdicts(hosts)}".strip()
    if change_set.kind is Kind.UNDO:
        return f"What run {change_set.undo_of} did to {count} is taken back. Nothing has been changed yet."
    staged = sum(h.plan.target is not None for h in change_set.hosts)
    replacements = f" {wording.plural(staged, 'replacement')} to be staged." if staged else ""
    return f"{count} to be {_dispositions(change_set)}.{replacements} Nothing has been changed yet."


def _dispositions(change_set: ChangeSet) -> str:
    words = {"contain": "contained where they run", "lift": "lifted into Azure"}
    chosen = dict.fromkeys(words[h.plan.disposition.value] for h in change_set.hosts)
    return " or ".join(chosen) or "left alone"


def _verdicts(hosts: tuple[HostView, ...]) -> str:
    found = [h.parity.badge.text for h in hosts if h.parity]
    counts = ", ".join(f"{found.count(text)} {text}" for text in dict.fromkeys(found))
    return f"Parity: {counts}." if counts else ""


def _glance(change_set: ChangeSet, run: RunRecord | None, given: int) -> Pairs:
    change = change_set.change
    pairs: Pairs = (
        ("Ticket", change.ticket or "none"),
        ("Owner", change_set.owner),
        ("Servers", f"{len(change_set.hosts)} in {wording.plural(len(change_set.waves), 'wave')}"),
        ("Window", wording.window(change.window)),
        ("Risk class", change.risk or "not stated"),
        ("Resources", _resources(change_set)),
        ("Approvals", f"{given} of {change.approvals} needed"),
        ("Point of no return", "none" if prose.harmless(change_set) else "yes, see back-out"),
    )
    return pairs + ((("Run", run.run),) if run else ())


def _approval(approval: Approval) -> ApprovalView:
    return ApprovalView(
        name=approval.name, at=wording.moment(approval.at), comment=wording.one_line(approval.comment)
    )


def _waves(change_set: ChangeSet) -> tuple[WaveView, ...]:
    waves = []
    for number, name in enumerate(change_set.waves, 1):
        hosts = tuple(h.plan.name for h in change_set.hosts if h.plan.wave == name)
        gate = (
            "starts at once" if number == 1 else f"waits until all of {change_set.waves[number - 2]} is done"
        )
        waves.append(WaveView(number=number, name=name, hosts=hosts, gate=gate))
    return tuple(waves)


def _resources(change_set: ChangeSet) -> str:
    if change_set.kind is Kind.UNDO:
        return "none"
    targets = [h.plan.target for h in change_set.hosts if h.plan.target is not None]
    memory = wording.size(sum(t.memory_bytes for t in targets))
    cpus = wording.plural(sum(t.cpus for t in targets), "CPU")
    return f"{cpus}, {memory} memory for {wording.plural(len(targets), 'replacement')}" if targets else "none"


def _endpoint(endpoint: ObservedEndpoint) -> EndpointView:
    settings, info = endpoint.settings, endpoint.info
    badge = Badge(tone=Tone.GOOD, text="real")
    if simulated(endpoint):
        badge = Badge(tone=Tone.WARN, text="simulation")
    elif tls_off(endpoint):
        badge = Badge(tone=Tone.WARN, text="TLS not verified")
    own = tuple((name, wording.setting(value)) for name, value in sorted(settings.settings.items()))
    notes = tuple(("note", note) for note in info.notes)
    facts = (
        ("provider", settings.provider),
        ("product", f"{info.product} {info.version}".strip()),
        ("identity", info.identity),
        ("at once", f"at most {wording.plural(settings.max_parallel, 'host')}"),
    )
    return EndpointView(name=settings.name, badge=badge, facts=(*facts, *own, *notes))


def _run(run: RunRecord) -> RunView:
    return RunView(
        run=run.run,
        badge=wording.RUN_BADGES[run.status],
        started=wording.moment(run.started_at),
        ended=wording.moment(run.ended_at),
        duration=wording.duration(run.ended_at - run.started_at) if run.ended_at else "",
        head=run.head,
    )


def _evidence(evidence: Evidence) -> EvidenceView:
    return EvidenceView(
        host=evidence.host, kind=evidence.kind, at=wording.moment(evidence.at), sha256=evidence.sha256
    )


def _provenance(change_set: ChangeSet, digest: str) -> Pairs:
    return (
        ("Change set", f"SHA-256 {digest}"),
        ("Made", wording.moment(change_set.created_at)),
        ("Plan file", f"{change_set.plan_path}, SHA-256 {change_set.plan_sha256}"),
    )
