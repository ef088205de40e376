"""One change of three servers, told three times: before, after a success, after a failure. Values only.

FILE01 (kvm, filtered) is a file server with accepted differences; APP02 (vSphere without TLS verification,
x86, sealed) is a web server whose replacement lacks things; KIOSK03 (simulation, unplugged) has none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import date, datetime, timedelta

from orchestrator.changeset import store
from orchestrator.changeset.changes import ChangeSet, HostChange, KnownIdentity
from orchestrator.changeset.steps import apply_steps
from orchestrator.history import (
    Approval,
    Evidence,
    HostRecord,
    HostStatus,
    RunRecord,
    RunStatus,
    StepRecord,
    StepStatus,
)
from orchestrator.model.base import Value
from orchestrator.model.facts import (
    AutoStart,
    BuildTest,
    OdbcSource,
    Program,
    ProgramKind,
    ServerFacts,
    StartMode,
)
from orchestrator.model.machine import Firmware, PowerState
from orchestrator.model.network import (
    Finding,
    Flow,
    IsolationEvidence,
    IsolationMode,
    IsolationSpec,
    NetworkSpec,
)
from orchestrator.model.plan import Expect, HostPlan, ParitySpec
from orchestrator.model.target import GoldenImage, StagedTarget
from orchestrator.parity.compare import compare
from orchestrator.report.model import ReportView
from orchestrator.report.view import build_view
from tests.unit import builders as b

STARTED = datetime(2026, 12, 5, 21, 4, 10, tzinfo=b.NOW.tzinfo)
RULES = "v1 sha256:0123456789abcdef"
"""Not the real digest, so that a new rule does not rewrite the kept reports."""
RUN = "r20261205-210410-4f2a"


def before() -> ReportView:
    """What the board gets: one of two approvals given, one check failed."""
    change_set, digest = change()
    return build_view(
        change_set,
        digest,
        now=b.NOW + timedelta(hours=3),
        approvals=approvals(digest)[:1],
        earlier=earlier(),
    )


def earlier() -> tuple[Evidence, ...]:
    """What an earlier run found: FILE01 and APP02, which needs it; KIOSK03 was not in it."""
    seen = {"FILE01": _file_facts(), "APP02": _web_facts()}
    return tuple(
        evidence(name, "facts-source", facts, 0).model_copy(
            update={"run": "r20261120-080000-77aa", "at": b.NOW - timedelta(days=4)}
        )
        for name, facts in seen.items()
    )


def success() -> ReportView:
    """All three servers done; what FILE01's replacement lacks is waived."""
    ends = {"FILE01": HostStatus.DONE, "APP02": HostStatus.DONE, "KIOSK03": HostStatus.DONE}
    return _after(ends, RunStatus.DONE, web_services=("W3SVC", "WAS"))


def failure() -> ReportView:
    """FILE01 done with waivers, APP02 done but without parity, KIOSK03's cut not proved."""
    ends = {"FILE01": HostStatus.DONE, "APP02": HostStatus.DONE, "KIOSK03": HostStatus.FAILED}
    return _after(ends, RunStatus.FAILED, web_services=())


def change() -> tuple[ChangeSet, str]:
    """The change set and its digest."""
    vsphere = b.an_endpoint("vc-berlin", "vsphere", server="vc.example.net", tls_verify=False)
    made = b.a_change_set(
        file_server(),
        web_server(),
        kiosk(),
        endpoints=(
            b.an_endpoint("lab"),
            vsphere,
            b.an_endpoint("rehearsal", "simulated", world="world.json"),
        ),
        waves=("canary", "first"),
    )
    return made, store.digest(made)


def file_server() -> HostChange:
    """FILE01: keeps one allowed flow."""
    nightly = Flow(to="198.51.100.10", port=445, why="nightly export")
    network = NetworkSpec(
        name="export-only", mode=IsolationMode.FILTERED, create=True, uplink="br-export", allow=(nightly,)
    )
    waivers = (
        b.a_waiver("service:Browser", reason="Computer Browser is gone in 2025"),
        b.a_waiver("share:Archive", reason="moved to the archive server", owner="file-team"),
        b.a_waiver("finding:unsupported", reason="that is why it is contained", owner="it-security"),
        b.a_waiver("service:OldScanner", reason="scanner was scrapped", expires=date(2026, 12, 31)),
    )
    plan = b.a_host_plan(
        "FILE01",
        isolation=IsolationSpec(mode=IsolationMode.FILTERED, network=network),
        parity=ParitySpec(profile="file-server", waivers=waivers),
    )
    return _host(plan, known=True)


def web_server() -> HostChange:
    """APP02: waits for FILE01, nobody has seen its Windows yet, too little space at preview."""
    plan = b.a_host_plan(
        "APP02",
        endpoint="vc-berlin",
        vm="Branch/APP02",
        expect=Expect(build=6002, arch="x86"),
        wave="first",
        depends_on=("FILE01",),
        target=b.a_target("app02n", endpoint="vc-berlin", release=2022, image="win2022-golden"),
        parity=ParitySpec(profile="web-server"),
    )
    short = Finding(
        check="free space for the snapshot", ok=False, detail="9 GiB free on ds-07, 40 GiB needed"
    )
    return _host(plan, known=False, checks=(short,))


def kiosk() -> HostChange:
    """KIOSK03: simulated, unplugged, switched off, without a replacement."""
    plan = b.a_host_plan(
        "KIOSK03",
        endpoint="rehearsal",
        wave="first",
        isolation=IsolationSpec(mode=IsolationMode.UNPLUGGED),
        target=None,
        parity=None,
    )
    return _host(plan, known=True, power=PowerState.OFF)


def _host(
    plan: HostPlan,
    *,
    known: bool,
    checks: tuple[Finding, ...] | None = None,
    power: PowerState = PowerState.ON,
) -> HostChange:
    source = b.a_machine(plan.vm, endpoint=plan.endpoint, power=power)
    identity = b.an_identity(hostname=plan.name)
    seen = (
        KnownIdentity(identity=identity, at=b.NOW - timedelta(days=4), run="r20261120-080000-77aa")
        if known
        else None
    )
    release = plan.target.release if plan.target else 2025
    image = GoldenImage(
        name=f"win{release}-golden",
        id=f"/var/lib/libvirt/images/win{release}-golden.qcow2",
        size_bytes=40 * b.GIB,
        format="qcow2",
        firmware=Firmware.UEFI,
    )
    usual = (Finding(check="free space for the overlay", ok=True, detail="212 GiB free, 40 GiB needed"),)
    return b.a_host_change(
        plan=plan,
        source=source,
        known=seen,
        image=image if plan.target else None,
        networks=(),
        checks=usual if checks is None else checks,
        steps=apply_steps(plan, source, seen),
    )


def approvals(digest: str) -> tuple[Approval, ...]:
    """Two consents."""
    return (
        Approval(
            digest=digest,
            name="Katharina Vogel",
            at=b.NOW + timedelta(hours=1),
            comment="Board of 24 November",
        ),
        Approval(digest=digest, name="Jörg Åkesson", at=b.NOW + timedelta(hours=5)),
    )


def _after(ends: dict[str, HostStatus], status: RunStatus, web_services: Iterable[str]) -> ReportView:
    change_set, digest = change()
    hosts = tuple(
        _record(host, ends[host.plan.name], STARTED + timedelta(minutes=3 * number))
        for number, host in enumerate(change_set.hosts)
    )
    run = RunRecord(
        run=RUN,
        digest=digest,
        name=change_set.name,
        kind="apply",
        status=status,
        started_at=STARTED,
        ended_at=STARTED + timedelta(minutes=9, seconds=41),
        hosts=hosts,
        head="c0ffee" * 10 + "5eed",
    )
    return build_view(
        change_set,
        digest,
        now=STARTED + timedelta(minutes=12),
        run=run,
        evidence=_evidence(ends, web_services),
        approvals=approvals(digest),
        heads={name: hashlib.sha256(name.encode()).hexdigest() for name in ends},
    )


def _record(host: HostChange, status: HostStatus, start: datetime) -> HostRecord:
    failed = status is HostStatus.FAILED
    steps = []
    for number, step in enumerate(host.steps):
        began = start + timedelta(seconds=7 * number)
        bad = failed and step.kind.value == "verify"
        steps.append(
            StepRecord(
                step=step.kind.value,
                status=StepStatus.FAILED if bad else StepStatus.DONE,
                started_at=began,
                ended_at=began + timedelta(seconds=5 + number),
                message="1 of 2 findings is not ok" if bad else "",
            )
        )
        if bad:
            break
    return HostRecord(
        host=host.plan.name,
        wave=host.plan.wave,
        status=status,
        steps=tuple(steps),
        code="isolation" if failed else "",
        message="the isolation does not hold: link of 52:54:00:12:34:56 is up again" if failed else "",
        hint="look at the card in the hypervisor, then `ferry run resume`" if failed else "",
    )


def _evidence(ends: dict[str, HostStatus], web_services: Iterable[str]) -> tuple[Evidence, ...]:
    return (
        *_of_host("FILE01", IsolationMode.FILTERED, _file_facts(), _file_facts_new(), file_server(), 2025),
        *_of_host(
            "APP02", IsolationMode.SEALED, _web_facts(), _web_facts_new(web_services), web_server(), 2022
        ),
        evidence("KIOSK03", "facts-source", b.server_facts(identity=b.an_identity(hostname="KIOSK03")), 410),
        evidence(
            "KIOSK03", "isolation", _proof(IsolationMode.UNPLUGGED, ends["KIOSK03"] is HostStatus.DONE), 430
        ),
    )


def _of_host(
    name: str, mode: IsolationMode, old: ServerFacts, new: ServerFacts, host: HostChange, release: int
) -> tuple[Evidence, ...]:
    spec = host.plan.parity or ParitySpec()
    target = host.plan.target
    assert target is not None
    result = compare(old, new, spec, release=release, today=STARTED.date())
    staged = StagedTarget(
        endpoint=target.endpoint,
        id=f"11111111-0000-4000-8000-{name.encode().hex():0>12.12}",
        name=target.vm,
        token=f"ferry.{RUN}.{name}.stage",
        fingerprint="ab12",
        disks=("root.qcow2",),
        medium=None,
    )
    return (
        evidence(name, "facts-source", old, 60),
        evidence(name, "isolation", _proof(mode, True), 90),
        evidence(name, "staged", staged, 120),
        evidence(name, "facts-target", new, 150),
        evidence(name, "parity", result.model_copy(update={"rules": RULES}), 160),
    )


def evidence(host: str, kind: str, value: Value, seconds: int) -> Evidence:
    """A piece of evidence with its right hash."""
    body = store.canonical_json(value.model_dump(mode="json"))
    sha256 = hashlib.sha256(body.encode("ascii")).hexdigest()
    return Evidence(
        run=RUN, host=host, kind=kind, at=STARTED + timedelta(seconds=seconds), sha256=sha256, body=body
    )


def _proof(mode: IsolationMode, holds: bool) -> IsolationEvidence:
    card = "52:54:00:12:34:56"
    return IsolationEvidence(
        mode=mode,
        findings=(
            Finding(
                check=f"card {card}, running machine",
                ok=holds,
                detail="as planned" if holds else "link is up",
            ),
            Finding(check=f"card {card}, after a restart", ok=True, detail="the definition says the same"),
        ),
    )


def _file_facts() -> ServerFacts:
    services = ("LanmanServer", "Browser", "Spooler", "AeLookupSvc", "slsvc")
    return b.server_facts(
        identity=b.an_identity(hostname="FILE01"),
        services=tuple(b.a_service(name) for name in services),
        shares=(b.a_share(), b.a_share("Archive"), b.a_share("C$")),
        programs=(Program(path=r"D:\scale\SCALE.EXE", kind=ProgramKind.DOS),),
        autostart=(AutoStart(where="Run", name="scale", command=r"D:\scale\SCALE.EXE /q"),),
        build_tests=(BuildTest(path=r"D:\jobs\export.cmd", line=12, text='if not "%BUILD%"=="6002" exit'),),
        odbc=(OdbcSource(name="erp", driver="SQL Server", server="SQL01", database="erp", view=32),),
        sources=(("autostart", r"SOFTWARE\...\Run"), ("programs", "files")),
        warnings=("SYSTEM was dirty, 12 log entries replayed",),
    )


def _file_facts_new() -> ServerFacts:
    services = ("LanmanServer", "Spooler", "sppsvc")
    return b.new_facts(
        services=tuple(b.a_service(name) for name in services),
        network=b.a_network_config("FILE01N", domain=""),
    )


def _web_facts() -> ServerFacts:
    identity = b.an_identity(
        build=6002,
        hostname="APP02",
        arch="x86",
        edition="ServerWeb",
        product_name="Windows Web Server (R) 2008",
    )
    batch = b.a_service(
        "ContosoBatch",
        display_name="Contoso Batch",
        account=r"CONTOSO\batch",
        image_path=r"D:\batch\batch.exe",
    )
    return b.server_facts(
        identity=identity,
        services=(
            b.a_service("W3SVC"),
            b.a_service("WAS"),
            b.a_service("SMTPSVC", start=StartMode.MANUAL),
            batch,
        ),
        shares=(),
        tasks=(b.a_task(r"\Contoso\Nightly invoice", commands=(r"D:\batch\invoice.cmd \\FILE01\Projects",)),),
        network=b.a_network_config("APP02", hosts=()),
    )


def _web_facts_new(web_services: Iterable[str]) -> ServerFacts:
    done = tuple(b.a_service(name) for name in web_services)
    old = _web_facts()
    return b.new_facts(
        identity=b.a_new_identity(
            build=20348, hostname="APP02N", product_name="Windows Server 2022 Standard"
        ),
        services=(*done, *(s for s in old.services or () if done and s.name == "ContosoBatch")),
        shares=(),
        tasks=old.tasks if done else (),
        software=old.software if done else None,
        unknown=() if done else (("software", "the SOFTWARE hive is damaged"),),
    )
