"""Services as set-up leaves them: 2008 SP2 and 2022/2025, each with start mode and account. General knowledge
of these releases, written apart from the rules, so that a gap in the rules shows.
"""

from __future__ import annotations

from orchestrator.model.facts import Service, StartMode

_LOCAL = "NT AUTHORITY\\LocalService"
_NETWORK = "NT AUTHORITY\\NetworkService"

OF_2008 = """
auto system: AeLookupSvc BITS CertPropSvc CryptSvc:network DcomLaunch Dhcp:local Dnscache:network
DPS:local EventLog:local EventSystem:local gpsvc IKEEXT iphlpsvc KtmRm:network LanmanServer
LanmanWorkstation:local lmhosts:local BFE:local MpsSvc:local MSDTC:network netprofm:local NlaSvc:network
nsi:local PlugPlay PolicyAgent:network ProfSvc RemoteRegistry:local RpcSs:network SamSs Schedule seclogon
SENS ShellHWDetection slsvc:network Spooler TermService:network TrkWks TrustedInstaller UmRdpService
UxSms W32Time:local WdiSystemHost WerSvc Winmgmt WinRM:network wuauserv clr_optimization_v2.0.50727_32
clr_optimization_v2.0.50727_64
manual system: ALG:local Appinfo AppMgmt AudioEndpointBuilder AudioSrv:local COMSysApp dot3svc EapHost
fdPHost:local FDResPub:local FontCache3.0.0.0:local hidserv hkmsvc idsvc IPBusEnum KeyIso lltdsvc:local
MMCSS MSiSCSI msiserver napagent:network Netlogon Netman pla:local ProtectedStorage RasAuto RasMan
RpcLocator:network RSoPProv sacsvr SCardSvr:local SCPolicySvc SessionEnv SLUINotify:local SNMPTRAP:local
SstpSvc:local swprv TapiSrv:network TBS:local THREADORDER:local UI0Detect vds VSS WcsPlugInService:local
WdiServiceHost:local Wecsvc:network wercplsupport WinHttpAutoProxySvc:local wmiApSrv WPDBusEnum wudfsvc
PerfHost:local
disabled system: Browser CscService NetTcpPortSharing:local RemoteAccess SharedAccess SSDPSRV:local
SysMain Themes upnphost:local
"""

OF_2022 = """
auto system: BFE:local BrokerInfrastructure CDPSvc:local CoreMessagingRegistrar:local CryptSvc:network
DcomLaunch Dhcp:local DiagTrack Dnscache:network DPS:local EventLog:local EventSystem:local
FontCache:local gpsvc IKEEXT iphlpsvc LanmanServer LanmanWorkstation:network LSM mpssvc:local
MSDTC:network NlaSvc:network nsi:local Power ProfSvc RpcEptMapper:network RpcSs:network SamSs Schedule
SENS ShellHWDetection Spooler sppsvc:network StateRepository SysMain SystemEventsBroker Themes TrkWks
UALSVC UserManager UsoSvc Wcmsvc:local WinDefend Winmgmt WinRM:network WpnService tiledatamodelsvc
MapsBroker:network
manual system: AJRouter:local ALG:local AppIDSvc:local Appinfo AppMgmt AppReadiness AppXSvc
AudioEndpointBuilder Audiosrv:local AxInstSV bthserv:local camsvc CertPropSvc ClipSVC COMSysApp defragsvc
DeviceAssociationService DeviceInstall DevQueryBroker diagnosticshub.standardcollector.service
DmEnrollmentSvc dmwappushservice dot3svc DsmSvc DsSvc EapHost EFS embeddedmode EntAppSvc fdPHost:local
FDResPub:local FrameServer GraphicsPerfSvc hidserv HvHost icssvc:local InstallService KeyIso
KPSSVC:network KtmRm:network lfsvc LicenseManager:local lltdsvc:local lmhosts:local MSiSCSI msiserver
NcaSvc NcbService Netlogon Netman netprofm:local NetSetupSvc NgcCtnrSvc:local NgcSvc PcaSvc
PerfHost:local PhoneSvc:local pla:local PlugPlay PolicyAgent:network PrintNotify PushToInstall
QWAVE:local RasAuto RasMan RmSvc:local RpcLocator:network RSoPProv sacsvr SCardSvr:local ScDeviceEnum
SCPolicySvc SDRSVC seclogon SecurityHealthService SEMgrSvc:local Sense SensorDataService SensorService
SensrSvc:local SessionEnv smphost:network SNMPTRAP:local SstpSvc:local stisvc:local StorSvc svsvc swprv
TabletInputService TapiSrv:network TermService:network TimeBrokerSvc:local TokenBroker TrustedInstaller
tzautoupdate:local UmRdpService vaultsvc vds vmicguestinterface vmicheartbeat vmickvpexchange vmicrdv
vmicshutdown vmictimesync:local vmicvmsession vmicvss VSS W32Time:local WaaSMedicSvc WalletService
WarpJITSvc:local WbioSrvc WdiServiceHost:local WdiSystemHost WdNisSvc:local Wecsvc:network
WEPHOSTSVC:local wercplsupport WerSvc WiaRpc WinHttpAutoProxySvc:local wisvc wlidsvc wmiApSrv WPDBusEnum
WpnUserService wuauserv BITS RemoteRegistry:local
disabled system: AppVClient CscService NetTcpPortSharing:local RemoteAccess SharedAccess shpamsvc
ssh-agent SSDPSRV:local UevAgentService upnphost:local
"""


def installed(text: str) -> tuple[Service, ...]:
    """Read one of the lists above."""
    found = []
    start = StartMode.AUTO
    for word in text.split():
        if word in ("auto", "manual", "disabled"):
            start = StartMode(word)
        elif word != "system:":
            name, _, account = word.partition(":")
            found.append(
                _service(name, start, {"local": _LOCAL, "network": _NETWORK}.get(account, "LocalSystem"))
            )
    return tuple(found)


def _service(name: str, start: StartMode, account: str) -> Service:
    image = r"%SystemRoot%\system32\svchost.exe -k netsvcs"
    return Service(name=name, display_name=name, start=start, account=account, image_path=image, driver=False)
