"""Every section through the real sandbox: from a fabricated disk, the lab's servers, and damaged parts."""

import struct
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from orchestrator.guest.offline import collect_from_image, collect_offline
from orchestrator.model.facts import (
    SECTIONS,
    AutoStart,
    BuildTest,
    DiskLayout,
    Driver,
    Membership,
    Permission,
    Program,
    ProgramKind,
    Role,
    ServerFacts,
)

CONFIG = "Windows/System32/config"
NT = r"Microsoft\Windows NT\CurrentVersion"
RUN = r"Microsoft\Windows\CurrentVersion"
SET = "ControlSet001"
SYSTEM: dict[str, Any] = {
    "Select": {"Current": 1},
    rf"{SET}\Control\ProductOptions": {"ProductType": "ServerNT"},
    rf"{SET}\Services\LanmanServer": {"Type": 32, "Start": 2},
    rf"{SET}\Services\Checker": {"Type": 16, "Start": 2, "ImagePath": r'"C:\Tools\old.exe" /build:6002'},
    rf"{SET}\Services\App": {"Type": 16, "Start": 2, "ImagePath": r"C:\Program Files\App\app.exe -x"},
}
SOFTWARE: dict[str, Any] = {
    NT: {"CurrentVersion": "6.0", "CurrentBuildNumber": "6003", "SystemRoot": r"C:\Windows"},
    rf"{RUN}\Run": {"Tray": r"C:\Tools\tray.exe"},
}
DOS = b"MZ" + bytes(200)
WIN16 = b"MZ" + bytes(58) + struct.pack("<I", 64) + b"NE" + bytes(52) + b"\x02" + bytes(20)
FILES = {
    "Tools/old.exe": WIN16,
    "Tools/tray.exe": DOS,
    "Tools/not-run.exe": DOS,
    "Program Files/App/app.exe": b"no program",
    "Program Files/App/sub/helper.exe": DOS,
    "Program Files/App/check.vbs": b'x = 1\r\nIf os.BuildNumber = "6002" Then\r\n',
    "Scripts/many.ps1": 'Write-Host "ü"\nif ($build -eq 6002) { exit }\n'.encode("utf-16"),
    "Windows/winsxs/x.cmd": b"if %b%==6002 exit",
    "Windows/System32/GroupPolicy/Machine/Scripts/Startup/s.cmd": b"if %build%==6002 exit",
    "Windows/SYSVOL/sysvol/d/scripts/logon.bat": b'ver | find "6.0.6002"',
    "$Recycle.Bin/x.cmd": b"if %build%==6002 exit",
    "Windows/inf/oem2.inf": b"[Version]\r\nProvider=P\r\nClass=Net\r\nDriverVer=1/2/2010,1.0\r\n",
    "Windows/inf/net1.inf": b"[Version]\r\nProvider=Microsoft\r\n",
    "Windows/servicing/Version/6.0.6003.20555/x": b"",
    "ProgramData/Microsoft/Windows/Start Menu/Programs/Startup/a.bat": b"echo",
}


@pytest.fixture(scope="module")
def hives(make_hive: Any) -> dict[str, bytes]:
    return {f"{CONFIG}/SYSTEM": make_hive(SYSTEM), f"{CONFIG}/SOFTWARE": make_hive(SOFTWARE)}


@pytest.fixture(scope="module")
def found(make_disk: Any, hives: dict[str, bytes]) -> ServerFacts:
    return collect_offline([make_disk(hives | FILES)])


def test_tests_for_the_build_in_scripts_and_services(found: ServerFacts) -> None:
    assert found.build_tests == (
        BuildTest(path=r"C:\Program Files\App\check.vbs", line=2, text='If os.BuildNumber = "6002" Then'),
        BuildTest(path=r"C:\Scripts\many.ps1", line=2, text="if ($build -eq 6002) { exit }"),
        BuildTest(
            path=r"C:\Windows\System32\GroupPolicy\Machine\Scripts\Startup\s.cmd",
            line=1,
            text="if %build%==6002 exit",
        ),
        BuildTest(path=r"C:\Windows\SYSVOL\sysvol\d\scripts\logon.bat", line=1, text='ver | find "6.0.6002"'),
        BuildTest(path="service:Checker", line=0, text=r'"C:\Tools\old.exe" /build:6002'),
    )


def test_programs_that_run_and_that_lie_among_the_programs(found: ServerFacts) -> None:
    assert found.programs == (
        Program(path=r"C:\Program Files\App\sub\helper.exe", kind=ProgramKind.DOS),
        Program(path=r"C:\Tools\old.exe", kind=ProgramKind.WIN16),
        Program(path=r"C:\Tools\tray.exe", kind=ProgramKind.DOS),
    )


def test_drivers_stacks_and_startup_come_from_files(
    make_disk: Any, make_hive: Any, found: ServerFacts
) -> None:
    assert found.drivers == (
        Driver(inf="oem2.inf", provider="P", version="1/2/2010 1.0", device_class="Net"),
    )
    assert found.autostart == (
        AutoStart(where="Run", name="Tray", command=r"C:\Tools\tray.exe"),
        AutoStart(where="Startup", name="a.bat", command="a.bat"),
    )
    assert found.servicing is None
    cbs = {rf"{RUN}\Component Based Servicing\Packages": {}}
    files = {f"{CONFIG}/SYSTEM": make_hive(SYSTEM), f"{CONFIG}/SOFTWARE": make_hive(SOFTWARE | cbs)}
    serviced = collect_offline([make_disk(files | FILES)])
    assert serviced.servicing is not None
    assert serviced.servicing.servicing_stack == "6.0.6003.20555"


def test_no_web_service_and_no_configuration_are_no_sites(found: ServerFacts) -> None:
    assert found.iis is not None
    assert (found.iis.sites, found.iis.pools) == ((), ())


def test_every_section_is_known_with_its_source_or_unknown_with_its_reason(found: ServerFacts) -> None:
    known = {name for name in SECTIONS if getattr(found, name) is not None}
    assert {name for name, _ in found.sources} == known
    reasons = dict(found.unknown)
    assert set(SECTIONS) - known == set(reasons) & set(SECTIONS)
    assert all(reasons.values())
    assert "listeners" in reasons


def test_the_web_service_without_its_configuration_is_unknown(
    make_disk: Any, make_hive: Any, hives: dict[str, bytes]
) -> None:
    service = {rf"{SET}\Services\W3SVC": {"Type": 32, "Start": 2}}
    files = hives | {f"{CONFIG}/SYSTEM": make_hive(SYSTEM | service)}
    config = "Windows/System32/inetsrv/config"
    found = collect_offline([make_disk(files)])
    assert found.iis is None
    assert dict(found.unknown)["iis"] == "there is no applicationHost.config"
    hostile = {f"{config}/applicationHost.config": b'<!DOCTYPE x [<!ENTITY e "x">]><configuration/>'}
    found = collect_offline([make_disk(files | hostile)])
    assert found.iis is None
    assert "document type" in dict(found.unknown)["iis"]
    away = b'<configuration><configurationRedirection enabled="true"/></configuration>'
    found = collect_offline([make_disk(files | hostile | {f"{config}/redirection.config": away})])
    assert "lies elsewhere" in dict(found.unknown)["iis"]


def test_a_damaged_sam_leaves_the_rest_alone(make_disk: Any, hives: dict[str, bytes]) -> None:
    found = collect_offline([make_disk(hives | {f"{CONFIG}/SAM": b"rubbish" * 2000})])
    assert (found.users, found.groups) == (None, None)
    assert found.services is not None
    assert any(warning.startswith("SAM cannot be read") for warning in found.warnings)


def test_accounts_of_a_domain_controller_are_unknown(make_disk: Any, make_hive: Any) -> None:
    options = {rf"{SET}\Control\ProductOptions": {"ProductType": "LanmanNT"}}
    files = {f"{CONFIG}/SYSTEM": make_hive(SYSTEM | options), f"{CONFIG}/SOFTWARE": make_hive(SOFTWARE)}
    found = collect_offline([make_disk(files)])
    assert found.users is None
    assert "directory" in dict(found.unknown)["users"]


# Disks and volumes.


def with_mbr(volume: bytes, kind: int, memory_disk: Any, signature: int = 0x1234ABCD) -> Any:
    sector = bytearray(512)
    struct.pack_into("<I", sector, 440, signature)
    struct.pack_into("<B3xB3xII", sector, 446, 0x80, kind, 2048, len(volume) // 512)
    sector[510:] = b"\x55\xaa"
    return memory_disk(bytes(sector) + bytes(2047 * 512) + volume)


def content(disk: Any) -> bytes:
    return bytes(disk.read(0, disk.size))


def test_letters_come_from_mounted_devices(make_disk: Any, make_hive: Any, memory_disk: Any) -> None:
    mounted = {
        "MountedDevices": {
            r"\DosDevices\E:": struct.pack("<IQ", 0x1234ABCD, 2048 * 512),
            r"\DosDevices\X:": struct.pack("<IQ", 0x1234ABCD, 4096 * 512),
            r"\DosDevices\F:": struct.pack("<IQ", 0x77777777, 2048 * 512),
        }
    }
    files = {f"{CONFIG}/SYSTEM": make_hive(SYSTEM | mounted), f"{CONFIG}/SOFTWARE": make_hive(SOFTWARE)}
    data = content(make_disk({"Scripts/a.cmd": b"if %build%==6002 exit"}))
    disks = [
        with_mbr(content(make_disk(files)), 7, memory_disk),
        with_mbr(data, 7, memory_disk, 0x77777777),
        with_mbr(data, 7, memory_disk, 0x88888888),
    ]
    found = collect_offline(disks)
    assert found.volumes is not None
    assert [(one.letter, one.disk, one.filesystem) for one in found.volumes] == [
        ("E:", 0, "NTFS"),
        ("F:", 1, "NTFS"),
        ("", 2, "NTFS"),
    ]
    for volume in found.volumes:
        assert volume.used is not None
        assert 2**20 < volume.used < volume.size == len(data)
    assert found.build_tests is not None
    assert [one.path for one in found.build_tests][:2] == ["disk3-1:\\Scripts\\a.cmd", "F:\\Scripts\\a.cmd"]


def test_used_space_is_what_ntfs_says_is_not_free(make_disk: Any, hives: dict[str, bytes]) -> None:
    empty = collect_offline([make_disk(hives)]).volumes
    fuller = collect_offline([make_disk(hives | {"big": bytes(range(256)) * 4096 * 4})]).volumes
    assert empty is not None
    assert fuller is not None
    assert empty[0].used is not None
    assert fuller[0].used is not None
    assert abs(fuller[0].used - empty[0].used - 4 * 2**20) < 64 * 1024


def test_a_dynamic_disk_and_an_encrypted_volume_are_told(
    make_disk: Any, hives: dict[str, bytes], memory_disk: Any
) -> None:
    dynamic = with_mbr(bytes(2**20), 0x42, memory_disk)
    locked = with_mbr(b"\xeb\x58\x90-FVE-FS-" + bytes(2**20 - 11), 7, memory_disk)
    system = make_disk(hives)
    found = collect_offline([system, dynamic, locked])
    assert found.disks == (
        DiskLayout(index=0, size=system.size, scheme="none", dynamic=False),
        DiskLayout(index=1, size=dynamic.size, scheme="mbr", dynamic=True),
        DiskLayout(index=2, size=locked.size, scheme="mbr", dynamic=False),
    )
    assert found.volumes is not None
    assert [(one.filesystem, one.encrypted, one.used is None) for one in found.volumes] == [
        ("NTFS", False, False),
        ("BitLocker", True, True),
    ]
    assert found.volumes[0].letter == "C:"
    assert "disk 2, partition 1" in dict(found.unknown)["volumes.dynamic"]


def test_letters_on_a_gpt_disk(lab_image: Callable[[str], Path]) -> None:
    found = collect_from_image(lab_image("win2025-golden"))
    assert found.disks is not None
    assert found.volumes is not None
    assert found.disks[0].scheme == "gpt"
    assert [(one.letter, one.label) for one in found.volumes] == [("C:", ""), ("D:", "Data")]


# The lab's servers.


def test_the_file_server_in_full(lab_image: Callable[[str], Path]) -> None:
    found = collect_from_image(lab_image("file01"))
    assert found.identity.membership == Membership(domain=True, name="branch.example")
    assert (found.identity.sku, found.identity.core, found.identity.language) == (7, False, "en-US")
    assert found.shares is not None
    by_name = {share.name: share for share in found.shares}
    assert by_name["Labels"].kind == "printer"
    assert by_name["Scans"].permissions == (
        Permission(account=r"BUILTIN\Administrators", right="full"),
        Permission(account="Ablage Süd", right="change"),
    )
    assert found.groups is not None
    assert next(one for one in found.groups if one.name == "Backup Operators").members == ("svc_backup",)
    assert found.servicing is not None
    assert (found.servicing.sha2, found.servicing.servicing_stack) == (True, "6.0.6003.20555")
    assert found.printers is not None
    assert found.printers[0].shared_as == "Labels"
    assert found.time_zone == "W. Europe Standard Time"
    assert found.network is not None
    assert [one.destination for one in found.network.routes or ()] == ["10.20.0.0/16"]
    assert found.odbc is not None
    assert [(one.name, one.view) for one in found.odbc] == [("Labels", 32)]
    assert found.drivers is not None
    assert found.drivers[0].provider == "Hartwig Label Systems"
    assert found.tasks is not None
    export = next(task for task in found.tasks if task.path == "\\NightlyExport")
    assert (export.run_as, export.triggers) == (r"BRANCH\svc_export", ("daily at 01:30",))
    assert found.build_tests == ()
    assert found.users is not None
    assert {one.name: one.enabled for one in found.users}["mueller"] is False
    assert found.hotfixes is not None
    assert [one.id for one in found.hotfixes][-1] == "KB4493730"
    assert found.environment is not None
    assert {one.name: one.value for one in found.environment}["BRANCH_CODE"] == "BER07"
    assert found.autostart is not None
    assert [one.name for one in found.autostart] == ["MepTray"]
    assert found.programs is not None
    assert {one.kind for one in found.programs} == {ProgramKind.X86, ProgramKind.X64}
    assert found.security is not None
    assert (found.security.smb1_client, found.security.lm_compatibility) == (True, 3)


def test_the_web_server_in_full(lab_image: Callable[[str], Path]) -> None:
    found = collect_from_image(lab_image("app02"))
    assert found.identity.membership == Membership(domain=False, name="WORKGROUP")
    assert found.iis is not None
    secure = next(one for one in found.iis.sites[1].bindings if one.protocol == "https")
    assert found.certificates is not None
    (certificate,) = found.certificates
    assert secure.certificate == certificate.thumbprint
    assert (certificate.not_after, certificate.private_key) == (date(2027, 2, 28), True)
    assert certificate.names == ("orders.branch.example", "app02.branch.example")
    assert [pool.name for pool in found.iis.pools] == ["DefaultAppPool", "Orders"]
    assert found.roles is not None
    assert {"Web-Server", "SMTP-Server", "Web-Metabase"} <= {role.id for role in found.roles}
    assert "roles.rest" in dict(found.unknown)
    assert found.firewall is not None
    assert dict(found.firewall.profiles)["public"] is False
    assert found.security is not None
    assert {(one.name, one.enabled) for one in found.security.tls} == {("SSL 3.0", False), ("TLS 1.2", True)}
    assert found.build_tests is not None
    assert [(one.path, one.line) for one in found.build_tests] == [("C:\\OrderBridge\\start-orders.cmd", 4)]


def test_a_new_server_has_the_server_managers_list(lab_image: Callable[[str], Path]) -> None:
    found = collect_from_image(lab_image("win2022-golden"))
    assert found.roles is not None
    assert Role(id="FileAndStorage-Services") in found.roles
    assert "roles.rest" not in dict(found.unknown)
    assert found.servicing is not None
    assert found.servicing.sha2 is True
