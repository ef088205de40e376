"""Who needs a host is found in the facts of the others, and not where a name only looks like it."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.model.facts import (
    Application,
    AutoStart,
    EnvironmentVariable,
    Iis,
    Interface,
    Membership,
    OdbcSource,
    Printer,
    ProductType,
    Route,
    ServerFacts,
    Site,
)
from orchestrator.parity.assessment.assess import assess
from orchestrator.parity.assessment.dependencies import Fleet, dependencies
from orchestrator.parity.assessment.subject import Circumstances
from orchestrator.parity.result import Severity, Verdict
from tests.unit import builders as b
from tests.unit.parity.assessment import healthy as h

FILE01 = h.facts(shares=(b.a_share("Projects"), b.a_share("Site data")))
"""FILE01, 198.51.100.20, contoso.example."""


def card(**changes: Any) -> Interface:
    fields: dict[str, Any] = {
        "id": "{c}",
        "dhcp": False,
        "addresses": ("198.51.100.30/24",),
        "gateways": ("198.51.100.1",),
        "dns": ("198.51.100.2",),
    }
    return Interface(**fields | changes)


def other(interface: Interface | None = None, **changes: Any) -> ServerFacts:
    """APP02 with something that may need FILE01."""
    network = b.a_network_config(
        "APP02",
        interfaces=(interface or card(),),
        hosts=changes.pop("hosts", ()),
        routes=changes.pop("routes", ()),
    )
    return h.facts(identity=b.an_identity(hostname="APP02"), **{"network": network} | changes)


def needs(theirs: ServerFacts, own: ServerFacts | None = FILE01) -> list[tuple[str, str]]:
    found = dependencies("FILE01", {"FILE01": own, "APP02": theirs})
    assert all((d.on, d.who) == ("FILE01", "APP02") for d in found)
    return [(d.ground.fact, d.what) for d in found]


def task(command: str) -> dict[str, Any]:
    return {"tasks": (b.a_task(r"\Copy", commands=(command,)),)}


def odbc(server: str) -> dict[str, Any]:
    return {"odbc": (OdbcSource(name="erp", driver="SQL Server", server=server, database="erp", view=64),)}


def site(folder: str) -> dict[str, Any]:
    application = Application(path="/", pool="p", folder=folder)
    return {
        "iis": Iis(
            sites=(Site(name="shop", id=1, autostart=True, bindings=(), applications=(application,)),),
            pools=(),
        )
    }


def printer(name: str, port: str) -> dict[str, Any]:
    return {"printers": (Printer(name=name, driver="HP", port=port),)}


@pytest.mark.parametrize(
    ("changes", "fact", "words"),
    [
        (task(r"robocopy \\FILE01\Projects D:\in"), r"tasks.\Copy", "scheduled task, share Projects"),
        (task(r"copy \\file01.contoso.example\old$ ."), r"tasks.\Copy", "share old$ that it does not have"),
        (task(r"robocopy \\198.51.100.20\Projects D:\in"), r"tasks.\Copy", "share Projects"),
        (task("sqlcmd -S FILE01 -i job.sql"), r"tasks.\Copy", "names it"),
        (task("curl http://file01:8080/api"), r"tasks.\Copy", "names it"),
        (task("job.exe /server:FILE01;timeout=5"), r"tasks.\Copy", "names it"),
        (
            {"services": (b.a_service("Agent", image_path=r"\\FILE01\bin\a.exe"),)},
            "services.Agent",
            "program",
        ),
        (
            {"autostart": (AutoStart(where="Run", name="map", command=r"net use P: \\file01\Projects"),)},
            "autostart.map",
            "auto-start",
        ),
        (
            {"environment": (EnvironmentVariable(name="STORE", value=r"\\FILE01\Projects"),)},
            "environment.STORE",
            "environment variable",
        ),
        (site(r"\\FILE01\Site data\web"), "iis.shop/", "share Site data"),
        (site(r"\\FILE01\web"), "iis.shop/", "web content"),
        (printer("Laser", r"\\FILE01\Laser"), "printers.Laser", "prints"),
        (printer(r"\\FILE01\Laser", "USB001"), r"printers.\\FILE01\Laser", "prints"),
        (printer("Laser", "IP_198.51.100.20"), "printers.Laser", "prints"),
        (odbc("FILE01"), "odbc.erp", "ODBC source erp"),
        (odbc(r"file01\SQLEXPRESS"), "odbc.erp", "database erp"),
        (odbc("tcp:198.51.100.20,1433"), "odbc.erp", "database erp"),
        (odbc(r"np:\\FILE01\pipe\sql\query"), "odbc.erp", "database erp"),
        ({"hosts": ("198.51.100.20 files",)}, "network.hosts", "hosts file"),
        ({"hosts": ("198.51.100.99 FILE01",)}, "network.hosts", "hosts file"),
        ({"interface": card(dns=("198.51.100.20",))}, "network.{c}.dns", "DNS"),
        ({"interface": card(gateways=("198.51.100.20",))}, "network.{c}.gateway", "routes everything"),
        (
            {"routes": (Route(destination="192.0.2.0/24", gateway="198.51.100.20"),)},
            "network.routes",
            "routes 192.0.2.0/24",
        ),
    ],
)
def test_a_need_is_found_with_its_place(changes: dict[str, Any], fact: str, words: str) -> None:
    (need,) = needs(other(**changes))
    assert need[0] == fact
    assert words in need[1]


def test_a_name_that_only_the_hosts_file_gives_is_followed() -> None:
    facts = other(hosts=("198.51.100.20 files",), **task(r"copy \\files\Projects\x ."))
    assert [fact for fact, _ in needs(facts)] == ["network.hosts", r"tasks.\Copy"]


@pytest.mark.parametrize(
    "changes",
    [
        task(r"D:\file01\run.cmd"),
        task(r"run.cmd C:\\file01\\x"),
        task("ping FILE010"),
        task("ping OLDFILE01"),
        task("ping file01.other.example"),
        task("ping FILE01-OLD"),
        task("ping 198.51.100.200"),
        task(r"type \\?\C:\x \\.\pipe\y"),
        odbc("(local)"),
        odbc("."),
        odbc("FILE011"),
        {"interface": card(gateways=("198.51.100.21",))},
        {"interface": card(dhcp=True)},
    ],
)
def test_what_only_looks_like_it_is_no_need(changes: dict[str, Any]) -> None:
    assert needs(other(**changes)) == []


def test_a_copy_that_kept_the_name_names_itself() -> None:
    assert needs(h.facts(**task(r"copy \\FILE01\Projects\x ."))) == []


def test_members_need_their_domain_controller() -> None:
    identity = b.an_identity(
        product_type=ProductType.DOMAIN_CONTROLLER, membership=Membership(domain=True, name="contoso.example")
    )
    member = b.an_identity(hostname="APP02", membership=Membership(domain=True, name="CONTOSO.example"))
    facts = other().model_copy(update={"identity": member})
    assert needs(facts, h.facts(identity=identity)) == [
        ("identity.membership", "is a member of the domain that it serves")
    ]
    assert needs(facts) == []


def test_clients_of_dhcp_may_need_their_server() -> None:
    serving = h.facts(services=(b.a_service("DHCPServer"),))
    assert needs(other(card(dhcp=True)), serving) == [
        ("network.{c}.dhcp", "may get its address from it by DHCP")
    ]


def test_without_its_facts_its_name_in_the_plan_is_looked_for() -> None:
    assert needs(other(**task(r"copy \\FILE01\Projects\x .")), None) == [
        (r"tasks.\Copy", "names it in a scheduled task, share Projects")
    ]


def test_needs_become_findings_and_hosts_without_facts_are_named() -> None:
    others = {"FILE01": FILE01, "APP02": other(**odbc("FILE01")), "WEB03": None, "SQL04": None}
    result = assess("FILE01", FILE01, Circumstances(on=b.TODAY, release=2025), fleet=Fleet(others))
    findings = {f.item: f for f in result.findings}
    assert findings["finding:needed-by:APP02"].severity is Severity.WARNING
    assert "APP02 has its ODBC source erp there" in findings["finding:needed-by:APP02"].grounds[0].value
    assert result.unseen == ("SQL04", "WEB03")
    assert [g.fact for g in findings["finding:cannot-tell:dependents"].grounds] == ["SQL04", "WEB03"]
    assert result.verdict is Verdict.CANNOT_TELL


def test_a_host_that_was_only_half_seen_is_named_with_what_is_unknown() -> None:
    half = other(odbc=None, unknown=(("tasks.rest", "too many"),))
    result = assess(
        "FILE01",
        FILE01,
        Circumstances(on=b.TODAY, release=2025),
        fleet=Fleet({"FILE01": FILE01, "APP02": half}),
    )
    (finding,) = [f for f in result.findings if f.item == "finding:cannot-tell:dependents"]
    assert [(g.fact, g.value) for g in finding.grounds] == [("APP02", "unknown: tasks, odbc")]


def test_the_order_of_hosts_makes_no_difference() -> None:
    hosts = {"APP02": other(**odbc("FILE01")), "WEB03": other(**task(r"copy \\FILE01\x ."))}
    turned = dict(reversed(hosts.items()))
    assert dependencies("FILE01", {**hosts, "FILE01": FILE01}) == dependencies(
        "FILE01", {"FILE01": FILE01, **turned}
    )
