"""The fact functions over keys, tasks and hosts files: what counts, what is left out, what is hostile."""

from typing import Any

import pytest

from orchestrator.guest import facts
from orchestrator.guest.clean import clean
from orchestrator.model.facts import ProductType, StartMode

NT = r"Microsoft\Windows NT\CurrentVersion"
UNINSTALL = r"Microsoft\Windows\CurrentVersion\Uninstall"
UNSET = "0.0.0.0"  # noqa: S104
COMPUTER_NAME = r"Control\ComputerName\ComputerName"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("  plain ", "plain"),
        ("a\x00b\x1b[31mc", "a\ufffdb\ufffd[31mc"),
        ("evil\u202egpj.exe", "evil\ufffdgpj.exe"),
        ("line\u2028break\r\n", "line\ufffdbreak"),
        ("Zuständig: Jürgen ® €", "Zuständig: Jürgen ® €"),
        ("\ud800", "\ufffd"),
    ],
)
def test_guest_text_is_cleaned(text: str, kept: str) -> None:
    assert clean(text) == kept


def test_guest_text_is_cut() -> None:
    assert clean("x" * 5000, 100) == "x" * 99 + "…"
    assert clean("x" * 100, 100) == "x" * 100


# Identity.


def test_identity_of_a_2008_and_of_a_2025(key: Any) -> None:
    software = key(
        {NT: {"CurrentVersion": "6.0", "CurrentBuildNumber": "6003", "CSDVersion": "Service Pack 2"}}
    )
    control = key(
        {r"Control\ProductOptions": {"ProductType": "LanmanNT"}, COMPUTER_NAME: {"ComputerName": "DC1"}}
    )
    old, odd = facts.identity(software, control)
    assert (old.version, old.build, old.revision, odd) == ("6.0", 6003, None, ())
    assert (old.product_type, old.hostname) == (ProductType.DOMAIN_CONTROLLER, "DC1")
    numbers = {"CurrentMajorVersionNumber": 10, "CurrentMinorVersionNumber": 0, "UBR": 2894}
    new, _ = facts.identity(key({NT: {"CurrentVersion": "6.3", "CurrentBuild": "26100", **numbers}}), None)
    assert (new.version, new.build, new.revision, new.product_type) == ("10.0", 26100, 2894, None)


@pytest.mark.parametrize("value", ["6003x", "", "-6003", "60030000", "\uff16\uff10\uff10\uff13"])
def test_a_build_that_is_no_number_is_unknown(key: Any, value: str) -> None:
    found, _ = facts.identity(key({NT: {"CurrentBuildNumber": value, "CurrentVersion": value}}), None)
    assert (found.build, found.version) == (None, None)


def test_contradictions_are_told(key: Any) -> None:
    software = key({NT: {"CurrentBuildNumber": "6002", "CurrentBuild": "6003"}})
    control = key({r"Control\Session Manager\Environment": {"PROCESSOR_ARCHITECTURE": "AMD64"}})
    found, odd = facts.identity(software, control, "x86")
    assert (found.build, found.arch) == (6002, "x86")
    assert ["6003" in odd[0], "kernel" in odd[1]] == [True, True]


def test_control_set_is_the_one_that_select_names(key: Any) -> None:
    sets = {"ControlSet001": {"n": 1}, "ControlSet002": {"n": 2}, "ControlSet003": {"n": 3}}
    chosen = facts.control_set(key({"Select": {"Current": 2, "Default": 1}, **sets}))
    assert chosen is not None
    assert chosen.name == "ControlSet002"
    assert facts.control_set(key({"Select": {"Current": 7}, **sets})) is None
    assert facts.control_set(key({"Select": {"Current": 0}, **sets})) is None
    assert facts.control_set(key(sets)) is None


# Services and shares.


def test_services_are_sorted_and_told_from_drivers_and_parameter_keys(key: Any) -> None:
    found = facts.services(
        key(
            {
                r"Services\zeta": {"Type": 0x110, "Start": 2, "DelayedAutostart": 1, "ObjectName": ".\\svc"},
                r"Services\Alpha": {"Type": 1, "Start": 0},
                r"Services\filter": {"Type": 2, "Start": 4},
                r"Services\.NET CLR Data\Performance": {"Library": "x.dll"},
                r"Services\odd": {"Type": 0x10, "Start": 9},
            }
        )
    )
    assert found is not None
    assert [(s.name, s.start, s.driver, s.delayed) for s in found] == [
        ("Alpha", StartMode.BOOT, True, False),
        ("filter", StartMode.DISABLED, True, False),
        ("odd", None, False, False),
        ("zeta", StartMode.AUTO, False, True),
    ]
    assert (found[3].account, found[3].display_name) == (".\\svc", "zeta")
    assert facts.services(key({"Control": {}})) is None


def test_shares_none_and_unknown_are_kept_apart(key: Any) -> None:
    shares = r"Services\LanmanServer\Shares"
    known = facts.shares(key({shares: {"b$": ["Path=D:\\a=b", "Remark=r"], "A": ["Type=0"], "bad": 3}}))
    assert known is not None
    assert [(s.name, s.path, s.remark) for s in known] == [("A", "", ""), ("b$", "D:\\a=b", "r")]
    assert facts.shares(key({r"Services\LanmanServer": {"Start": 2}})) == ()
    assert facts.shares(key({r"Services\Tcpip": {}})) is None


# Software.


def test_software_of_both_views(key: Any) -> None:
    root = key(
        {
            rf"{UNINSTALL}\app": {"DisplayName": "App", "DisplayVersion": "1.0", "Publisher": "P\x07"},
            rf"{UNINSTALL}\hidden": {"DisplayName": "Hidden", "SystemComponent": 1},
            rf"{UNINSTALL}\update": {"DisplayName": "Update", "ParentKeyName": "app"},
            rf"{UNINSTALL}\nameless": {"DisplayVersion": "1"},
            rf"Wow6432Node\{UNINSTALL}\app": {"DisplayName": "App"},
        }
    )
    found = facts.software(root, "x64")
    assert found is not None
    assert [(s.key, s.view, s.publisher) for s in found] == [("app", 32, ""), ("app", 64, "P\ufffd")]
    on_x86 = facts.software(root, "x86")
    assert on_x86 is not None
    assert {s.view for s in on_x86} == {32}
    assert facts.software(key({"Other": {}}), "x64") is None


# Network.


def test_network(key: Any) -> None:
    base = r"Services\Tcpip\Parameters"
    found = facts.network(
        key(
            {
                base: {"Hostname": "FILE01", "NV Domain": "branch.example"},
                rf"{base}\Interfaces\{{B}}": {
                    "EnableDHCP": 0,
                    "IPAddress": ["198.51.100.21", UNSET, "nonsense"],
                    "SubnetMask": ["255.255.255.0", UNSET, "255.0.0.0"],
                    "DefaultGateway": ["198.51.100.1"],
                    "NameServer": "198.51.100.2,198.51.100.3 bad",
                },
                rf"{base}\Interfaces\{{A}}": {
                    "EnableDHCP": 1,
                    "IPAddress": [UNSET],
                    "DhcpIPAddress": "203.0.113.57",
                    "DhcpSubnetMask": "255.255.255.0",
                    "NameServer": "",
                    "DhcpNameServer": "203.0.113.1",
                },
                rf"{base}\Interfaces\{{C}}": {"EnableDHCP": 0},
            }
        )
    )
    assert found is not None
    assert (found.hostname, found.domain, [one.id for one in found.interfaces]) == (
        "FILE01",
        "branch.example",
        ["{A}", "{B}"],
    )
    leased, fixed = found.interfaces
    assert (leased.dhcp, leased.addresses, leased.dns) == (True, ("203.0.113.57/24",), ("203.0.113.1",))
    assert fixed.addresses == ("198.51.100.21/24",)
    assert (fixed.gateways, fixed.dns) == (("198.51.100.1",), ("198.51.100.2", "198.51.100.3"))
    assert facts.network(key({"Control": {}})) is None


def test_hosts_lines() -> None:
    content = (
        b"\xef\xbb\xbf# comment\r\n127.0.0.1\tlocalhost # here\r\n\r\n 10.1.2.3   a  b\x1b\r\nlonely\r\n"
    )
    assert facts.hosts_lines(content) == ("127.0.0.1 localhost", "10.1.2.3 a b\ufffd")
    assert facts.hosts_lines("10.0.0.1 ü\r\n".encode("utf-16")) == ("10.0.0.1 ü",)
    assert len(facts.hosts_lines(b"1.1.1.1 x\n" * 20_000)) == 10_000


# Tasks.

TASK = """<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo><Author>BRANCH\\kessler</Author></RegistrationInfo>
  <Triggers><CalendarTrigger><Enabled>true</Enabled></CalendarTrigger></Triggers>
  <Settings><Enabled>false</Enabled></Settings>
  <Actions Context="Author">
    <Exec><Command>C:\\a b.cmd</Command><Arguments>/x &amp; "y"</Arguments></Exec>
    <Exec><Command>second</Command></Exec>
    <ComHandler><ClassId>{0}</ClassId></ComHandler>
  </Actions>
</Task>"""


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-8", "utf-8-sig"])
def test_a_task_in_any_encoding(encoding: str) -> None:
    task = facts.scheduled_task("\\Branch\\T", TASK.encode(encoding))
    assert (task.path, task.enabled, task.author) == ("\\Branch\\T", False, "BRANCH\\kessler")
    assert task.commands == ('C:\\a b.cmd /x & "y"', "second")


def test_a_task_is_enabled_unless_it_says_otherwise() -> None:
    assert facts.scheduled_task("\\T", b"<Task><Actions/></Task>").enabled


BOMB = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (f'<!DOCTYPE x [<!ENTITY l0 "lol">{BOMB}]><Task>&l9;</Task>', "document type"),
        ('<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><Task>&f;</Task>', "document type"),
        ('<!DOCTYPE x SYSTEM "http://127.0.0.1/x.dtd"><Task/>', "document type"),
        ("<Task>&undefined;</Task>", "not well-formed"),
        ("<Task><Actions>", "not well-formed"),
        ("", "not well-formed"),
        ("<Job/>", "not a task"),
        ("<Task>" + "<a>" * 100, "nested"),
        ("<Task>" + " " * 2_000_000 + "</Task>", "larger"),
    ],
)
def test_a_hostile_task_is_refused_with_its_reason(content: str, reason: str) -> None:
    with pytest.raises(facts.BadTask, match=reason):
        facts.scheduled_task("\\T", content.encode())


def test_a_task_that_is_no_text_is_refused() -> None:
    with pytest.raises(facts.BadTask, match="not well-formed"):
        facts.scheduled_task("\\T", b"\xff\xfe\x00")
