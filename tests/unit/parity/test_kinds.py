"""The kinds of items beside services, shares and software: when they are the same, and when they are not."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from orchestrator.model.facts import (
    Certificate,
    EnvironmentVariable,
    FirewallRule,
    Group,
    Listener,
    Permission,
    Pool,
    Protocol,
    Role,
    Route,
    Security,
    ServerFacts,
    User,
    Volume,
)
from orchestrator.model.plan import ParitySpec
from orchestrator.parity.compare import compare
from orchestrator.parity.explain import explain
from orchestrator.parity.item import KINDS
from orchestrator.parity.names import windows_key
from orchestrator.parity.pack import profile, profile_names
from orchestrator.parity.result import ItemResult, ParityResult, Severity, State, Verdict
from tests.unit import builders as b

GIB = 1024**3


def run(
    old: dict[str, Any], new: dict[str, Any], *, release: int = 2025, profile: str = "generic"
) -> ParityResult:
    build = {2022: 20348, 2025: 26100}[release]
    target = b.new_facts(**{"identity": b.a_new_identity(build=build)} | new)
    return compare(b.server_facts(**old), target, ParitySpec(profile=profile), release=release, today=b.TODAY)


def item(result: ParityResult, name: str) -> ItemResult:
    (found,) = [one for one in result.items if windows_key(one.item) == windows_key(name)]
    return found


def one(section: str, old: Any, new: Any | None, name: str, **options: Any) -> ItemResult:
    there = () if new is None else (new,)
    return item(run({section: (old,)}, {section: there}, **options), name)


def test_every_profile_weighs_every_kind() -> None:
    for name in profile_names():
        assert set(profile(name).kinds) == set(KINDS) - {"hotfix"}


# Roles ----------------------------------------------------------------------------------------------------


def test_a_role_is_known_by_its_new_name() -> None:
    old, new = {"roles": (Role(id="DNS-Server-Core-Role"),)}, {"roles": (Role(id="DNS"),)}
    result = run(old, new)
    assert (
        item(result, "role:DNS-Server-Core-Role").state,
        item(result, "role:DNS-Server-Core-Role").rule,
    ) == (
        State.EQUIVALENT,
        "renamed",
    )
    assert [i.item for i in result.items if i.item == "role:DNS"] == []


def test_a_role_that_is_not_there_says_what_to_install() -> None:
    found = one("roles", Role(id="DHCPServerCore"), None, "role:DHCPServerCore")
    assert (found.state, found.advice) == (State.MISSING, "Install-WindowsFeature DHCP.")


def test_a_role_without_a_successor_is_told() -> None:
    found = one("roles", Role(id="UDDI-Services"), None, "role:UDDI-Services")
    assert (found.state, found.rule) == (State.MISSING, "roles-without-successor")


# People ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "state"),
    [
        ((r"CONTOSO\a", "ops"), ("OPS", r"contoso\A"), State.SAME),
        (("ops",), ("ops", r"CONTOSO\a"), State.EQUIVALENT),
        (("ops", r"CONTOSO\a"), ("ops",), State.CHANGED),
        ((r"FILE01\ops",), (r"FILE01N\ops",), State.SAME),
    ],
)
def test_members_of_a_group(old: tuple[str, ...], new: tuple[str, ...], state: State) -> None:
    before, after = (Group(name="Staff", rid=1010, members=members) for members in (old, new))
    assert one("groups", before, after, "group:Staff").state is state


def test_an_account_that_is_switched_off_is_missed_by_nobody() -> None:
    user = User(name="clerk", rid=1002, enabled=False)
    assert one("users", user, None, "user:clerk").rule == "switched-off"


@pytest.mark.parametrize(
    ("new", "state"),
    [
        ((Permission(account="S-1-1-0", right="FULL"),), State.SAME),
        ((Permission(account="Everyone", right="read"),), State.CHANGED),
        ((*b.a_share().permissions, Permission(account="Guest", right="full")), State.CHANGED),
        (None, State.UNKNOWN),
    ],
)
def test_permissions_of_a_share(new: tuple[Permission, ...] | None, state: State) -> None:
    result = run({}, {"shares": (b.a_share(permissions=new),)})
    assert item(result, "share:Projects").state is state
    expected = {State.SAME: Verdict.PASS, State.CHANGED: Verdict.FAIL, State.UNKNOWN: Verdict.CANNOT_TELL}
    assert result.verdict is expected[state]


def test_what_windows_puts_into_its_groups_is_not_compared() -> None:
    old = (
        Group(name="Users", rid=545, members=("clerk", "S-1-5-21-1-2-3-513", r"CONTOSO\staff")),
        Group(name="Administrators", rid=544, members=(r"CONTOSO\Domain Admins", "clerk")),
        Group(name="Staff", rid=1010, members=(r"CONTOSO\Domain Users",)),
    )
    result = run({"groups": old}, {"groups": tuple(g.model_copy(update={"members": ()}) for g in old)})
    assert item(result, "group:Users").old == r"members CONTOSO\staff"
    assert item(result, "group:Administrators").old == r"members .\clerk"
    assert item(result, "group:Staff").old == r"members CONTOSO\Domain Users"


def test_a_shared_printer_has_its_own_permissions() -> None:
    printer = b.a_share("Labels", kind="printer", permissions=None)
    assert one("shares", printer, printer, "share:Labels").state is State.SAME


# Web ------------------------------------------------------------------------------------------------------


def certificate(thumbprint: str, **changes: Any) -> Certificate:
    fields = {
        "thumbprint": thumbprint * 20,
        "subject": "CN=shop.example",
        "issuer": "CN=CA",
        "not_after": date(2027, 2, 1),
        "names": ("shop.example", "www.shop.example"),
        "private_key": True,
    }
    return Certificate(**fields | changes)


@pytest.mark.parametrize(
    ("new", "state", "rule"),
    [
        (certificate("a1"), State.SAME, ""),
        (certificate("B2", not_after=date(2028, 2, 1)), State.EQUIVALENT, "reissued"),
        (certificate("B2", not_after=date(2026, 12, 24)), State.MISSING, ""),
        (certificate("B2", not_after=date(2028, 2, 1), private_key=False), State.MISSING, ""),
        (certificate("B2", not_after=date(2028, 2, 1), names=("shop.example",)), State.MISSING, ""),
        (certificate("B2", not_after=date(2028, 2, 1), subject="CN=other"), State.MISSING, ""),
        (certificate("A1", private_key=False), State.CHANGED, ""),
        (certificate("A1", private_key=None), State.UNKNOWN, ""),
    ],
)
def test_a_certificate_or_one_in_its_place(new: Certificate, state: State, rule: str) -> None:
    found = one("certificates", certificate("A1"), new, "certificate:" + "A1" * 20)
    assert (found.state, found.rule) == (state, rule)


def test_an_expired_certificate_is_missed_by_nobody() -> None:
    old = certificate("A1", not_after=date(2020, 1, 1))
    assert one("certificates", old, None, "certificate:" + "A1" * 20).rule == "expired-certificate"


def test_a_pool_that_nobody_uses_is_missed_by_nobody() -> None:
    pool = Pool(name="Old", runtime="v2.0", pipeline="Classic", identity="NetworkService", enable_32_bit=True)
    iis = b.server_facts().iis
    assert iis is not None
    result = run({"iis": iis.model_copy(update={"pools": (pool,)})}, {})
    assert item(result, "pool:Old").rule == "unused-pool"


# Network --------------------------------------------------------------------------------------------------


def test_a_port_that_answers_only_to_itself_now_is_changed_for_information() -> None:
    old = Listener(protocol="tcp", address="192.0.2.1", port=8080)
    found = one("listeners", old, old.model_copy(update={"address": "127.0.0.1"}), "listener:tcp/8080")
    assert (found.state, found.severity) == (State.CHANGED, Severity.INFO)


def test_dynamic_ports_are_never_compared() -> None:
    old = Listener(protocol="tcp", address="::", port=50123)
    result = run({"listeners": (old,)}, {})
    assert "listener:tcp/49152+" in {ignored.item for ignored in result.ignored}


@pytest.mark.parametrize("name", ["FPS-SMB-In-TCP", "Remote Desktop (TCP-In)", "@FirewallAPI.dll,-28502"])
def test_rules_of_windows_own_are_never_compared(name: str) -> None:
    assert name in {i.item.partition(":")[2] for i in run(*with_rule(name)).ignored}


@pytest.mark.parametrize(
    "name", ["Remote Desktop from the jump host", "DNS forwarder", "WMI-Exporter", "@contoso.dll,-1"]
)
def test_rules_with_similar_names_are(name: str) -> None:
    assert item(run(*with_rule(name)), f"firewall:{name}").state is State.MISSING


def with_rule(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    rule = FirewallRule(name=name, enabled=True, inbound=True, allow=True, protocol="tcp")
    firewall = b.server_facts().firewall
    assert firewall is not None
    return {"firewall": firewall.model_copy(update={"rules": (rule,)})}, {}


def test_networks_of_a_rule_have_one_spelling() -> None:
    old, new = (
        FirewallRule(
            name="A", enabled=True, inbound=True, allow=True, protocol="TCP", remote_addresses=remote
        )
        for remote in ("LocalSubnet,192.0.2.0/255.255.255.0", "192.0.2.0/24,localsubnet")
    )
    firewall = b.server_facts().firewall
    assert firewall is not None
    result = run(
        {"firewall": firewall.model_copy(update={"rules": (old,)})},
        {"firewall": firewall.model_copy(update={"rules": (new,)})},
    )
    assert item(result, "firewall:A").state is State.SAME


def test_a_route_by_another_gateway_is_changed() -> None:
    old, new = (
        {"network": b.a_network_config(routes=(Route(destination="192.0.2.0/24", gateway=gateway),))}
        for gateway in ("198.51.100.254", "198.51.100.253")
    )
    assert item(run(old, new), "route:192.0.2.0/24").state is State.CHANGED


# Protocols ------------------------------------------------------------------------------------------------


def security(*tls: Protocol, **changes: Any) -> dict[str, Any]:
    known: dict[str, Any] = dict.fromkeys(
        ("smb1_server", "smb1_client", "smb_signing_required", "lm_compatibility")
    )
    return {"security": Security(tls=tls, **known | changes)}


@pytest.mark.parametrize(
    ("old", "release", "name", "state", "severity"),
    [
        (security(), 2025, "TLS 1.0 server", State.CHANGED, Severity.INFO),
        (security(), 2022, "TLS 1.0 server", State.SAME, Severity.WARNING),
        (security(), 2022, "TLS 1.2 server", State.EQUIVALENT, Severity.WARNING),
        (security(smb1_server=True), 2022, "SMB1 server", State.CHANGED, Severity.INFO),
        (security(smb1_server=False), 2025, "SMB1 client", State.CHANGED, Severity.INFO),
        (security(smb1_server=False), 2022, "SMB1 server", State.SAME, Severity.WARNING),
        (security(smb_signing_required=True), 2022, "SMB signing required", State.CHANGED, Severity.WARNING),
        (security(), 2025, "SMB signing required", State.CHANGED, Severity.INFO),
        (security(lm_compatibility=1), 2022, "NTLMv1 sent", State.CHANGED, Severity.WARNING),
        (security(lm_compatibility=5), 2025, "NTLMv1 accepted", State.SAME, Severity.WARNING),
        (
            security(Protocol(name="TLS 1.0", side="server", enabled=False)),
            2022,
            "TLS 1.0 server",
            State.CHANGED,
            Severity.WARNING,
        ),
    ],
)
def test_protocols(old: dict[str, Any], release: int, name: str, state: State, severity: Severity) -> None:
    found = item(run(old, security(), release=release), f"protocol:{name}")
    assert (found.state, found.severity) == (state, severity)


# Machine --------------------------------------------------------------------------------------------------


def volume(size: int, used: int | None, filesystem: str = "NTFS") -> Volume:
    return Volume(
        letter="D:",
        label="",
        filesystem=filesystem,
        size=size * GIB,
        used=None if used is None else used * GIB,
    )


@pytest.mark.parametrize(
    ("old", "new", "state"),
    [
        (volume(900, 100), volume(120, 1), State.EQUIVALENT),
        (volume(900, 100), volume(99, 1), State.CHANGED),
        (volume(900, None), volume(999, 1), State.UNKNOWN),
        (volume(900, 100), volume(900, None), State.EQUIVALENT),
        (volume(900, 100), volume(900, 1, "ReFS"), State.CHANGED),
        (volume(900, 100), None, State.MISSING),
    ],
)
def test_what_is_used_must_find_room(old: Volume, new: Volume | None, state: State) -> None:
    assert one("volumes", old, new, "volume:D:").state is state


def test_a_search_path_may_grow_and_program_files_may_move() -> None:
    before = _path(r"%SystemRoot%\system32;C:\Program Files\Contoso\bin")
    after = _path(r"C:\Windows\System32;C:\Tools;C:\Program Files (x86)\contoso\BIN" + "\\")
    assert one("environment", before, after, "environment:Path").rule == "all-of-it"
    assert (
        one("environment", before, _path(r"C:\Windows\System32"), "environment:Path").state is State.CHANGED
    )


def _path(value: str) -> EnvironmentVariable:
    return EnvironmentVariable(name="Path", value=value)


# The whole ------------------------------------------------------------------------------------------------


def test_a_part_that_nobody_saw_is_unknown() -> None:
    result = run({"unknown": (("tasks.rest", "more than 5000 tasks"),)}, {})
    assert item(result, "section:tasks.rest").state is State.UNKNOWN
    assert result.verdict is Verdict.CANNOT_TELL


def test_roles_beside_those_that_left_a_mark_are_for_information() -> None:
    result = run({"unknown": (("roles.rest", "the release keeps no list"),)}, {})
    assert item(result, "section:roles.rest").severity is Severity.INFO
    assert result.verdict is Verdict.PASS


def test_facts_of_version_1_never_pass() -> None:
    old: ServerFacts = b.version_1_facts()
    result = compare(old, b.new_facts(), ParitySpec(), release=2025, today=b.TODAY)
    assert result.verdict is Verdict.CANNOT_TELL


def test_an_explanation_says_what_is_used_and_what_to_do() -> None:
    words = explain(run({"volumes": (volume(900, 100),)}, {"volumes": (volume(99, 1),)}), "volume:d:")
    assert "old server: filesystem NTFS, size 900.0 GiB, used 100.0 GiB" in words
    assert "to do: Give it the same file system, and room for what is used on the old server." in words


def test_a_certificate_is_found_by_its_thumbprint_as_people_write_it() -> None:
    result = run({"certificates": (certificate("A1"),)}, {})
    assert "subject CN=shop.example" in explain(result, "certificate:" + "a1 " * 20)
