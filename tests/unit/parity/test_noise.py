"""A person gets to see what needs doing, not how two releases of Windows differ."""

from __future__ import annotations

import pytest

from orchestrator.model.facts import Service, Software, StartMode
from orchestrator.model.plan import ParitySpec
from orchestrator.parity.compare import compare
from orchestrator.parity.pack import shipped_pack
from orchestrator.parity.result import State, Verdict
from tests.unit import builders as b

# Services of Windows 6.0 that 10.0 still has, in its own start modes.
KEPT_AUTO = """
BFE CryptSvc DcomLaunch Dhcp Dnscache DPS EventLog EventSystem gpsvc iphlpsvc IKEEXT LanmanServer
LanmanWorkstation MpsSvc MSDTC NlaSvc nsi ProfSvc RemoteRegistry RpcSs SamSs Schedule SENS
ShellHWDetection Spooler TrkWks WerSvc Winmgmt WinRM sppsvc SysMain Themes
"""
KEPT_MANUAL = """
ALG Appinfo AppMgmt AudioEndpointBuilder Audiosrv BITS CertPropSvc COMSysApp dot3svc EapHost fdPHost
FDResPub FontCache hidserv KeyIso KtmRm lmhosts MSiSCSI msiserver Netlogon Netman netprofm PerfHost pla
PlugPlay PolicyAgent RasAuto RasMan RpcLocator RSoPProv sacsvr SCPolicySvc seclogon SessionEnv SNMPTRAP
SstpSvc swprv TapiSrv TermService TrustedInstaller UmRdpService vds VSS W32Time WdiServiceHost
WdiSystemHost Wecsvc wercplsupport WinHttpAutoProxySvc wmiApSrv WPDBusEnum wuauserv
"""
KEPT_DISABLED = "CscService lltdsvc NetTcpPortSharing RemoteAccess SCardSvr SharedAccess SSDPSRV upnphost"
NEW = """
AppReadiness BrokerInfrastructure CoreMessagingRegistrar DiagTrack LSM StateRepository UsoSvc
cbdhsvc_4f3c1
"""
OLD_DRIVERS = """
ACPI AFD atapi Beep Disk E1G60 HTTP i8042prt msahci NetBT Ntfs partmgr srv2 Tcpip usbehci volsnap LSI_SAS
"""
NEW_DRIVERS = "ACPI AFD storahci UEFI vmgid WdFilter netkvm viostor"
OLD_SOFTWARE = (
    "Microsoft .NET Framework 4 Client Profile",
    "Microsoft .NET Framework 4 Extended",
    "Security Update for Microsoft .NET Framework 4 (KB2468871)",
    "Update for Windows (KB4474419)",
    "Hotfix for Windows (KB968930)",
    "Windows Internet Explorer 9",
    "VMware Tools",
    "QEMU guest agent",
    "Microsoft Visual C++ 2008 Redistributable - x86 9.0.30729.17",
)


def services(names: str, start: StartMode, *, driver: bool = False) -> tuple[Service, ...]:
    return tuple(b.a_service(name, start=start, driver=driver) for name in names.split())


def untouched() -> tuple[Service, ...]:
    """Every service that Windows 6.0 brings, as it brings it; the more active of two usual start modes."""
    rank = {"auto": 0, "manual": 1, "disabled": 2}
    chosen: dict[str, str] = {}
    for key, start in sorted(shipped_pack().starts, key=lambda pair: rank[pair[1]], reverse=True):
        chosen[key] = start
    names = ((key.partition(":")[2], StartMode(start)) for key, start in chosen.items())
    return tuple(b.a_service(name, start=start) for name, start in names)


def software(name: str) -> Software:
    return b.a_software(name, version="1.0", publisher="Microsoft Corporation")


@pytest.mark.parametrize("profile", ["file-server", "web-server", "app-server", "print-server", "generic"])
def test_an_untouched_2008_against_a_golden_2025_leaves_nothing_to_do(profile: str) -> None:
    old = b.server_facts(
        identity=b.an_identity(arch="x86"),
        services=untouched() + services(OLD_DRIVERS, StartMode.BOOT, driver=True),
        software=tuple(software(name) for name in OLD_SOFTWARE),
        shares=(b.a_share("C$"), b.a_share("ADMIN$")),
        tasks=(b.a_task(r"\Microsoft\Windows\Defrag\ScheduledDefrag"),),
        network=b.a_network_config(domain="", hosts=("127.0.0.1 localhost", "::1 localhost")),
    )
    new = b.new_facts(
        services=services(KEPT_AUTO, StartMode.AUTO)
        + services(KEPT_MANUAL, StartMode.MANUAL)
        + services(KEPT_DISABLED, StartMode.DISABLED)
        + services(NEW, StartMode.AUTO)
        + services(NEW_DRIVERS, StartMode.BOOT, driver=True),
        software=(software("Microsoft Edge"),),
        shares=(b.a_share("C$"),),
        tasks=(b.a_task(r"\Microsoft\Windows\Defrag\ScheduledDefrag", commands=("defrag.exe -c -h -o",)),),
        network=b.a_network_config("NEW", domain="", interfaces=(), hosts=()),
    )
    result = compare(old, new, ParitySpec(profile=profile), release=2025, today=b.TODAY)
    assert [(i.item, i.state.value) for i in result.open_items] == []
    assert [i.item for i in result.items if i.state is State.EXTRA] == []
    assert result.verdict is Verdict.PASS


@pytest.mark.parametrize(
    "planted",
    [
        "service:W3SVC",
        "service:ContosoBackup",
        "driver:hardlock",
        "share:Projects",
        "software:contoso erp",
        r"task:\Nightly",
    ],
)
def test_what_somebody_added_is_found_among_all_that(planted: str) -> None:
    kind, _, name = planted.partition(":")
    added = {
        "service": {"services": (*untouched(), b.a_service(name))},
        "driver": {"services": (*untouched(), b.a_service(name, driver=True))},
        "share": {"shares": (b.a_share(name),)},
        "software": {"software": (b.a_software(name),)},
        "task": {"tasks": (b.a_task(name),)},
    }[kind]
    empty = {"services": untouched(), "shares": (), "software": (), "tasks": ()}
    old, new = b.server_facts(**empty | added), b.new_facts(**empty)
    result = compare(old, new, ParitySpec(profile="app-server"), release=2025, today=b.TODAY)
    assert [i.item for i in result.open_items] == [planted]
