"""One host as the board sees it: what it is, what happens to it, how it went. Pure."""

from collections.abc import Sequence
from datetime import datetime

from orchestrator.changeset.changes import ChangeSet, HostChange, Kind, Step, StepKind
from orchestrator.changeset.steps import flow_words, site_filter_words
from orchestrator.history import HostRecord, StepRecord
from orchestrator.model.facts import Identity
from orchestrator.model.machine import Machine, PowerState
from orchestrator.model.network import Finding, IsolationMode, IsolationSpec
from orchestrator.model.plan import Disposition
from orchestrator.model.target import TargetSpec
from orchestrator.parity.assessment.result import Assessment
from orchestrator.report import wording
from orchestrator.report.assessment import assessment_view
from orchestrator.report.model import CheckView, HostView, IsolationView, Pairs, StepView
from orchestrator.report.parity import parity_view, waiver_pairs
from orchestrator.report.records import HostRecords


def host_view(
    change_set: ChangeSet,
    host: HostChange,
    record: HostRecord | None,
    records: HostRecords,
    assessment: Assessment | None,
    now: datetime,
) -> HostView:
    """Return one host; `record` None is before the run."""
    parity = host.plan.parity
    undo = change_set.kind is Kind.UNDO
    return HostView(
        name=host.plan.name,
        wave=host.plan.wave,
        badge=wording.HOST_BADGES[record.status] if record else None,
        outcome=_outcome(record) if record else "",
        summary=_summary(host, undo=undo),
        impact=_impact(host, undo=undo),
        depends_on=host.plan.depends_on,
        item=_item(host, records, now),
        target=_target(host, records) if host.plan.target is not None and not undo else (),
        steps=_steps(host.steps, record),
        checks=tuple(check_view(f) for f in host.checks),
        isolation=_isolation(records),
        parity=parity_view(records.parity.result, records.parity.at) if records.parity else None,
        assessment=assessment_view(assessment, _seen(records, now)) if assessment else None,
        not_assessed="" if assessment or undo else wording.NOT_ASSESSED,
        waivers=tuple(waiver_pairs(w) for w in parity.waivers) if parity and not undo else (),
    )


def check_view(finding: Finding) -> CheckView:
    """Return one finding with its state in words."""
    badge = wording.PASSED if finding.ok else wording.NOT_PASSED
    return CheckView(check=finding.check, badge=badge, detail=finding.detail)


def _outcome(record: HostRecord) -> str:
    hint = f"What to do: {record.hint}" if record.hint else ""
    return " ".join(wording.sentence(text) for text in (record.message, hint) if text)


def _summary(host: HostChange, *, undo: bool) -> str:
    if undo:
        return "What the run did to it is taken back, last step first."
    target = host.plan.target
    staged = f"{target.vm} (Windows Server {target.release}) is staged as its replacement." if target else ""
    return f"{_what_becomes(host)} {staged}".strip()


def _what_becomes(host: HostChange) -> str:
    plan = host.plan
    if plan.disposition is Disposition.LIFT and plan.lift is not None:
        return (
            f"Its disks are copied to {plan.lift.endpoint}, where it runs in the subnet {plan.lift.subnet}."
        )
    if plan.isolation is None:
        return "It stays where it runs."
    return f"It stays where it runs and is cut off: {_cut(plan.isolation)}."


def _cut(spec: IsolationSpec) -> str:
    name = spec.network.name if spec.network else ""
    return {
        IsolationMode.UNPLUGGED: "the link of every network card is taken down",
        IsolationMode.SEALED: f"every network card moves to the sealed network {name}",
        IsolationMode.FILTERED: f"every network card moves to {name}, behind "
        + (site_filter_words(spec.network) or "a filter"),
    }[spec.mode]


def _impact(host: HostChange, *, undo: bool) -> str:
    if undo:
        released = any(step.kind is StepKind.RELEASE for step in host.steps)
        return "An unpatched server is reachable again." if released else "Its network is not touched."
    spec = host.plan.isolation
    if spec is None:
        return "Its network is not touched."
    state = (
        "It keeps running" if host.source.power is PowerState.ON else f"It stays {host.source.power.value}"
    )
    flows = spec.network.allow if spec.network and spec.mode is IsolationMode.FILTERED else ()
    allowed = "; ".join(flow_words(flow) for flow in flows)
    if site_filter_words(spec.network) is not None:
        declared = f" The site declares that it reaches only: {allowed}." if flows else ""
        return f"{state}. From the isolation step on the site's own filter says what passes.{declared}"
    if not flows:
        return f"{state}. From the isolation step on nothing reaches it, and it reaches nothing."
    return f"{state}. From the isolation step on it reaches only: {allowed}. Nothing else passes."


def _item(host: HostChange, records: HostRecords, now: datetime) -> Pairs:
    """The configuration item: Windows first, then the machine."""
    return (*_windows(host, records, now), *_machine(host.source))


def _seen(records: HostRecords, now: datetime) -> str:
    """Say when and in which run the facts were collected that an assessment rests on."""
    known = records.known
    return f"{wording.minute(known.at)}, {wording.age(known.at, now)}, in run {known.run}" if known else ""


def _windows(host: HostChange, records: HostRecords, now: datetime) -> Pairs:
    if records.source is not None:
        seen, identity = "in this run, from the snapshot", records.source.identity
    elif host.known is not None:
        seen = f"{wording.minute(host.known.at)}, {wording.age(host.known.at, now)}, in run {host.known.run}"
        identity = host.known.identity
    else:
        return (("Windows", "unknown until the run reads it from the snapshot"),)
    return (*_identity(identity), ("seen", seen))


def _identity(identity: Identity) -> Pairs:
    return (
        ("Windows", wording.system(identity)),
        ("build", wording.build(identity)),
        ("edition", identity.edition or wording.UNKNOWN),
        ("architecture", identity.arch or wording.UNKNOWN),
        ("role", wording.role(identity)),
        ("host name", identity.hostname or wording.UNKNOWN),
    )


def _machine(machine: Machine) -> Pairs:
    disks = tuple(
        (f"disk {d.key}", f"{wording.size(d.size_bytes)}, {d.bus}") for d in machine.disks if not d.cdrom
    )
    cards = tuple(
        (f"card {n.key}", f"{n.network}, link {'up' if n.link_up else 'down'} at preview")
        for n in machine.nics
    )
    notes = tuple(("note", note) for note in (*machine.notes, *machine.busy))
    hardware = f"{wording.plural(machine.cpus, 'CPU')}, {wording.size(machine.memory_bytes)} memory"
    return (
        ("machine", f"{machine.ref.name} on {machine.ref.endpoint}, id {machine.ref.id}"),
        ("hardware", f"{hardware}, {machine.firmware.value}, power {machine.power.value}"),
        *disks,
        *cards,
        *notes,
    )


def _target(host: HostChange, records: HostRecords) -> Pairs:
    spec = host.plan.target
    if spec is None:
        return ()
    image = f"{spec.image}, {spec.copy_mode.value} copy"
    if host.image is not None:
        image += f" of {wording.size(host.image.size_bytes)}"
    found: Pairs = (
        (
            "machine",
            f"{spec.vm} on {spec.endpoint}" + (f", id {records.staged.id}" if records.staged else ""),
        ),
        ("planned", f"Windows Server {spec.release} from {image}"),
        ("hardware", f"{wording.plural(spec.cpus, 'CPU')}, {wording.size(spec.memory_bytes)} memory"),
        ("network", f"{spec.network.name}, {_address(spec)}"),
        ("computer name", spec.computer_name),
    )
    if records.target is not None:
        identity = records.target.identity
        found += (("found", f"{wording.system(identity)}, build {wording.build(identity)}"),)
    return found


def _address(spec: TargetSpec) -> str:
    if spec.address is None:
        return "address by DHCP"
    return f"address {spec.address.ip}, gateway {spec.address.gateway or 'none'}"


def _steps(steps: Sequence[Step], record: HostRecord | None) -> tuple[StepView, ...]:
    ran = {r.step: r for r in record.steps} if record else {}
    return tuple(
        _step(number, step, ran.get(step.kind.value), after=record is not None)
        for number, step in enumerate(steps, 1)
    )


def _step(number: int, step: Step, ran: StepRecord | None, *, after: bool) -> StepView:
    badge = wording.STEP_BADGES[ran.status] if ran else (wording.NOT_RUN if after else None)
    took = wording.duration(ran.ended_at - ran.started_at) if ran and ran.ended_at else ""
    return StepView(
        number=number,
        kind=step.kind.value,
        title=step.title,
        values=step.values,
        undo=step.undo,
        changes=step.mutates,
        badge=badge,
        started=wording.moment(ran.started_at) if ran else "",
        duration=took,
        message=ran.message if ran else "",
    )


def _isolation(records: HostRecords) -> IsolationView | None:
    found = records.isolation
    if found is None:
        return None
    return IsolationView(
        badge=wording.PROVED if found.holds else wording.NOT_PROVED,
        mode=found.mode.value,
        at=wording.moment(records.isolated_at),
        findings=tuple(check_view(f) for f in found.findings),
    )
