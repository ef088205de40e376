"""Installed roles and features, by the names that Get-WindowsFeature and ServerManagerCmd use.

From 6.1 on, the server manager keeps a list (ServerComponentCache) [assumed for 6.1, known from 6.2 on]. On
6.0 no registry list is documented: what has left a service or another mark behind is named, and nothing is
said of the rest, so that absence there is never a fact.
"""

from collections.abc import Iterable, Iterator

from orchestrator.guest.clean import LINE, NAME, clean
from orchestrator.guest.registry import RegistryKey, number, text
from orchestrator.model.facts import Role

_CACHE = r"Microsoft\ServerManager\ServicingStorage\ServerComponentCache"
_IIS = r"Microsoft\InetStp\Components"
_NET35 = r"Microsoft\NET Framework Setup\NDP\v3.5"
_POWERSHELL = r"Microsoft\PowerShell\1"
_INSTALLED = 1
_MAX_ROLES = 2000
_BY_SERVICE = {
    "certsvc": "ADCS-Cert-Authority",
    "clussvc": "Failover-Clustering",
    "dhcpserver": "DHCP",
    "dns": "DNS",
    "fax": "Fax",
    "ftpsvc": "Web-Ftp-Service",
    "ias": "NPAS-Policy-Server",
    "isnssvc": "ISNS",
    "lpdsvc": "Print-LPD-Service",
    "msftpsvc": "Web-Ftp-Publishing",
    "msmq": "MSMQ-Server",
    "nfsservice": "FS-NFS-Services",
    "ntds": "AD-Domain-Services",
    "smtpsvc": "SMTP-Server",
    "snmp": "SNMP-Service",
    "srmsvc": "FS-Resource-Manager",
    "tlntsvr": "Telnet-Server",
    "tssdis": "TS-Session-Broker",
    "termservlicensing": "TS-Licensing",
    "tsgateway": "TS-Gateway",
    "vmms": "Hyper-V",
    "w3svc": "Web-Server",
    "wdsserver": "WDS",
    "wins": "WINS",
    "wmserver": "Windows-Media-Services",
    "wsrm": "WSRM",
    "wsusservice": "OOB-WSUS",
}
_IIS_PARTS = {
    "asp": "Web-ASP",
    "aspnet": "Web-Asp-Net",
    "basicauthentication": "Web-Basic-Auth",
    "cgi": "Web-CGI",
    "digestauthentication": "Web-Digest-Auth",
    "ftpserver": "Web-Ftp-Publishing",
    "httpredirect": "Web-Http-Redirect",
    "isapiextensions": "Web-ISAPI-Ext",
    "isapifilter": "Web-ISAPI-Filter",
    "legacyscripts": "Web-Lgcy-Scripting",
    "legacysnapin": "Web-Lgcy-Mgmt-Console",
    "managementservice": "Web-Mgmt-Service",
    "metabase": "Web-Metabase",
    "serversideincludes": "Web-Includes",
    "windowsauthentication": "Web-Windows-Auth",
    "wmicompatibility": "Web-WMI",
}


def listed_roles(software: RegistryKey) -> tuple[Role, ...] | None:
    """Return the server manager's own list; None where it keeps none."""
    cache = software.subkey(_CACHE)
    if cache is None:
        return None
    found = (_listed(key) for _, key in zip(range(_MAX_ROLES), cache.subkeys(), strict=False))
    return _ordered(one for one in found if one)


def _listed(key: RegistryKey) -> Role | None:
    if number(key, "InstallState") != _INSTALLED:
        return None
    name = clean(text(key, "DisplayName") or "", LINE)
    return Role(id=clean(key.name, NAME), name="" if name.startswith("@") else name)


def evident_roles(software: RegistryKey | None, control: RegistryKey | None) -> tuple[Role, ...]:
    """Return the roles that have left a mark: a service, a component of IIS, .NET 3.5, PowerShell.

    What is not named here may still be installed.
    """
    names = {*_by_service(control), *_by_mark(software)}
    return _ordered(Role(id=name) for name in names)


def _by_service(control: RegistryKey | None) -> Iterator[str]:
    services = control.subkey("Services") if control else None
    for key in services.subkeys() if services else ():
        role = _BY_SERVICE.get(key.name.casefold())
        if role and number(key, "Type") is not None:
            yield role


def _by_mark(software: RegistryKey | None) -> Iterator[str]:
    if software is None:
        return
    parts = software.subkey(_IIS)
    for name in parts.value_names() if parts else ():
        if name.casefold() in _IIS_PARTS and number(parts, name) == _INSTALLED:
            yield _IIS_PARTS[name.casefold()]
    if number(software.subkey(_NET35), "Install") == _INSTALLED:
        yield "NET-Framework-Core"
    if number(software.subkey(_POWERSHELL), "Install") == _INSTALLED:
        yield "PowerShell"


def _ordered(roles: Iterable[Role]) -> tuple[Role, ...]:
    return tuple(sorted(roles, key=lambda role: (role.id.casefold(), role.id)))
