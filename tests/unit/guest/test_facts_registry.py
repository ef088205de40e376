"""Fact functions over registry keys: what the registry says of roles, updates, protocols and the rest."""

import struct
from datetime import date
from typing import Any

import pytest

from orchestrator.guest import facts
from orchestrator.model.facts import FirewallRule, Membership, Permission

CBS = r"Microsoft\Windows\CurrentVersion\Component Based Servicing"
NT = r"Microsoft\Windows NT\CurrentVersion"
RUN = r"Microsoft\Windows\CurrentVersion"
SIGNATURE = "~31bf3856ad364e35~amd64~~6.0.1.1"
DOMAIN_SID = bytes.fromhex("010400000000000515000000656470 7d5b14e16eb4fc77b8".replace(" ", ""))


def counted(text: str) -> bytes:
    data = text.encode("utf-16-le")
    return struct.pack("<HHI", len(data), len(data) + 2, 8) + data


# Identity.


@pytest.mark.parametrize(
    ("edition", "installation", "explorer", "sku", "core"),
    [
        ("ServerStandard", None, True, 7, False),
        ("ServerStandardCore", None, True, 13, True),
        ("ServerEnterpriseV", None, None, 38, None),
        ("ServerStandard", None, False, 7, True),
        ("ServerStandard", "Server Core", None, 7, True),
        ("ServerStandard", "Server", False, 7, False),
        ("Somebody's", None, None, None, None),
    ],
)
def test_sku_and_core(
    key: Any,
    edition: str,
    installation: str | None,
    explorer: bool | None,
    sku: int | None,
    core: bool | None,
) -> None:
    values = {"EditionID": edition} | ({"InstallationType": installation} if installation else {})
    found, _ = facts.identity(key({NT: values}), None, explorer=explorer)
    assert (found.sku, found.core) == (sku, core)


@pytest.mark.parametrize(
    ("code", "tag"), [("0407", "de-DE"), ("0409", "en-US"), ("zz", None), ("fffe", None)]
)
def test_language(key: Any, code: str, tag: str | None) -> None:
    found, _ = facts.identity(None, key({r"Control\Nls\Language": {"InstallLanguage": code}}))
    assert found.language == tag


def test_membership_is_what_the_security_hive_says(key: Any) -> None:
    control = key({r"Services\Tcpip\Parameters": {"Domain": "suffix.example"}})
    in_domain = key(
        {
            r"Policy\PolPrDmS": {"": DOMAIN_SID},
            r"Policy\PolPrDmN": {"": counted("BRANCH")},
            r"Policy\PolDnDDN": {"": counted("branch.example")},
        }
    )
    alone = key({r"Policy\PolPrDmS": {"": b""}, r"Policy\PolPrDmN": {"": counted("WORKGROUP")}})
    assert facts.identity(None, control, security=in_domain)[0].membership == Membership(
        domain=True, name="branch.example"
    )
    assert facts.identity(None, control, security=alone)[0].membership == Membership(
        domain=False, name="WORKGROUP"
    )
    # A DNS suffix proves nothing.
    assert facts.identity(None, control)[0].membership is None
    policy = key({rf"{RUN}\Group Policy\History": {"MachineDomain": "branch.example"}})
    assert facts.identity(policy, control)[0].membership == Membership(domain=True, name="branch.example")


def test_a_counted_name_that_leads_outside_is_none(key: Any) -> None:
    hostile = key({r"Policy\PolPrDmN": {"": struct.pack("<HHI", 60000, 60000, 8)}})
    assert facts.identity(None, None, security=hostile)[0].membership is None


# Services and shares.


def test_only_triggers_that_start_a_service_are_told(key: Any) -> None:
    network = bytes.fromhex("def2 274f e214 0b43 a549 7cd48cbc8245".replace(" ", ""))
    found = facts.services(
        key(
            {
                r"Services\a": {"Type": 32, "Start": 3},
                r"Services\a\TriggerInfo\0": {"Type": 2, "Action": 1, "GUID": network},
                r"Services\a\TriggerInfo\1": {"Type": 1, "Action": 1, "GUID": bytes(range(16))},
                r"Services\a\TriggerInfo\2": {"Type": 3, "Action": 2, "GUID": bytes(16)},
                r"Services\a\TriggerInfo\3": {"Type": 77, "Action": 1},
            }
        )
    )
    assert found is not None
    assert found[0].triggers == (
        "device: {03020100-0504-0706-0809-0a0b0c0d0e0f}",
        "network-available",
        "type 77",
    )


def ace(kind: int, mask: int, sid: bytes) -> bytes:
    return struct.pack("<BBHI", kind, 0, 8 + len(sid), mask) + sid


def descriptor(*aces: bytes) -> bytes:
    acl = struct.pack("<BBHHH", 2, 0, 8 + sum(map(len, aces)), len(aces), 0) + b"".join(aces)
    return struct.pack("<BBHIIII", 1, 0, 0x8004, 0, 0, 0, 20) + acl


EVERYONE = bytes.fromhex("010100000000000100000000")
USERS = bytes.fromhex("01020000000000052000000021020000")


def test_permissions_of_a_share(key: Any) -> None:
    local = {"S-1-5-32-545": "renamed"}
    stored = descriptor(
        ace(1, 0x001F01FF, USERS),
        ace(0, 0x001200A9, EVERYONE),
        ace(0, 0x001301BF, DOMAIN_SID),
        ace(0, 0x10000000, USERS),
        ace(0, 0x00100001, EVERYONE),
    )
    shares = r"Services\LanmanServer\Shares"
    found = facts.shares(
        key(
            {
                shares: {"A": ["Path=C:\\A", "Type=0"], "B": ["Path=C:\\B"]},
                rf"{shares}\Security": {"A": stored},
            }
        ),
        local,
    )
    assert found is not None
    assert found[0].permissions == (
        Permission(account="renamed", right="full", allow=False),
        Permission(account="Everyone", right="read"),
        Permission(account="S-1-5-21-2104517733-1860244571-3094871220", right="change"),
        Permission(account="renamed", right="full"),
        Permission(account="Everyone", right="0x00100001"),
    )
    assert found[1].permissions is None


def test_no_list_at_all_lets_everybody_in_and_a_cut_one_is_unknown() -> None:
    whole = descriptor(ace(0, 0x001F01FF, EVERYONE))
    assert facts.permissions(struct.pack("<BBHIIII", 1, 0, 0x8000, 0, 0, 0, 0), {}) == (
        Permission(account="Everyone", right="full"),
    )
    for length in range(len(whole)):
        assert facts.permissions(whole[:length], {}) is None


@pytest.mark.parametrize(
    ("stored", "kind"),
    [("0", "disk"), ("1", "printer"), ("2147483651", "ipc"), ("x", "disk"), ("9", "device")],
)
def test_kinds_of_shares(key: Any, stored: str, kind: str) -> None:
    found = facts.shares(key({r"Services\LanmanServer\Shares": {"s": ["Path=p", f"Type={stored}"]}}))
    assert found is not None
    assert found[0].kind == kind


# Updates.


def package(name: str, state: int, high: int = 0, low: int = 0) -> dict[str, dict[str, Any]]:
    times = {"InstallTimeHigh": high, "InstallTimeLow": low} if high else {}
    return {rf"{CBS}\Packages\{name}{SIGNATURE}": {"CurrentState": state, **times}}


def test_updates_once_each_with_their_earliest_day(key: Any) -> None:
    found = facts.hotfixes(
        key(
            package("Package_for_KB4474419", 112, 0x01D58BA1)
            | package("Package_2_for_KB4474419", 112, 0x01D58AA1)
            | package("Package_for_KB948465", 7)
            | package("Package_for_KB4012598", 80)
            | package("Package_for_KB4000001", 64)
            | package("Package_for_KB4000002", 0)
            | package("Microsoft-Windows-Foundation-Package", 112)
        )
    )
    assert found is not None
    assert [(one.id, one.installed_on) for one in found] == [
        ("KB948465", None),
        ("KB4012598", None),
        ("KB4474419", date(2019, 10, 24)),
    ]
    assert facts.hotfixes(key({"Other": {}})) is None
    assert facts.hotfixes(key({rf"{CBS}\Packages": {}})) == ()


@pytest.mark.parametrize(
    ("updates", "version", "sha2"),
    [
        ((4474419,), "6.0", True),
        ((4516026,), "6.0", True),
        ((4493730, 4489887), "6.0", False),
        ((), "6.0", False),
        ((), "10.0", True),
        ((), None, None),
    ],
)
def test_support_for_sha2(key: Any, updates: tuple[int, ...], version: str | None, sha2: bool | None) -> None:
    tree: dict[str, Any] = {rf"{CBS}\Packages": {}}
    for number in updates:
        tree |= package(f"Package_for_KB{number}", 112)
    software = key(tree)
    found = facts.servicing(software, facts.hotfixes(software), version)
    assert found is not None
    assert found.sha2 is sha2


def test_support_for_sha2_is_unknown_without_a_list_of_updates(key: Any) -> None:
    found = facts.servicing(key({CBS: {}}), None, "6.0")
    assert found is not None
    assert found.sha2 is None


def test_the_newest_servicing_stack_and_a_pending_restart(key: Any) -> None:
    software = key({rf"{CBS}\Version": {"6.0.6002.18005": "", "6.0.6003.9999": "", "odd": ""}})
    found = facts.servicing(software, (), "6.0", ("6.0.6003.20555", "Temp"))
    assert found is not None
    assert (found.servicing_stack, found.reboot_pending) == ("6.0.6003.20555", False)
    pending = facts.servicing(key({rf"{CBS}\RebootPending": {}}), (), "6.0")
    assert pending is not None
    assert (pending.servicing_stack, pending.reboot_pending) == (None, True)
    assert facts.servicing(key({"Other": {}}), (), "6.0") is None


# Roles.


def test_roles_from_the_server_managers_list(key: Any) -> None:
    cache = r"Microsoft\ServerManager\ServicingStorage\ServerComponentCache"
    software = key(
        {
            rf"{cache}\Web-Server": {"InstallState": 1, "DisplayName": "Web Server (IIS)"},
            rf"{cache}\DNS": {"InstallState": 1, "DisplayName": "@dll,-1"},
            rf"{cache}\DHCP": {"InstallState": 0},
        }
    )
    found = facts.listed_roles(software)
    assert found is not None
    assert [(role.id, role.name) for role in found] == [("DNS", ""), ("Web-Server", "Web Server (IIS)")]
    assert facts.listed_roles(key({"Other": {}})) is None


def test_roles_by_what_they_leave_behind(key: Any) -> None:
    control = key(
        {
            r"Services\W3SVC": {"Type": 32},
            r"Services\DHCPServer": {"Type": 16},
            r"Services\DNS\Parameters": {"x": 1},  # a key without a Type is no service
            r"Services\Dhcp": {"Type": 32},
        }
    )
    software = key(
        {
            r"Microsoft\InetStp\Components": {"Metabase": 1, "ASP": 0, "W3SVC": 1},
            r"Microsoft\NET Framework Setup\NDP\v3.5": {"Install": 1},
        }
    )
    found = [role.id for role in facts.evident_roles(software, control)]
    assert found == ["DHCP", "NET-Framework-Core", "Web-Metabase", "Web-Server"]
    assert facts.evident_roles(None, None) == ()


# Firewall, protocols.

POLICY = r"Services\SharedAccess\Parameters\FirewallPolicy"


def test_a_firewall_rule_of_windows_is_known_by_its_reference_where_its_key_is_only_a_guid(key: Any) -> None:
    rule = "v2.0|Action=Allow|Active=TRUE|Dir=In|Name=@FirewallAPI.dll,-28550|"
    found = facts.firewall(
        key({rf"{POLICY}\FirewallRules": {"{CFC8F1FE-0569-40C4-9BC0-464550410252}": rule}})
    )
    assert found is not None
    assert [one.name for one in found.rules] == ["@FirewallAPI.dll,-28550"]


def test_firewall_rules_and_profiles(key: Any) -> None:
    control = key(
        {
            rf"{POLICY}\PublicProfile": {"EnableFirewall": 0},
            rf"{POLICY}\DomainProfile": {"EnableFirewall": 0},
            rf"{POLICY}\FirewallRules": {
                "FPS-SMB-In-TCP": "v2.0|Action=Allow|Active=TRUE|Dir=In|Protocol=6|Profile=Public"
                "|Profile=Domain|LPort=445|RA4=LocalSubnet|App=System|Name=@FirewallAPI.dll,-28511|",
                "{1}": "v2.10|Action=Block|Active=FALSE|Dir=Out|Svc=x|Name=My rule|Desc=a=b|",
                "odd": "no rule",
                "number": 7,
            },
        }
    )
    domain = key({r"Policies\Microsoft\WindowsFirewall\DomainProfile": {"EnableFirewall": 1}})
    found = facts.firewall(control, domain)
    assert found is not None
    assert found.profiles == (("domain", True), ("private", True), ("public", False))
    assert found.rules == (
        FirewallRule(
            name="FPS-SMB-In-TCP",
            enabled=True,
            inbound=True,
            allow=True,
            protocol="tcp",
            local_ports="445",
            remote_addresses="LocalSubnet",
            program="System",
            profiles="domain,public",
        ),
        FirewallRule(name="My rule", enabled=False, inbound=False, allow=False, protocol="*", service="x"),
    )
    assert facts.firewall(key({"Services": {}})) is None


def test_a_policys_rules_are_added(key: Any) -> None:
    rule = "v2.0|Action=Allow|Active=TRUE|Dir=In|Protocol=17|Name={}|"
    control = key({rf"{POLICY}\FirewallRules": {"a": rule.format("own")}})
    policy = key({r"Policies\Microsoft\WindowsFirewall\FirewallRules": {"b": rule.format("given")}})
    found = facts.firewall(control, policy)
    assert found is not None
    assert [one.name for one in found.rules] == ["given", "own"]


def test_protocols(key: Any) -> None:
    base = r"Control\SecurityProviders\SCHANNEL\Protocols"
    found = facts.security(
        key(
            {
                rf"{base}\SSL 2.0\Client": {"DisabledByDefault": 1},
                rf"{base}\SSL 3.0\Server": {"Enabled": 0, "DisabledByDefault": 0},
                rf"{base}\TLS 1.2\Server": {"Enabled": 0xFFFFFFFF, "DisabledByDefault": 0},
                rf"{base}\TLS 1.1\Server": {"odd": 1},
                r"Control\Lsa": {"LmCompatibilityLevel": 1},
                r"Services\LanmanServer\Parameters": {"SMB1": 0, "requiresecuritysignature": 1},
                r"Services\mrxsmb10": {"Start": 4},
            }
        )
    )
    assert found is not None
    assert [(one.name, one.side, one.enabled) for one in found.tls] == [
        ("SSL 2.0", "client", False),
        ("SSL 3.0", "server", False),
        ("TLS 1.1", "server", None),
        ("TLS 1.2", "server", True),
    ]
    assert (found.smb1_server, found.smb1_client, found.smb_signing_required) == (False, False, True)
    assert found.lm_compatibility == 1


@pytest.mark.parametrize(
    ("services", "able"),
    [
        ({r"Services\mrxsmb10": {"Start": 2}}, True),
        ({r"Services\LanmanWorkstation": {"Start": 2}}, False),
        ({r"Services\Tcpip": {"Start": 1}}, None),
    ],
)
def test_the_smb1_client(key: Any, services: dict[str, Any], able: bool | None) -> None:
    found = facts.security(key(services))
    assert found is not None
    assert found.smb1_client is able
    assert (found.smb1_server, found.lm_compatibility) == (None, None)


# Machine.


def test_routes_that_persist(key: Any) -> None:
    base = r"Services\Tcpip\Parameters"
    names = (
        "10.20.0.0,255.255.0.0,198.51.100.254,1",
        "0.0.0.0,0.0.0.0,10.3.58.1,-1",
        "bad,1,2,3",
        "10.0.0.0",
    )
    found = facts.network(key({base: {}, rf"{base}\PersistentRoutes": dict.fromkeys(names, "")}))
    assert found is not None
    assert found.routes is not None
    assert [(one.destination, one.gateway, one.metric) for one in found.routes] == [
        ("0.0.0.0/0", "10.3.58.1", None),
        ("10.20.0.0/16", "198.51.100.254", 1),
    ]


def test_environment_and_time_zone(key: Any) -> None:
    control = key(
        {
            r"Control\Session Manager\Environment": {"Path": "%SystemRoot%", "A": "1\x07"},
            r"Control\TimeZoneInformation": {"StandardName": "W. Europe Standard Time"},
        }
    )
    found = facts.environment(control)
    assert found is not None
    assert [(one.name, one.value) for one in found] == [("A", "1\ufffd"), ("Path", "%SystemRoot%")]
    assert facts.time_zone(control) == "W. Europe Standard Time"
    reference = key({r"Control\TimeZoneInformation": {"StandardName": "@tzres.dll,-322"}})
    assert facts.time_zone(reference) is None
    assert facts.environment(key({"Control": {}})) is None


def test_printers_of_either_place(key: Any) -> None:
    old = key(
        {r"Control\Print\Printers\P": {"Name": "P", "Port": "LPT1:", "Attributes": 8, "Share Name": "S"}}
    )
    new = key({rf"{NT}\Print\Printers\Q": {"Printer Driver": "D", "Attributes": 0, "Share Name": "not"}})
    found = facts.printers(old, new)
    assert found is not None
    assert [(one.name, one.driver, one.port, one.shared_as) for one in found] == [
        ("P", "", "LPT1:", "S"),
        ("Q", "D", "", ""),
    ]
    assert facts.printers(key({r"Control\Print\Monitors": {}}), None) is None


def test_odbc_of_both_views_never_a_password(key: Any) -> None:
    source = {"Server": "db", "Database": "orders", "PWD": "hunter2", "Password": "hunter2"}
    sources = {
        r"ODBC\ODBC.INI\ODBC Data Sources": {"Orders": "SQL Server"},
        r"ODBC\ODBC.INI\Orders": source,
        r"Wow6432Node\ODBC\ODBC.INI\ODBC Data Sources": {"Stock": "Access"},
        r"Wow6432Node\ODBC\ODBC.INI\Stock": {"DBQ": r"C:\stock.mdb"},
    }
    found = facts.odbc(key(sources), "x64")
    assert found is not None
    assert [(one.name, one.driver, one.server, one.database, one.view) for one in found] == [
        ("Orders", "SQL Server", "db", "orders", 64),
        ("Stock", "Access", "", r"C:\stock.mdb", 32),
    ]
    assert "hunter2" not in str(found)
    assert facts.odbc(key({"Microsoft": {}}), "x64") is None


def test_autostart_only_what_is_not_usual(key: Any) -> None:
    software = key(
        {
            rf"{RUN}\Run": {"Tray": "tray.exe", "empty": ""},
            rf"Wow6432Node\{RUN}\RunOnce": {"Once": "once.exe"},
            rf"{NT}\Winlogon": {
                "Userinit": r"C:\Windows\system32\userinit.exe,",
                "Shell": "explorer.exe, x.exe",
            },
            rf"{NT}\Windows": {"AppInit_DLLs": "hook.dll"},
        }
    )
    found = facts.autostart(software, ["b.lnk", "desktop.ini", "a.bat"])
    assert [(one.where, one.name, one.command) for one in found] == [
        ("AppInit_DLLs", "", "hook.dll"),
        ("Run", "Tray", "tray.exe"),
        ("RunOnce32", "Once", "once.exe"),
        ("Startup", "a.bat", "a.bat"),
        ("Startup", "b.lnk", "b.lnk"),
        ("Winlogon", "Shell", "explorer.exe, x.exe"),
    ]
    core = 'cmd.exe /c "cd /d "%USERPROFILE%" & start cmd.exe /k runonce.exe /AlternateShellStartup"'
    assert facts.autostart(key({rf"{NT}\Winlogon": {"Shell": core, "Userinit": "userinit.exe"}})) == ()
