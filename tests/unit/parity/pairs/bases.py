"""A 2008 SP2 and a 2022/2025 as set-up leaves them, with what a hypervisor and updates add.

They are full of things that differ and need nobody. Workloads are put on top by `servers`.
"""

from __future__ import annotations

from typing import Any

from orchestrator.model.facts import (
    AutoStart,
    DiskLayout,
    Driver,
    EnvironmentVariable,
    Firewall,
    FirewallRule,
    Group,
    Hotfix,
    Iis,
    Listener,
    Origin,
    Permission,
    Printer,
    Protocol,
    Role,
    ScheduledTask,
    Security,
    ServerFacts,
    Service,
    Servicing,
    Share,
    Software,
    StartMode,
    User,
    Volume,
)
from tests.unit import builders as b
from tests.unit.parity.pairs.services import OF_2008, OF_2022, installed

GIB = 1024**3
EVERYONE_READS = (Permission(account="Everyone", right="read"),)
OLD_DRIVERS = """
ACPI adp94xx AFD agp440 aliide AmdK8 arc AsyncMac atapi Beep blbdrive bowser cdfs cdrom CLFS crcdisk DfsC
Disk DXGKrnl E1G60 Ecache
ErrDev exfat fastfat fdc flpydisk FltMgr Fs_Rec HTTP i8042prt intelide intelppm IPMIDRV isapnp kbdclass
kbdhid KSecDD lltdio LSI_SAS
luafv megasas monitor mouclass mouhid mountmgr mpsdrv mrxsmb mrxsmb10 mrxsmb20 msahci Msfs msisadrv
mssmbios Mup NDIS NdisTapi Ndisuio
NdisWan NDProxy NetBIOS netbt Npfs nsiproxy Ntfs Null ohci1394 Parport partmgr pci pciide PEAUTH
PptpMiniport Processor PSched RasAcd
Rasl2tp RasPppoe RasSstp rdbss RDPCDD RDPDR RDPENCDD RDPWD rspndr secdrv Serenum Serial sermouse sffdisk
sfloppy Smb spldr srv srv2
srvnet storflt swenum Tcpip Tcpip6 tcpipreg TDPIPE TDTCP tdx TermDD tssecsrv tunmp tunnel udfs umbus
usbehci usbhub usbuhci vga
VgaSave viaide volmgr volmgrx volsnap Wanarp Wanarpv6 Wd Wdf01000 WmiAcpi ws2ifsl vmci vmx_svga vmmemctl
"""
NEW_DRIVERS = """
ACPI AFD bam BasicDisplay BasicRender Beep bindflt bowser cdfs cdrom CimFS CLFS CmBatt CNG condrv dam
Dfsc disk DXGKrnl fastfat FileCrypt
FltMgr fvevol GPIOClx0101 HTTP hyperkbd iorate KSecDD KSecPkg luafv mountmgr mpsdrv mrxsmb mrxsmb20 Msfs
MsLldp Mup NDIS NetBT Npfs
npsvctrig nsiproxy Ntfs Null partmgr pci pcw Psched rdbss rdpbus RDPNP spaceport srv2 srvnet stornvme
storahci storvsc Tcpip TPM UEFI
vdrvroot vhdmp volmgr volsnap WdFilter WdNisDrv Wdf01000 WindowsTrustedRT Wof viostor netkvm balloon
vioser
"""
OLD_TASKS = (
    r"\Microsoft\Windows\Defrag\ScheduledDefrag",
    r"\Microsoft\Windows\Customer Experience Improvement Program\Server\ServerCeipAssistant",
    r"\Microsoft\Windows\NetworkAccessProtection\NAPStatus UI",
    r"\Microsoft\Windows\Tcpip\IpAddressConflict1",
    r"\User_Feed_Synchronization-{1A2B3C4D-0000-4000-8000-000000000001}",
)
NEW_TASKS = (
    r"\Microsoft\Windows\Defrag\ScheduledDefrag",
    r"\Microsoft\Windows\UpdateOrchestrator\Schedule Scan",
    r"\MicrosoftEdgeUpdateTaskMachineCore",
)
BUILT_IN_GROUPS = (
    ("Administrators", 544, ("Administrator",)),
    ("Users", 545, ("NT AUTHORITY\\INTERACTIVE", "NT AUTHORITY\\Authenticated Users")),
    ("Guests", 546, ("Guest",)),
    ("Power Users", 547, ()),
    ("Print Operators", 550, ()),
    ("Backup Operators", 551, ()),
    ("Replicator", 552, ()),
    ("Remote Desktop Users", 555, ()),
    ("Network Configuration Operators", 556, ()),
    ("Performance Monitor Users", 558, ()),
    ("Performance Log Users", 559, ()),
    ("Distributed COM Users", 562, ()),
    ("IIS_IUSRS", 568, ("NT AUTHORITY\\IUSR",)),
    ("Cryptographic Operators", 569, ()),
    ("Event Log Readers", 573, ()),
    ("Certificate Service DCOM Access", 574, ()),
)
NEW_GROUPS = (
    ("Remote Management Users", 580, ()),
    ("System Managed Accounts Group", 581, ("DefaultAccount",)),
    ("Storage Replica Administrators", 582, ()),
)
OLD_VARIABLES = {
    "ComSpec": r"%SystemRoot%\system32\cmd.exe",
    "FP_NO_HOST_CHECK": "NO",
    "NUMBER_OF_PROCESSORS": "2",
    "OS": "Windows_NT",
    "Path": r"%SystemRoot%\system32;%SystemRoot%;%SystemRoot%\System32\Wbem",
    "PATHEXT": ".COM;.EXE;.BAT;.CMD;.VBS;.VBE;.JS;.JSE;.WSF;.WSH;.MSC",
    "PROCESSOR_ARCHITECTURE": "AMD64",
    "TEMP": r"%SystemRoot%\TEMP",
    "TMP": r"%SystemRoot%\TEMP",
    "USERNAME": "SYSTEM",
    "windir": "%SystemRoot%",
}
NEW_VARIABLES = OLD_VARIABLES | {
    "DriverData": r"C:\Windows\System32\Drivers\DriverData",
    "NUMBER_OF_PROCESSORS": "4",
    "Path": r"%SystemRoot%\system32;%SystemRoot%;%SystemRoot%\System32\Wbem;%SYSTEMROOT%\System32\OpenSSH\;"
    r"%SYSTEMROOT%\System32\WindowsPowerShell\v1.0" + "\\",
    "PSModulePath": r"%ProgramFiles%\WindowsPowerShell\Modules",
}
OLD_RULES = (
    "@FirewallAPI.dll,-28502",
    "FPS-SMB-In-TCP",
    "RemoteDesktop-In-TCP",
    "CoreNet-DHCP-In",
    "Remote Desktop (TCP-In)",
)
NEW_RULES = (
    "RemoteDesktop-UserMode-In-TCP",
    "CoreNet-DHCP-In",
    "WINRM-HTTP-In-TCP",
    "Microsoft Edge (mDNS-In)",
)


def drivers(names: str) -> tuple[Service, ...]:
    return tuple(b.a_service(name, start=StartMode.BOOT, driver=True, account="") for name in names.split())


def tasks(paths: tuple[str, ...], command: str) -> tuple[ScheduledTask, ...]:
    return tuple(
        ScheduledTask(
            path=path, enabled=True, commands=(command,), run_as="S-1-5-18", triggers=("daily at 01:00",)
        )
        for path in paths
    )


def groups(*named: tuple[str, int, tuple[str, ...]]) -> tuple[Group, ...]:
    return tuple(Group(name=name, rid=rid, members=members) for name, rid, members in named)


def users(*named: tuple[str, int, bool]) -> tuple[User, ...]:
    return tuple(User(name=name, rid=rid, enabled=enabled) for name, rid, enabled in named)


def variables(values: dict[str, str]) -> tuple[EnvironmentVariable, ...]:
    return tuple(EnvironmentVariable(name=name, value=value) for name, value in values.items())


def rule(name: str, **changes: Any) -> FirewallRule:
    fields = {
        "name": name,
        "enabled": True,
        "inbound": True,
        "allow": True,
        "protocol": "tcp",
        "local_ports": "445",
    }
    return FirewallRule(**fields | changes)


def firewall(names: tuple[str, ...]) -> Firewall:
    on = (("domain", True), ("private", True), ("public", True))
    return Firewall(profiles=on, rules=tuple(rule(name) for name in names))


def listeners(*ports: int) -> tuple[Listener, ...]:
    return tuple(Listener(protocol="tcp", address="::", port=port, process="svchost.exe") for port in ports)


def products(*names: str) -> tuple[Software, ...]:
    return tuple(b.a_software(name, version="1.0.0", publisher="Microsoft Corporation") for name in names)


def old_server(hostname: str) -> ServerFacts:
    """2008 SP2 x64 Standard on VMware, patched, nothing installed."""
    return ServerFacts(
        origin=Origin.IN_GUEST,
        identity=b.an_identity(hostname=hostname),
        disks=(DiskLayout(index=0, size=60 * GIB, scheme="mbr", dynamic=False),),
        volumes=(Volume(letter="C:", label="", filesystem="NTFS", size=60 * GIB, used=21 * GIB, disk=0),),
        roles=(Role(id="NET-Framework-Core"), Role(id="PowerShell"), Role(id="RSAT")),
        services=installed(OF_2008) + drivers(OLD_DRIVERS),
        shares=tuple(Share(name=name, path="C:\\", permissions=EVERYONE_READS) for name in ("ADMIN$", "C$")),
        users=users(("Administrator", 500, True), ("Guest", 501, False)),
        groups=groups(*BUILT_IN_GROUPS),
        tasks=tasks(OLD_TASKS, r"%windir%\system32\defrag.exe -c -i"),
        software=products(
            "VMware Tools",
            "Update for Windows (KB4474419)",
            "Windows Internet Explorer 9",
            "Microsoft .NET Framework 4 Extended",
        ),
        hotfixes=tuple(Hotfix(id=f"KB{number}") for number in (4474419, 4493730, 4499184)),
        servicing=Servicing(sha2=True, servicing_stack="6.0.6003.20555", reboot_pending=False),
        network=b.a_network_config(hostname, hosts=("127.0.0.1 localhost", "::1 localhost")),
        listeners=listeners(135, 139, 445, 3389, 47001, 49152, 49155),
        firewall=firewall(OLD_RULES),
        iis=Iis(sites=(), pools=()),
        certificates=(),
        odbc=(),
        printers=(
            Printer(
                name="Microsoft XPS Document Writer", driver="Microsoft XPS Document Writer", port="XPSPort:"
            ),
        ),
        drivers=(Driver(inf="oem2.inf", provider="VMware, Inc.", version="1.1", device_class="Display"),),
        environment=variables(OLD_VARIABLES),
        time_zone="W. Europe Standard Time",
        security=Security(
            tls=(Protocol(name="TLS 1.2", side="server", enabled=True),),
            smb1_server=None,
            smb1_client=None,
            smb_signing_required=None,
            lm_compatibility=None,
        ),
        autostart=(AutoStart(where="Run", name="VMware User Process", command="vmtoolsd.exe -n vmusr"),),
        programs=(),
        build_tests=(),
    )


def new_server(hostname: str, build: int) -> ServerFacts:
    """2022 or 2025 Standard on KVM, from a golden image, with 3.5 as the old one has."""
    old = old_server(hostname)
    admins = (*BUILT_IN_GROUPS, *NEW_GROUPS)
    fields: dict[str, Any] = {
        "identity": b.a_new_identity(build=build, hostname=hostname),
        "volumes": (Volume(letter="C:", label="", filesystem="NTFS", size=127 * GIB, used=14 * GIB, disk=0),),
        "roles": tuple(
            Role(id=name)
            for name in (
                "FileAndStorage-Services",
                "NET-Framework-Core",
                "NET-Framework-45-Core",
                "Windows-Defender",
            )
        ),
        "services": installed(OF_2022) + drivers(NEW_DRIVERS),
        "users": users(
            ("Administrator", 500, True),
            ("Guest", 501, False),
            ("DefaultAccount", 503, False),
            ("WDAGUtilityAccount", 504, False),
        ),
        "groups": groups(*admins),
        "tasks": tasks(NEW_TASKS, r"%windir%\system32\defrag.exe -c -h -o"),
        "software": products("Microsoft Edge", "Microsoft Edge Update", "QEMU guest agent"),
        "hotfixes": (Hotfix(id="KB5066586"),),
        "network": b.a_network_config(hostname, hosts=()),
        "listeners": listeners(135, 139, 445, 3389, 5985, 47001, 49664, 49668),
        "firewall": firewall(NEW_RULES),
        "printers": (
            Printer(name="Microsoft Print to PDF", driver="Microsoft Print To PDF", port="PORTPROMPT:"),
        ),
        "drivers": (Driver(inf="oem1.inf", provider="Red Hat, Inc.", version="100", device_class="Net"),),
        "environment": variables(NEW_VARIABLES),
        "security": old.security.model_copy(update={"tls": ()}) if old.security else None,
        "autostart": (
            AutoStart(
                where="Run", name="SecurityHealth", command=r"%windir%\system32\SecurityHealthSystray.exe"
            ),
        ),
    }
    return old.model_copy(update=fields)
