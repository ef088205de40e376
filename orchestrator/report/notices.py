"""What whoever approves, or looks back, must not miss. Pure."""

from collections.abc import Iterator, Mapping
from datetime import datetime

from orchestrator.changeset.changes import ChangeSet, HostChange, Kind, ObservedEndpoint
from orchestrator.changeset.undo import reexposes
from orchestrator.history import HostRecord, HostStatus, RunRecord
from orchestrator.lifecycle import is_server_2008_sp2
from orchestrator.model.facts import Identity, ProductType
from orchestrator.parity.assessment.result import Assessment
from orchestrator.parity.result import Verdict
from orchestrator.report import wording
from orchestrator.report.model import Notice, Tone
from orchestrator.report.records import HostRecords

_ORDER = (Tone.BAD, Tone.WARN, Tone.NEUTRAL, Tone.GOOD)
SIMULATED = "simulated"


def notices(
    change_set: ChangeSet,
    run: RunRecord | None,
    records: Mapping[str, HostRecords],
    assessed: Mapping[str, Assessment],
    now: datetime,
) -> tuple[Notice, ...]:
    """Return every notice, worst first, the change's own before those of its hosts."""
    found = [*_of_change(change_set), *_of_endpoints(change_set)]
    ran = {r.host: r for r in run.hosts} if run else {}
    for host in change_set.hosts:
        own = records[host.plan.name]
        found += _before(host, own, now) if run is None else _after(host, ran.get(host.plan.name), own)
        if host.plan.name in assessed:
            found += _of_assessment(assessed[host.plan.name], before=run is None)
        found += [Notice(tone=Tone.BAD, host=host.plan.name, text=problem) for problem in own.problems]
    return tuple(sorted(found, key=lambda notice: _ORDER.index(notice.tone)))


def tls_off(endpoint: ObservedEndpoint) -> bool:
    """Tell whether the endpoint's certificate is not checked."""
    return endpoint.settings.settings.get("tls_verify") is False


def simulated(endpoint: ObservedEndpoint) -> bool:
    """Tell whether the endpoint is a simulation."""
    return endpoint.settings.provider == SIMULATED


def _of_change(change_set: ChangeSet) -> Iterator[Notice]:
    if change_set.kind is Kind.UNDO and reexposes(change_set):
        yield _change(
            Tone.WARN, "Unpatched servers get their network back: anybody who reaches them may attack them."
        )
    if change_set.destroy_targets:
        yield _change(Tone.BAD, "Replacements are removed even where people have changed them since staging.")
    if change_set.delete_disks:
        yield _change(Tone.BAD, "The disks of the replacements are deleted. What is on them is lost.")
    if change_set.change.window is None:
        yield _change(Tone.WARN, "There is no change window: the run may start at any time.")
    if change_set.change.approvals == 0:
        yield _change(Tone.WARN, "The plan asks for no approval.")


def _of_endpoints(change_set: ChangeSet) -> Iterator[Notice]:
    for endpoint in change_set.endpoints:
        name = endpoint.settings.name
        if simulated(endpoint):
            yield _change(
                Tone.WARN, f"Endpoint {name} is a simulation: nothing real was looked at or is changed."
            )
        if tls_off(endpoint):
            yield _change(
                Tone.WARN,
                f"Endpoint {name}: the server's certificate is not verified (tls_verify is off). "
                "Whoever stands in between can read the credentials.",
            )


def _change(tone: Tone, text: str) -> Notice:
    return Notice(tone=tone, host="", text=text)


def _before(host: HostChange, records: HostRecords, now: datetime) -> Iterator[Notice]:
    name = host.plan.name
    for check in host.checks:
        if not check.ok:
            yield Notice(tone=Tone.BAD, host=name, text=f"Check failed: {check.check}: {check.detail}")
    identity = records.source.identity if records.source else host.known.identity if host.known else None
    yield from _identity(name, identity, host)
    foreign = [s.name for s in host.source.snapshots if s.token is None]
    if foreign:
        text = (
            f"It has {wording.plural(len(foreign), 'snapshot')} that ferry did not make; they are left alone."
        )
        yield Notice(tone=Tone.WARN, host=name, text=text)
    for waiver in host.plan.parity.waivers if host.plan.parity else ():
        if waiver.expires <= now.date():
            text = f"The waiver for {waiver.item} expired on {waiver.expires.isoformat()}."
            yield Notice(tone=Tone.BAD, host=name, text=text)


def _identity(name: str, identity: Identity | None, host: HostChange) -> Iterator[Notice]:
    if identity is None:
        text = (
            "Which Windows it is, is not known yet; it is read from the snapshot, and a wrong one stops here."
        )
        yield Notice(tone=Tone.WARN, host=name, text=text)
        return
    for text in _wrong(identity, host):
        yield Notice(tone=Tone.BAD, host=name, text=text)
    if identity.product_type is ProductType.DOMAIN_CONTROLLER:
        text = "It is a domain controller: never revert it, and never let a copy of it meet the domain."
        yield Notice(tone=Tone.WARN, host=name, text=text)


def _wrong(identity: Identity, host: HostChange) -> Iterator[str]:
    verdict = is_server_2008_sp2(identity)
    if verdict.yes is not True:
        sure = "It is not" if verdict.yes is False else "Nobody can say yet that it is"
        yield f"{sure} Windows Server 2008 SP2: {'; '.join(verdict.reasons)}."
    expect = host.plan.expect
    if expect.build is not None and identity.build != expect.build:
        yield f"The plan expects build {expect.build}, found is {identity.build or wording.UNKNOWN}."
    if expect.arch is not None and identity.arch != expect.arch:
        yield f"The plan expects architecture {expect.arch}, found is {identity.arch or wording.UNKNOWN}."


def _of_assessment(assessment: Assessment, *, before: bool) -> Iterator[Notice]:
    """Before a run, what has to be decided and who is cut off; after it, what was left undecided."""
    for finding in assessment.blockers:
        tone = Tone.BAD if before else Tone.WARN
        text = f"{wording.sentence(finding.title)} ({finding.item})"
        yield Notice(tone=tone, host=assessment.host, text=text)
    who = tuple(dict.fromkeys(d.who for d in assessment.dependencies))
    if who and before:
        text = f"Cut off from it by isolation: {wording.listed(who)}. See its assessment."
        yield Notice(tone=Tone.WARN, host=assessment.host, text=text)


_BAD_ENDS = {
    HostStatus.FAILED: Tone.BAD,
    HostStatus.REFUSED: Tone.BAD,
    HostStatus.CANCELLED: Tone.WARN,
    HostStatus.SKIPPED: Tone.WARN,
}


def _after(host: HostChange, record: HostRecord | None, records: HostRecords) -> Iterator[Notice]:
    name = host.plan.name
    if record is not None and record.status in _BAD_ENDS:
        words = record.message or "no reason was recorded"
        yield Notice(
            tone=_BAD_ENDS[record.status], host=name, text=f"{record.status.value.capitalize()}: {words}"
        )
    if records.isolation is not None and not records.isolation.holds:
        text = "Its isolation is not proved. Treat it as reachable until it is."
        yield Notice(tone=Tone.BAD, host=name, text=text)
    if records.parity is not None:
        yield from _of_parity(name, records.parity.result.verdict, len(records.parity.result.open_items))
    for warning in records.source.warnings if records.source else ():
        yield Notice(tone=Tone.WARN, host=name, text=f"Inventory: {warning}")


def _of_parity(name: str, verdict: Verdict, count: int) -> Iterator[Notice]:
    if verdict is Verdict.FAIL:
        text = (
            f"Parity fails: {wording.plural(count, 'item')} to look at before the replacement can take over."
        )
        yield Notice(tone=Tone.WARN, host=name, text=text)
    if verdict is Verdict.CANNOT_TELL:
        text = "Parity cannot be told: something that counts could not be seen."
        yield Notice(tone=Tone.WARN, host=name, text=text)
