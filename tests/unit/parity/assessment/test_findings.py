"""Each finding: facts that raise it, and the healthy server, which raises none but its age."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from orchestrator.model.facts import (
    Application,
    AutoStart,
    Binding,
    BuildTest,
    DiskLayout,
    Iis,
    Listener,
    OdbcSource,
    Pool,
    Printer,
    ProductType,
    Program,
    ProgramKind,
    Protocol,
    Role,
    ServerFacts,
    Site,
    StartMode,
    Volume,
)
from orchestrator.parity.assessment.assess import assess
from orchestrator.parity.assessment.result import Assessment, HostFinding
from orchestrator.parity.assessment.subject import Circumstances
from orchestrator.parity.result import Severity, Verdict
from tests.unit import builders as b
from tests.unit.parity.assessment import healthy as h

BLOCKER, WARNING, INFO = Severity.BLOCKER, Severity.WARNING, Severity.INFO
IN_2025 = Circumstances(on=b.TODAY, release=2025)


def assessed(facts: ServerFacts, plan: Circumstances = IN_2025) -> Assessment:
    return assess("FILE01", facts, plan)


def found(plan: Circumstances = IN_2025, **changes: Any) -> dict[str, HostFinding]:
    """What an otherwise healthy server raises, without the finding that all of them have."""
    findings = {f.item: f for f in assessed(h.facts(**changes), plan).findings}
    findings.pop("finding:unsupported", None)
    return findings


def dynamic() -> DiskLayout:
    return DiskLayout(index=1, size=100 * b.GIB, scheme="mbr", dynamic=True)


def encrypted() -> Volume:
    return Volume(letter="D:", label="Data", filesystem="", size=b.GIB, used=None, encrypted=True)


def site(**changes: Any) -> Site:
    fields: dict[str, Any] = {
        "name": "shop",
        "id": 1,
        "autostart": True,
        "bindings": (Binding(protocol="https", information="*:443:", certificate=h.THUMBPRINT.lower()),),
        "applications": (Application(path="/", pool="Shop", folder=r"D:\shop"),),
    }
    return Site(**fields | changes)


def pool(runtime: str, name: str = "Shop") -> Pool:
    return Pool(name=name, runtime=runtime, pipeline="Integrated", identity="", enable_32_bit=False)


def dos(path: str = r"D:\old\SCALE.EXE") -> Program:
    return Program(path=path, kind=ProgramKind.DOS)


def source(view: int) -> OdbcSource:
    return OdbcSource(name="erp", driver="SQL Server", server="SQL01", database="erp", view=view)


def printer(shared_as: str) -> Printer:
    return Printer(name="Laser", driver="HP Universal", port="IP_192.0.2.9", shared_as=shared_as)


def ends(days: int) -> dict[str, Any]:
    return {"certificates": (h.certificate(not_after=b.TODAY + timedelta(days=days)),)}


def tls(**by_side: bool | None) -> tuple[Protocol, ...]:
    return tuple(Protocol(name="TLS 1.2", side=side, enabled=on) for side, on in by_side.items())


def test_a_healthy_server_raises_nothing_but_its_age() -> None:
    result = assessed(h.facts())
    assert [f.item for f in result.findings] == ["finding:unsupported"]
    assert result.verdict is Verdict.PASS


RAISED: list[tuple[str, Severity, dict[str, Any]]] = [
    ("finding:32-bit", WARNING, {"identity": b.an_identity(arch="x86")}),
    ("finding:itanium", BLOCKER, {"identity": b.an_identity(arch="ia64")}),
    (
        "finding:domain-controller",
        BLOCKER,
        {"identity": b.an_identity(product_type=ProductType.DOMAIN_CONTROLLER)},
    ),
    ("finding:cluster-node", BLOCKER, {"services": (b.a_service("ClusSvc"),)}),
    ("finding:dynamic-disks", WARNING, {"disks": (dynamic(),)}),
    ("finding:encrypted-volume:D:", WARNING, {"volumes": (encrypted(),)}),
    ("finding:sha2", WARNING, {"servicing": h.servicing(sha2=False)}),
    ("finding:servicing-stack", WARNING, {"servicing": h.servicing(servicing_stack="6.0.6002.18005")}),
    ("finding:reboot-pending", WARNING, {"servicing": h.servicing(reboot_pending=True)}),
    (f"finding:certificate:{h.THUMBPRINT}", WARNING, ends(-1)),
    (f"finding:certificate:{h.THUMBPRINT}", WARNING, ends(90)),
    ("finding:role:smtp", WARNING, {"services": (b.a_service("SMTPSVC"),)}),
    ("finding:role:telnet", WARNING, {"roles": (Role(id="Telnet-Server"),)}),
    ("finding:role:uddi", WARNING, {"services": (b.a_service("UDDI_Db"),)}),
    (r"finding:16-bit:D:\old\SCALE.EXE", WARNING, {"programs": (dos(),)}),
    (
        "finding:32-bit-programs",
        INFO,
        {"software": (b.a_software("Scanner 2", view=32),)},
    ),
    ("finding:odbc-32-bit:erp", WARNING, {"odbc": (source(32),)}),
    (
        "finding:dotnet-3.5",
        WARNING,
        {"programs": (Program(path=r"D:\a.exe", kind=ProgramKind.X64, dotnet="v2.0.50727"),)},
    ),
    ("finding:dotnet-1.1", WARNING, {"iis": Iis(sites=(site(),), pools=(pool("v1.1"),))}),
    ("finding:dotnet-3.5", WARNING, {"iis": Iis(sites=(site(),), pools=(pool("v2.0"),))}),
    (
        r"finding:build-test:C:\jobs\check.cmd",
        WARNING,
        {"build_tests": (BuildTest(path=r"C:\jobs\check.cmd", line=7, text="if %B%==6002"),)},
    ),
    ("finding:tls-1.0:client", WARNING, {"security": h.security(tls=tls(client=None, server=True))}),
    ("finding:tls-1.0:server", WARNING, {"security": h.security(tls=tls(client=True))}),
    ("finding:smb1", INFO, {"security": h.security(smb1_server=None)}),
    ("finding:smb1", WARNING, {"security": h.security(smb1_server=True)}),
    ("finding:ntlm-v1", WARNING, {"security": h.security(lm_compatibility=2)}),
    ("finding:serves:dns", WARNING, {"services": (b.a_service("DNS"),)}),
    ("finding:serves:database", WARNING, {"services": (b.a_service("MSSQL$ERP"),)}),
    (
        "finding:serves:activation",
        WARNING,
        {"listeners": (Listener(protocol="tcp", address="0.0.0.0", port=1688),)},  # noqa: S104
    ),
    ("finding:serves:files", WARNING, {"shares": (b.a_share("Projects"),)}),
    ("finding:serves:printing", WARNING, {"printers": (printer("LASER"),)}),
]


@pytest.mark.parametrize(("item", "severity", "changes"), RAISED)
def test_a_finding_is_raised_with_evidence_and_advice(
    item: str, severity: Severity, changes: dict[str, Any]
) -> None:
    finding = found(**changes)[item]
    assert finding.severity is severity
    assert finding.grounds
    assert all(ground.value for ground in finding.grounds)
    assert finding.advice
    assert not finding.cannot_tell


@pytest.mark.parametrize(
    "changes",
    [
        {"services": (b.a_service("ClusSvc", start=StartMode.DISABLED),)},
        {"services": (b.a_service("SMTPSVC", start=StartMode.DISABLED),)},
        ends(91),
        {"odbc": (source(64),)},
        {"printers": (printer(""),)},
        {"iis": Iis(sites=(site(),), pools=(pool("v4.0"), pool("v2.0", "DefaultAppPool")))},
        {"security": h.security(lm_compatibility=None)},
        {"listeners": (Listener(protocol="tcp", address="127.0.0.1", port=1688),)},
        {"software": (b.a_software("Scanner 2", view=32), b.a_software("Scanner 2", view=64))},
    ],
)
def test_what_only_looks_like_a_finding_raises_none(changes: dict[str, Any]) -> None:
    assert found(**changes) == {}


def test_a_ground_names_fact_value_and_source() -> None:
    (ground,) = found(services=(b.a_service("ClusSvc", display_name="Cluster"),))[
        "finding:cluster-node"
    ].grounds
    assert (ground.fact, ground.value) == ("services.ClusSvc", "Cluster, start auto")
    assert ground.source == r"SYSTEM\ControlSet001\Services"


def test_an_encrypted_volume_blocks_a_lift() -> None:
    plan = Circumstances(on=b.TODAY, release=2025, lift=True)
    assert found(plan, volumes=(encrypted(),))["finding:encrypted-volume:D:"].severity is BLOCKER


@pytest.mark.parametrize(
    "starter",
    [
        {"tasks": (b.a_task(commands=(r"d:\OLD\scale.exe /q",)),)},
        {"services": (b.a_service("Scale", image_path=r'"D:\old\scale.exe"'),)},
        {"autostart": (AutoStart(where="Run", name="scale", command=r"D:\old\scale.exe"),)},
    ],
)
def test_a_16_bit_program_that_starts_by_itself_blocks(starter: dict[str, Any]) -> None:
    finding = found(programs=(dos(),), **starter)[r"finding:16-bit:D:\old\SCALE.EXE"]
    assert finding.severity is BLOCKER
    assert len(finding.grounds) == 2


def test_on_a_32_bit_windows_programs_are_not_listed_again() -> None:
    changes = {"identity": b.an_identity(arch="x86"), "software": (b.a_software("Scanner 2", view=32),)}
    assert set(found(**changes)) == {"finding:32-bit"}


def test_each_place_that_tests_for_a_build_is_named_with_file_and_line() -> None:
    places = [(r"C:\a.cmd", 9), (r"C:\a.cmd", 3), (r"task:\Nightly", 0)]
    tests = tuple(BuildTest(path=path, line=line, text="6002") for path, line in places)
    findings = found(build_tests=tests)
    assert [g.fact for g in findings[r"finding:build-test:C:\a.cmd"].grounds] == [
        r"C:\a.cmd:3",
        r"C:\a.cmd:9",
    ]
    assert [g.fact for g in findings[r"finding:build-test:task:\Nightly"].grounds] == [r"task:\Nightly"]


def test_a_certificate_names_the_sites_that_use_it() -> None:
    finding = found(**ends(-1), iis=Iis(sites=(site(),), pools=()))[f"finding:certificate:{h.THUMBPRINT}"]
    assert "for shop" in finding.advice


def test_a_certificate_without_an_end_cannot_be_told() -> None:
    finding = found(certificates=(h.certificate(not_after=None),))[f"finding:certificate:{h.THUMBPRINT}"]
    assert finding.cannot_tell


def test_a_role_rule_holds_only_for_its_releases() -> None:
    services = (b.a_service("WsusService"),)
    assert "finding:role:wsus" in found(services=services)
    assert "finding:role:wsus" not in found(Circumstances(on=b.TODAY, release=2022), services=services)


def test_how_long_it_has_been_without_support() -> None:
    (finding,) = assessed(h.facts()).findings
    assert "2020-01-14" in finding.title
    assert "2026-01-13" in finding.title
    earlier = assessed(h.facts(), Circumstances(on=date(2019, 1, 1)))
    assert earlier.findings == ()
    paid = assessed(h.facts(), Circumstances(on=date(2022, 6, 1)))
    assert "only for those who bought extended security updates, year 3" in paid.findings[0].title


def test_a_windows_that_is_not_in_the_tables_is_told() -> None:
    result = assessed(h.facts(identity=b.an_identity(build=7601, version="6.1")))
    assert result.findings[0].item == "finding:cannot-tell:support"
    assert result.verdict is Verdict.CANNOT_TELL
