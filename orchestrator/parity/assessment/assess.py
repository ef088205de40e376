"""The assessment as a whole: every check run, dependencies matched, waivers laid over, a verdict."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from orchestrator.lifecycle import status_on
from orchestrator.model.facts import ServerFacts
from orchestrator.model.plan import Waiver
from orchestrator.parity import compare
from orchestrator.parity.assessment import platform, programs, protocols, roles, upkeep
from orchestrator.parity.assessment.checks import Check, run_checks
from orchestrator.parity.assessment.dependencies import Fleet
from orchestrator.parity.assessment.result import Assessment, Dependency, Ground, HostFinding
from orchestrator.parity.assessment.subject import Circumstances, Subject
from orchestrator.parity.names import windows_key
from orchestrator.parity.result import RANK, ItemResult, Severity, State
from orchestrator.parity.waive import apply_waivers, is_finding

_NO_FINDING = "matches no finding of this host"

CHECKS: tuple[Check, ...] = (
    *platform.CHECKS,
    *upkeep.CHECKS,
    *roles.CHECKS,
    *programs.CHECKS,
    *protocols.CHECKS,
)


def assess(
    name: str,
    facts: ServerFacts,
    circumstances: Circumstances,
    waivers: Iterable[Waiver] = (),
    fleet: Fleet | None = None,
) -> Assessment:
    """Assess one host on the day that `circumstances` gives.

    `waivers` are the plan's for this host: those for items "finding:..." count here, the rest is left alone.
    `fleet` holds the plan's hosts; without it nothing is known of who needs this one.
    """
    support = status_on(facts.identity, circumstances.on, circumstances.azure)
    subject = Subject(name, facts, circumstances, support)
    found = fleet.needing(name) if fleet is not None else ()
    unseen = fleet.unseen(name) if fleet is not None else ()
    findings = [*run_checks(CHECKS, subject), *_needed_by(found), *_unseen(name, fleet)]
    own = tuple(waiver for waiver in waivers if is_finding(waiver.item))
    results, notes = apply_waivers(_as_items(findings), (), own, circumstances.on, _NO_FINDING)
    waived = [_with_waiver(finding, results[windows_key(finding.item)]) for finding in findings]
    return Assessment(
        host=name,
        on=circumstances.on,
        release=circumstances.release,
        verdict=compare.verdict(tuple(results.values())),
        support=support,
        findings=tuple(sorted(waived, key=_order)),
        dependencies=found,
        unseen=unseen,
        waiver_notes=notes,
    )


def _needed_by(found: Sequence[Dependency]) -> Iterator[HostFinding]:
    for who, needs in groupby(found, key=lambda dependency: dependency.who):
        listed = tuple(needs)
        yield HostFinding(
            id="needed-by",
            detail=who,
            severity=Severity.WARNING,
            title=f"{who} needs it and is cut off from it by isolation",
            grounds=tuple(_need(dependency) for dependency in listed),
            advice=f"Move what {who} needs to the replacement first, or let that flow pass the filter.",
        )


def _need(dependency: Dependency) -> Ground:
    ground = dependency.ground
    return Ground(
        fact=f"{dependency.who}: {ground.fact}",
        value=f"{dependency.who} {dependency.what}: {ground.value}",
        source=ground.source,
    )


def _unseen(name: str, fleet: Fleet | None) -> Iterator[HostFinding]:
    if fleet is None:
        return
    grounds = [Ground(fact=host, value="no inventory yet") for host in fleet.unseen(name)]
    grounds += [
        Ground(fact=host, value=f"unknown: {', '.join(what)}") for host, what in fleet.half_seen(name)
    ]
    if grounds:
        yield HostFinding(
            id="cannot-tell",
            detail="dependents",
            severity=Severity.WARNING,
            title="Cannot tell whether other hosts of the plan need it: not all of their facts were seen",
            grounds=tuple(grounds),
            advice="Take their inventory first (a run keeps it), or ask their owners.",
            cannot_tell=True,
        )


def _as_items(findings: Iterable[HostFinding]) -> dict[str, ItemResult]:
    """Return findings as items: waivers hold for both alike. Of two with one name the worse counts."""
    items: dict[str, ItemResult] = {}
    for finding in sorted(findings, key=lambda f: RANK[f.severity]):
        items[windows_key(finding.item)] = ItemResult(
            item=finding.item,
            kind="finding",
            state=State.UNKNOWN if finding.cannot_tell else State.CHANGED,
            severity=finding.severity,
        )
    return items


def _with_waiver(finding: HostFinding, result: ItemResult) -> HostFinding:
    """Lay the outcome of waivers over a finding: waived, or made worse by one that has expired."""
    if result.waiver is None:
        return finding
    waived = result.state is State.WAIVED
    severity = finding.severity if waived else result.severity
    return finding.model_copy(update={"waiver": result.waiver, "waived": waived, "severity": severity})


def _order(finding: HostFinding) -> tuple[bool, int, bool, str]:
    return finding.waived, -RANK[finding.severity], finding.cannot_tell, windows_key(finding.item)
