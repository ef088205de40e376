"""The report as plain text in 100 columns, for terminals, mails and tickets. Says what the HTML says."""

from collections.abc import Sequence

from orchestrator.report import wording
from orchestrator.report.layout import WIDTH, bullets, heading, pairs, paragraph, table
from orchestrator.report.model import (
    AssessmentView,
    Badge,
    FindingView,
    HostView,
    ItemView,
    Notice,
    ParityView,
    ReportView,
    StepView,
)


def render_text(view: ReportView) -> str:
    """Return the whole report as text, lines of at most 100 columns, ended by a newline."""
    lines = [
        *_top(view),
        *_notices(view.notices),
        *_hosts_table(view),
        *_frame(view),
        *_endpoints(view),
        *(line for host in view.hosts for line in _host(host)),
        *_records(view),
    ]
    return "\n".join(lines) + "\n"


def _top(view: ReportView) -> list[str]:
    lines = ["=" * WIDTH, *paragraph(f"{view.title}  [{view.badge.text.upper()}]"), *paragraph(view.subtitle)]
    return [
        *lines,
        "=" * WIDTH,
        *paragraph(view.headline),
        "",
        *pairs((*view.glance, ("Digest", view.digest), ("Report made", wording.moment(view.generated_at)))),
    ]


def _notices(found: tuple[Notice, ...]) -> list[str]:
    if not found:
        return []
    lines = heading("Please note")
    for notice in found:
        where = f"{notice.host}: " if notice.host else ""
        lines += paragraph(f"{where}{notice.text}", 9, wording.LEVELS[notice.tone])
    return lines


def _hosts_table(view: ReportView) -> list[str]:
    after = view.run is not None
    head = ["Server", "Wave", "Windows", "What happens"]
    if after:
        head = ["Server", "Wave", "Result", "Parity", "What happened"]
    rows = []
    for host in view.hosts:
        windows = dict(host.item).get("build", wording.UNKNOWN)
        parity = host.parity.badge.text if host.parity else "none"
        row = [host.name, host.wave]
        row += (
            [_badge(host.badge), parity, host.outcome or host.summary] if after else [windows, host.summary]
        )
        rows.append(row)
    return [*heading("Servers"), *table(head, rows)]


def _frame(view: ReportView) -> list[str]:
    approvals = [(a.name, a.at, a.comment) for a in view.approvals]
    waves = [(str(w.number), w.name, wording.listed(w.hosts), w.gate) for w in view.waves]
    lines = [
        *heading("Why"),
        *pairs(view.why),
        *heading("When"),
        *pairs(view.schedule),
        "",
        *table(("No.", "Wave", "Servers", "Begins"), waves),
        *heading("What may go wrong"),
        *pairs(view.risk),
        *heading("Back-out"),
        *bullets(view.back_out),
        *paragraph(f"Point of no return: {view.point_of_no_return}"),
        *heading("Approvals"),
        *paragraph(f"{len(approvals)} given, {view.approvals_needed} needed, each bound to the digest."),
    ]
    return lines + (table(("Name", "When", "Comment"), approvals) if approvals else [])


def _endpoints(view: ReportView) -> list[str]:
    lines = heading("Endpoints")
    for endpoint in view.endpoints:
        lines += [*paragraph(f"{endpoint.name} [{endpoint.badge.text}]"), *pairs(endpoint.facts, 2)]
    return lines


def _host(host: HostView) -> list[str]:
    badge = f"  [{host.badge.text.upper()}]" if host.badge else ""
    lines = [*heading(f"Server {host.name}, wave {host.wave}{badge}"), *paragraph(host.summary)]
    if host.outcome:
        lines += paragraph(f"Outcome: {host.outcome}")
    lines += paragraph(f"Impact: {host.impact}")
    if host.depends_on:
        lines += paragraph(f"Waits for: {wording.listed(host.depends_on)}")
    lines += [*heading("What it is", "-"), *pairs(host.item)]
    if host.target:
        lines += [*heading("Replacement", "-"), *pairs(host.target)]
    lines += _assessment(host)
    lines += [*_isolation(host), *(_parity(host.parity) if host.parity else [])]
    lines += [*heading("Steps", "-"), *(line for step in host.steps for line in _step(step))]
    if host.checks:
        rows = [(c.badge.text, c.check, c.detail) for c in host.checks]
        lines += [*heading("Checks before", "-"), *table(("Result", "Check", "Detail"), rows)]
    if host.waivers and not host.parity:
        waivers = [tuple(value for _, value in waiver) for waiver in host.waivers]
        lines += [*heading("Planned waivers", "-"), *table(("Item", "Reason", "Owner", "Until"), waivers)]
    return lines


def _assessment(host: HostView) -> list[str]:
    found = host.assessment
    if found is None:
        return [*heading("Assessment", "-"), *paragraph(host.not_assessed)] if host.not_assessed else []
    return [*heading(f"Assessment  [{found.badge.text.upper()}]", "-"), *render_assessment(found)]


def render_assessment(found: AssessmentView) -> list[str]:
    """Return an assessment without its heading, as lines."""
    lines = [
        *paragraph(found.meaning),
        *paragraph(f"{found.basis} Support: {found.support}."),
        *pairs(found.stages, 2),
    ]
    for title, findings in (
        ("To do or decide", found.open_findings),
        ("For information", found.hints),
        ("Accepted", found.waived_findings),
    ):
        lines += _group(title, [line for finding in findings for line in _finding(finding)])
    return lines + _without_effect(found.waiver_notes)


def _finding(finding: FindingView) -> list[str]:
    lines = paragraph(f"{finding.title} [{finding.badge.text}]", 2, "* ")
    if finding.waiver:
        lines += paragraph(f"accepted: {finding.waiver}", 2)
    lines += pairs(finding.grounds, 4)
    if not finding.waiver:
        lines += paragraph(f"to do: {finding.advice}", 2)
    return [*lines, *paragraph(finding.item, 2)]


def _step(step: StepView) -> list[str]:
    mark = "changes" if step.changes else "looks"
    state = f" [{step.badge.text}{', ' + step.duration if step.duration else ''}]" if step.badge else ""
    lines = paragraph(f"{step.title} ({mark}){state}", 4, f"{step.number:>2}.")
    if step.started:
        lines += paragraph(f"started {step.started}" + (f": {step.message}" if step.message else ""), 4)
    lines += pairs(step.values, 4)
    if step.undo:
        lines += paragraph(f"Undo: {step.undo}", 4)
    return lines


def _isolation(host: HostView) -> list[str]:
    found = host.isolation
    if found is None:
        return []
    rows = [(c.badge.text, c.check, c.detail) for c in found.findings]
    return [
        *heading(f"Isolation, {found.mode}  [{found.badge.text.upper()}]", "-"),
        *paragraph(f"Seen {found.at}, from the hypervisor's own view."),
        *table(("Result", "Check", "Detail"), rows),
    ]


def _parity(parity: ParityView) -> list[str]:
    lines = [
        *heading(f"Parity  [{parity.badge.text.upper()}]", "-"),
        *paragraph(parity.meaning),
        *paragraph(f"Seen {parity.at}; {parity.basis}."),
        *paragraph("Items: " + ", ".join(f"{count} {state}" for state, count in parity.counts)),
    ]
    for title, items in (
        ("To do", parity.open_items),
        ("Waived", parity.waived_items),
        ("For information", parity.hints),
    ):
        lines += _group(title, [line for item in items for line in _item(item)])
    return lines + _without_effect(parity.waiver_notes)


def _group(title: str, lines: list[str]) -> list[str]:
    """Return lines below a title; nothing where there are none."""
    return ["", f"{title}:", *lines] if lines else []


def _without_effect(notes: Sequence[tuple[str, str]]) -> list[str]:
    return _group("Waivers without effect", bullets([f"{item}: {text}" for item, text in notes]))


def _item(item: ItemView) -> list[str]:
    lines = paragraph(f"{item.item} [{item.badge.text}, {item.severity}]", 2, "* ")
    if item.waiver:
        lines += paragraph(f"accepted: {item.waiver}", 2)
    rows = [
        ("old", item.old),
        ("new", item.new),
        ("why", item.why),
        ("to do", "" if item.waiver else item.advice),
    ]
    return lines + pairs([row for row in rows if row[1]], 2)


def _records(view: ReportView) -> list[str]:
    lines = [*heading("Records"), *pairs(view.provenance)]
    if view.run is not None:
        run = view.run
        took = f", {run.duration}" if run.duration else ""
        span = f"{run.started} to {run.ended or 'now'}{took}"
        lines += pairs(
            (("Run", f"{run.run} [{run.badge.text}]"), ("Ran", span), ("Journal head", run.head or "none"))
        )
    if view.heads:
        lines += ["", *table(("Server", "Last journal entry"), view.heads)]
    if view.evidence:
        rows = [(e.host, e.kind, e.at, e.sha256) for e in view.evidence]
        lines += ["", *table(("Server", "Evidence", "At", "SHA-256"), rows)]
    return lines


def _badge(badge: Badge | None) -> str:
    return badge.text if badge else "none"
