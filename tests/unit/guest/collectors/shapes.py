"""Outputs of collectors as the scripts write them, made by hand.

That of cscript has the shape that was recorded under Wine. That of PowerShell follows the documented shapes
of its cmdlets: the script has not been run here.
"""

from __future__ import annotations

import copy
import json
from typing import Any

from providers.simulated.world import SimProgram

MACHINE = "HKEY_LOCAL_MACHINE"
CONTROL = r"HKLM\SYSTEM\CurrentControlSet\Control"
SERVICES = r"HKLM\SYSTEM\CurrentControlSet\Services"
WINDOWS = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion"
NT = r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion"
TASK = (
    '<?xml version="1.0" encoding="UTF-16"?>',
    '<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">',
    "<Actions><Exec><Command>C:\\x.cmd</Command></Exec></Actions></Task>",
)


def read(*lines: str) -> dict[str, Any]:
    return {"state": "read", "lines": list(lines)}


def exported(key: str, *lines: str) -> dict[str, Any]:
    return read(f"[{key.replace('HKLM', MACHINE)}]", *lines)


def table(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"count": len(rows), "rows": list(rows)}


def _registry(build: str, version: str, product: str) -> dict[str, Any]:
    absent = {"state": "absent"}
    return {
        NT: exported(
            NT,
            f'"CurrentVersion"="{version}"',
            f'"CurrentBuildNumber"="{build}"',
            f'"CurrentBuild"="{build}"',
            f'"ProductName"="{product}"',
            '"EditionID"="ServerStandard"',
        ),
        rf"{WINDOWS}\Uninstall": exported(
            rf"{WINDOWS}\Uninstall",
            rf"[{MACHINE}\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall\App]",
            '"DisplayName"="App"',
            '"DisplayVersion"="1.0"',
        ),
        rf"{WINDOWS}\Run": absent,
        rf"{WINDOWS}\Component Based Servicing\Version": exported(
            rf"{WINDOWS}\Component Based Servicing\Version", '"6.0.6002.24169"=hex(2):25,00,00,00'
        ),
        r"HKLM\SOFTWARE\ODBC": exported(r"HKLM\SOFTWARE\ODBC"),
        r"HKLM\SOFTWARE\Microsoft\SystemCertificates\MY\Certificates": absent,
        rf"{NT}\Print\Printers": absent,
        rf"{CONTROL}\ProductOptions": exported(rf"{CONTROL}\ProductOptions", '"ProductType"="ServerNT"'),
        rf"{CONTROL}\ComputerName": read(
            rf"[{MACHINE}\SYSTEM\CurrentControlSet\Control\ComputerName\ComputerName]",
            '"ComputerName"="OLD01"',
        ),
        rf"{CONTROL}\Session Manager\Environment": exported(
            rf"{CONTROL}\Session Manager\Environment", '"PROCESSOR_ARCHITECTURE"="AMD64"'
        ),
        rf"{CONTROL}\TimeZoneInformation": exported(
            rf"{CONTROL}\TimeZoneInformation", '"TimeZoneKeyName"="UTC"'
        ),
        rf"{CONTROL}\Print\Printers": exported(rf"{CONTROL}\Print\Printers"),
        rf"{CONTROL}\SecurityProviders\SCHANNEL\Protocols": absent,
        rf"{SERVICES}\LanmanServer\Shares": absent,
        rf"{SERVICES}\Tcpip\Parameters": exported(rf"{SERVICES}\Tcpip\Parameters", '"Hostname"="OLD01"'),
        rf"{SERVICES}\SharedAccess\Parameters\FirewallPolicy": exported(
            rf"{SERVICES}\SharedAccess\Parameters\FirewallPolicy"
        ),
        SERVICES: read(
            rf"[{MACHINE}\SYSTEM\CurrentControlSet\Services\LanmanServer]",
            '"Type"=dword:00000020',
            '"Start"=dword:00000002',
            '"ImagePath"=hex(2):61,00,\\',
            "  2e,00,65,00,78,00,65,00,00,00",
        ),
    }


_PEOPLE = {
    "Win32_UserAccount": table(
        {
            "Name": "Administrator",
            "SID": "S-1-5-21-1-2-3-500",
            "Disabled": True,
            "FullName": "",
            "Description": "d",
        }
    ),
    "Win32_Group": table(
        {"Name": "Administrators", "SID": "S-1-5-32-544", "Domain": "OLD01", "Description": ""}
    ),
    "Win32_GroupUser": table(
        *(
            {"Group": "Administrators", "Member": member}
            for member in (
                r'\\OLD01\root\cimv2:Win32_UserAccount.Domain="OLD01",Name="Administrator"',
                r'\\OLD01\root\cimv2:Win32_Group.Domain="BRANCH",Name="Domain Admins"',
                r'\\OLD01\root\cimv2:Win32_SystemAccount.Domain="OLD01",Name="INTERACTIVE"',
            )
        )
    ),
}
_DISKS = {
    "Win32_DiskDrive": table({"Index": "0", "Size": "42944186880"}),
    "Win32_DiskPartition": table(
        {"DeviceID": "Disk #0, Partition #0", "DiskIndex": "0", "Type": "Installable File System"}
    ),
    "Win32_Volume": table(
        {
            "DriveLetter": "C:",
            "Label": "System",
            "FileSystem": "NTFS",
            "Capacity": "1000",
            "FreeSpace": "400",
        },
        {
            "DriveLetter": None,
            "Label": "Reserved",
            "FileSystem": "NTFS",
            "Capacity": "100",
            "FreeSpace": None,
        },
    ),
}

CSCRIPT: dict[str, Any] = {
    "ferry-collect": 1,
    "collector": "cscript",
    "machine": {"architecture": "AMD64", "emulated": "", "desktop": True},
    "classes": {
        "Win32_OperatingSystem": table({"OperatingSystemSKU": "7", "OSLanguage": "1033"}),
        "Win32_ComputerSystem": table(
            {"Name": "OLD01", "Domain": "branch.example", "PartOfDomain": True, "DomainRole": "3"}
        ),
        "Win32_LogicalDiskToPartition": table(
            {
                "Antecedent": r'\\OLD01\root\cimv2:Win32_DiskPartition.DeviceID="Disk #0, Partition #0"',
                "Dependent": r'\\OLD01\root\cimv2:Win32_LogicalDisk.DeviceID="C:"',
            }
        ),
        "Win32_QuickFixEngineering": table(
            {"HotFixID": "KB4474419", "InstalledOn": "01d5606f2fbbf800"},
            {"HotFixID": "KB4493730", "InstalledOn": "4/17/2019"},
            {"HotFixID": "KB4489887", "InstalledOn": "3/4/2019"},
            {"HotFixID": "File 1", "InstalledOn": ""},
        ),
        "Win32_ServerFeature": table(
            {"ID": "2", "ParentID": "0", "Name": "Web Server (IIS)"},
            {"ID": "9999", "ParentID": "0", "Name": "Something"},
            {"ID": "9998", "ParentID": "2", "Name": "A role service"},
        ),
        "Win32_PnPSignedDriver": table(
            {
                "InfName": "oem3.inf",
                "DriverProviderName": "Example",
                "DriverVersion": "5.2.1.0",
                "DriverDate": "20190103000000.000000-000",
                "DeviceClass": "NET",
            },
            {
                "InfName": "disk.inf",
                "DriverProviderName": "Microsoft",
                "DriverVersion": "6",
                "DeviceClass": "X",
            },
        ),
        "Listeners": table(
            {"Protocol": "TCP", "Local": "0.0.0.0:445", "Process": "System"},
            {"Protocol": "TCP", "Local": "[::]:445", "Process": "System"},
            {"Protocol": "UDP", "Local": "0.0.0.0:123", "Process": "svchost.exe"},
        ),
        **_DISKS,
        **_PEOPLE,
    },
    "registry": _registry("6003", "6.0", "Windows Server 2008 Standard"),
    "files": {
        "hosts": read("# none", "192.0.2.9 db01"),
        "applicationHost.config": {"state": "absent"},
        "startup": read("a.lnk"),
        "tasks": {"state": "read", "files": {r"\Export": read(*TASK)}},
    },
    "complete": True,
}

POWERSHELL: dict[str, Any] = copy.deepcopy(CSCRIPT) | {
    "collector": "powershell",
    "registry": _registry("26100", "6.3", "Windows Server 2025 Standard"),
}
POWERSHELL["registry"][NT]["lines"] += [
    '"CurrentMajorVersionNumber"=dword:0000000a',
    '"CurrentMinorVersionNumber"=dword:00000000',
]
POWERSHELL["classes"] |= {
    "Win32_QuickFixEngineering": table({"HotFixID": "KB5065426", "InstalledOn": "9/9/2025"}),
    "WindowsFeature": table({"Name": "Web-Server", "DisplayName": "Web Server (IIS)"}),
    "Win32_LogicalDiskToPartition": table(
        {
            "Antecedent": 'Win32_DiskPartition (DeviceID = "Disk #0, Partition #0")',
            "Dependent": 'Win32_LogicalDisk (DeviceID = "C:")',
        }
    ),
    "Win32_GroupUser": table(
        {"Group": "Administrators", "Member": 'Win32_UserAccount.Domain="OLD01",Name="Administrator"'}
    ),
}
POWERSHELL["classes"]["Win32_PnPSignedDriver"]["rows"][0]["DriverDate"] = "20190103"
del POWERSHELL["classes"]["Win32_ServerFeature"]


CSCRIPT_EXE = r"C:\Windows\System32\cscript.exe"
POWERSHELL_EXE = r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe"
PROGRAMS = {
    "cmd.exe": SimProgram(output="C:\\Windows\r\n"),
    CSCRIPT_EXE: SimProgram(writes=json.dumps(CSCRIPT)),
    POWERSHELL_EXE: SimProgram(writes=json.dumps(POWERSHELL)),
}
"""Programs of a simulated guest, which collect as those of Windows do."""


def changed(shape: dict[str, Any], *path: str, to: Any) -> dict[str, Any]:
    """A copy in which what is at `path` is something else."""
    made = copy.deepcopy(shape)
    place = made
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = to
    return made


def output(shape: dict[str, Any]) -> bytes:
    """The bytes that a script would write."""
    return json.dumps(shape).encode("ascii")
