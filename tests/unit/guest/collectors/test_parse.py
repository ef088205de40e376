"""From a collector's output to facts: each section from where it is told, unknown where it is not."""

from __future__ import annotations

import contextlib
import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.diagnostics import FerryError
from orchestrator.guest.collectors import facts_from_output, is_output
from orchestrator.guest.collectors.collect import Collector, script
from orchestrator.guest.collectors.parse import facts_of
from orchestrator.guest.collectors.raw import decoded
from orchestrator.lifecycle.verdict import is_server_2008_sp2
from orchestrator.model.facts import SECTIONS, Origin, ServerFacts
from tests.unit.guest.collectors.shapes import (
    CONTROL,
    CSCRIPT,
    POWERSHELL,
    SERVICES,
    WINDOWS,
    changed,
    output,
    read,
)


def facts(shape: dict[str, Any]) -> ServerFacts:
    return facts_of(decoded(output(shape)))


def test_cscript_output_gives_every_section_but_those_that_need_a_disk() -> None:
    found = facts(CSCRIPT)
    assert {name for name in SECTIONS if getattr(found, name) is None} == {
        "iis", "certificates", "programs", "build_tests",
    }  # fmt: skip
    assert found.origin is Origin.IN_GUEST
    assert is_server_2008_sp2(found.identity).yes
    assert found.identity.membership is not None
    assert (found.identity.membership.domain, found.identity.membership.name) == (True, "branch.example")


def test_powershell_output_gives_the_same_sections() -> None:
    found = facts(POWERSHELL)
    assert {name for name in SECTIONS if getattr(found, name) is None} == {
        "iis", "certificates", "programs", "build_tests",
    }  # fmt: skip
    assert found.identity.build == 26100
    assert [role.id for role in found.roles or ()] == ["Web-Server"]
    assert [volume.disk for volume in found.volumes or () if volume.letter] == [0]
    assert found.hotfixes is not None
    assert found.hotfixes[0].installed_on == datetime.date(2025, 9, 9)
    assert found.drivers == facts(CSCRIPT).drivers


def test_people_and_members_are_named_as_offline() -> None:
    found = facts(CSCRIPT)
    assert [(user.rid, user.enabled) for user in found.users or ()] == [(500, False)]
    assert [group.members for group in found.groups or ()] == [
        ("Administrator", r"BRANCH\Domain Admins", r"NT AUTHORITY\INTERACTIVE")
    ]


def test_domain_controller_has_no_local_accounts() -> None:
    shape = changed(CSCRIPT, "classes", "Win32_ComputerSystem", "rows", to=[{"DomainRole": "5"}])
    found = facts(shape)
    assert found.users is None
    assert "domain controller" in dict(found.unknown)["users"]


def test_members_that_could_not_be_asked_for_leave_the_groups_unknown() -> None:
    row = {"Group": "Administrators", "Error": "0x80041003"}
    found = facts(changed(CSCRIPT, "classes", "Win32_GroupUser", to={"count": 1, "rows": [row]}))
    assert found.groups is None
    assert "0x80041003" in dict(found.unknown)["groups"]


def test_date_of_an_update_is_only_told_where_it_can_be_read_in_one_way() -> None:
    days = {fix.id: fix.installed_on for fix in facts(CSCRIPT).hotfixes or ()}
    assert days == {
        "KB4474419": datetime.date(2019, 9, 1),
        "KB4493730": datetime.date(2019, 4, 17),
        "KB4489887": None,
    }


def test_space_and_layout() -> None:
    found = facts(CSCRIPT)
    assert [(v.letter, v.used, v.disk) for v in found.volumes or ()] == [("", None, None), ("C:", 600, 0)]
    assert [(d.scheme, d.dynamic) for d in found.disks or ()] == [("mbr", False)]


def test_kinds_of_partitions_in_another_language_are_not_guessed_at() -> None:
    row = {"OperatingSystemSKU": "7", "OSLanguage": "1031"}
    found = facts(changed(CSCRIPT, "classes", "Win32_OperatingSystem", "rows", to=[row]))
    assert found.disks is None


def test_dynamic_disk_is_seen() -> None:
    row = {"DiskIndex": "0", "Type": "Logical Disk Manager"}
    found = facts(changed(CSCRIPT, "classes", "Win32_DiskPartition", "rows", to=[row]))
    assert [disk.dynamic for disk in found.disks or ()] == [True]


def test_roles_by_number_and_listeners_by_address() -> None:
    found = facts(CSCRIPT)
    assert [role.id for role in found.roles or ()] == ["feature-9999", "Web-Server"]
    assert [(one.protocol, one.address, one.port) for one in found.listeners or ()] == [
        ("tcp", "0.0.0.0", 445),  # noqa: S104
        ("tcp", "::", 445),
        ("udp", "0.0.0.0", 123),  # noqa: S104
    ]


@pytest.mark.parametrize(
    ("name", "section"),
    [
        ("Win32_DiskDrive", "disks"),
        ("Win32_QuickFixEngineering", "hotfixes"),
        ("Win32_ServerFeature", "roles"),
        ("Win32_PnPSignedDriver", "drivers"),
        ("Win32_UserAccount", "users"),
        ("Win32_Group", "groups"),
        ("Listeners", "listeners"),
    ],
)
@pytest.mark.parametrize("told", [{"count": 0, "rows": []}, {"error": "0x80041003"}], ids=["empty", "denied"])
def test_class_that_tells_nothing_is_unknown_never_none(name: str, section: str, told: Any) -> None:
    found = facts(changed(CSCRIPT, "classes", name, to=told))
    assert getattr(found, section) is None
    assert dict(found.unknown)[section]


@pytest.mark.parametrize(
    ("key", "section"),
    [
        (SERVICES, "services"),
        (SERVICES, "shares"),
        (rf"{SERVICES}\LanmanServer\Shares", "shares"),
        (rf"{SERVICES}\Tcpip\Parameters", "network"),
        (rf"{SERVICES}\SharedAccess\Parameters\FirewallPolicy", "firewall"),
        (rf"{CONTROL}\Session Manager\Environment", "environment"),
        (rf"{CONTROL}\TimeZoneInformation", "time_zone"),
        (rf"{CONTROL}\Print\Printers", "printers"),
        (rf"{CONTROL}\SecurityProviders\SCHANNEL\Protocols", "security"),
        (rf"{WINDOWS}\Uninstall", "software"),
        (rf"{WINDOWS}\Run", "autostart"),
        (r"HKLM\SOFTWARE\ODBC", "odbc"),
    ],
)
@pytest.mark.parametrize("state", ["denied", "too large"])
def test_key_that_was_not_seen_leaves_its_section_unknown(key: str, section: str, state: str) -> None:
    found = facts(changed(CSCRIPT, "registry", key, to={"state": state}))
    assert getattr(found, section) is None
    assert state in dict(found.unknown)[section]


def test_hosts_file_that_was_not_read_is_unknown_but_the_network_is_not() -> None:
    found = facts(changed(CSCRIPT, "files", "hosts", to={"state": "denied"}))
    assert found.network is not None
    assert found.network.hosts is None
    assert "network.hosts" in dict(found.unknown)


def test_task_that_was_not_read_is_a_warning_and_the_others_are_told() -> None:
    files = CSCRIPT["files"]["tasks"]["files"] | {r"\Closed": {"state": "denied"}, r"\Odd": read("<x/>")}
    found = facts(changed(CSCRIPT, "files", "tasks", "files", to=files))
    assert [task.path for task in found.tasks or ()] == [r"\Export"]
    assert len(found.warnings) == 2


@pytest.mark.parametrize("shape", [CSCRIPT, POWERSHELL], ids=["cscript", "powershell"])
def test_letters_beyond_ascii_in_the_iis_configuration(shape: dict[str, Any]) -> None:
    name = "gr\u00fcn"
    told = name.encode("utf-8").decode("cp1252") if shape is CSCRIPT else name
    config = (
        "<configuration><system.applicationHost><sites>",
        f'<site name="{told}" id="1"/></sites></system.applicationHost></configuration>',
    )
    found = facts(changed(shape, "files", "applicationHost.config", to=read(*config)))
    assert found.iis is not None
    assert [site.name for site in found.iis.sites] == [name]
    assert not found.warnings


@pytest.mark.parametrize(
    ("path", "to"),
    [
        (("ferry-collect",), 2),
        (("collector",), "other"),
        (("complete",), False),
        (("classes",), []),
        (("registry", SERVICES), "text"),
        (("files", "hosts"), {"lines": []}),
    ],
)
def test_output_of_another_shape_is_refused_saying_where(path: tuple[str, ...], to: Any) -> None:
    with pytest.raises(FerryError) as refusal:
        facts(changed(CSCRIPT, *path, to=to))
    assert refusal.value.code == "bad-collection"
    assert path[0] in refusal.value.message
    assert refusal.value.hint


def test_output_of_a_32_bit_script_host_is_refused_saying_what_to_run() -> None:
    with pytest.raises(FerryError) as refusal:
        facts(changed(CSCRIPT, "machine", "emulated", to="AMD64"))
    assert "Sysnative" in refusal.value.hint


def test_output_that_was_cut_short_is_refused_in_the_sandbox_too() -> None:
    whole = output(CSCRIPT)
    with pytest.raises(FerryError) as refusal:
        facts_from_output(whole[:-20])
    assert refusal.value.code == "bad-collection"
    assert facts_from_output(whole) == facts(CSCRIPT)


def test_output_is_told_from_an_inventory_by_its_beginning() -> None:
    assert is_output(output(CSCRIPT))
    assert not is_output(facts(CSCRIPT).model_dump_json().encode())


def test_control_characters_of_a_guest_do_not_come_through() -> None:
    rows = [{"Name": "a\u001b[31m\u202eb", "SID": "S-1-5-21-1-2-3-1000", "Disabled": False}]
    found = facts(changed(CSCRIPT, "classes", "Win32_UserAccount", "rows", to=rows))
    assert [user.name for user in found.users or ()] == ["a\ufffd[31m\ufffdb"]


@settings(max_examples=150)
@given(st.data())
def test_damaged_output_ends_in_facts_or_in_a_clear_error(data: st.DataObject) -> None:
    whole = bytearray(output(data.draw(st.sampled_from([CSCRIPT, POWERSHELL]))))
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at : at + data.draw(st.integers(0, 12))] = data.draw(st.binary(max_size=12))
    with contextlib.suppress(FerryError):
        facts_of(decoded(bytes(whole)))


@pytest.mark.parametrize("which", list(Collector))
def test_scripts_are_ascii_and_never_touch_products(which: Collector) -> None:
    text = script(which)
    code = [line for line in text.splitlines() if not line.lstrip().startswith(("'", "#"))]
    assert text.isascii()
    assert not any("Win32_Product" in line for line in code)
