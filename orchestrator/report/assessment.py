"""The assessment of each old host as the board sees it, from facts of this run or an earlier one. Pure."""

from collections.abc import Mapping
from datetime import datetime

from orchestrator.changeset.changes import ChangeSet, HostChange, Kind
from orchestrator.lifecycle import Grade, Stage, When
from orchestrator.model.plan import Disposition
from orchestrator.parity.assessment.assess import assess
from orchestrator.parity.assessment.dependencies import Fleet
from orchestrator.parity.assessment.result import Assessment, Ground, HostFinding
from orchestrator.parity.assessment.subject import Circumstances
from orchestrator.parity.result import Severity
from orchestrator.report import wording
from orchestrator.report.model import AssessmentView, FindingView
from orchestrator.report.parity import waiver_text
from orchestrator.report.records import HostRecords

AZURE = "azure"
"""The provider whose machines run in Azure."""
_GROUNDS = 40


def assessments(
    change_set: ChangeSet, records: Mapping[str, HostRecords], now: datetime
) -> dict[str, Assessment]:
    """Return the assessment of each host whose facts are known, as of `now`. A way back has none."""
    if change_set.kind is Kind.UNDO:
        return {}
    known = {name: own.known.facts if own.known else None for name, own in records.items()}
    fleet = Fleet(known)
    found = {}
    for host in change_set.hosts:
        name = host.plan.name
        facts = known.get(name)
        if facts is not None:
            waivers = host.plan.parity.waivers if host.plan.parity else ()
            found[name] = assess(name, facts, circumstances(change_set, host, now), waivers, fleet)
    return found


def circumstances(change_set: ChangeSet, host: HostChange, now: datetime) -> Circumstances:
    """Return what a host's findings depend on beside its facts."""
    providers = {e.settings.name: e.settings.provider for e in change_set.endpoints}
    return Circumstances(
        on=now.date(),
        release=host.plan.target.release if host.plan.target else None,
        azure=providers.get(host.plan.endpoint) == AZURE,
        lift=host.plan.disposition is Disposition.LIFT,
    )


def assessment_view(assessment: Assessment, seen: str) -> AssessmentView:
    """Return the view of one assessment; `seen` says in words when its facts were collected."""
    open_ones = assessment.open_findings
    return AssessmentView(
        badge=wording.ASSESSMENT_BADGES[assessment.verdict],
        meaning=wording.ASSESSMENT_MEANING[assessment.verdict],
        basis=f"As of {assessment.on.isoformat()}, from facts seen {seen}.",
        support=assessment.support.reason,
        stages=tuple(_stage(stage) for stage in assessment.support.stages),
        open_findings=tuple(_finding(f) for f in open_ones if f.severity is not Severity.INFO),
        hints=tuple(_finding(f) for f in open_ones if f.severity is Severity.INFO),
        waived_findings=tuple(_finding(f) for f in assessment.findings if f.waived),
        waiver_notes=tuple((n.item, f"{n.problem.value}: {n.text}") for n in assessment.waiver_notes),
        unseen=assessment.unseen,
    )


def _stage(stage: Stage) -> tuple[str, str]:
    milestone = stage.milestone
    when = stage.why if stage.when is When.NEVER else stage.when.value
    grade = "" if milestone.source.grade is Grade.VENDOR else f", source {milestone.source.grade.value}"
    label = milestone.stage.replace("extended security updates, ", "ESU ")
    return label, f"until {milestone.last_day.isoformat()}: {when}{grade}"


def _finding(finding: HostFinding) -> FindingView:
    grounds = tuple(_ground(ground) for ground in finding.grounds[:_GROUNDS])
    more = len(finding.grounds) - _GROUNDS
    return FindingView(
        item=finding.item,
        badge=wording.finding_badge(finding),
        title=finding.title,
        grounds=(*grounds, ("and", f"{more} more")) if more > 0 else grounds,
        advice=finding.advice,
        waiver=waiver_text(finding.waiver) if finding.waived and finding.waiver else "",
    )


def _ground(ground: Ground) -> tuple[str, str]:
    return ground.fact, f"{ground.value} ({ground.source})" if ground.source else ground.value
