"""Three realistic pairs: an old server with its workload, a new one built up for it, and exactly what the new
one lacks. `complete` is each pair before anything was planted.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from orchestrator.model.facts import (
    Application,
    AutoStart,
    Binding,
    Certificate,
    Driver,
    FirewallRule,
    Group,
    Iis,
    Listener,
    OdbcSource,
    Permission,
    Pool,
    Printer,
    Protocol,
    Role,
    Route,
    ScheduledTask,
    ServerFacts,
    Service,
    Share,
    Site,
    Software,
    StartMode,
    User,
    Volume,
)
from tests.unit import builders as b
from tests.unit.parity.pairs.bases import GIB, new_server, old_server, rule, variables

SHOP, INTRANET = "A1" * 20, "B2" * 20
SHOP_AGAIN = "C3" * 20


@dataclass(frozen=True)
class Pair:
    """`planted`: item and its state, all that a person has to look at; `profile` and `release` fit it."""

    profile: str
    release: int
    old: ServerFacts
    new: ServerFacts
    planted: dict[str, str]


def more(facts: ServerFacts, **added: Any) -> ServerFacts:
    """Add entries to sections that are tuples; a section of another sort is replaced."""
    fields = {
        section: (*getattr(facts, section), *entries) if isinstance(entries, tuple) else entries
        for section, entries in added.items()
    }
    return facts.model_copy(update=fields)


def with_hosts(facts: ServerFacts, *lines: str, routes: tuple[Route, ...] = ()) -> ServerFacts:
    assert facts.network is not None
    network = facts.network
    changed = {"hosts": (*(network.hosts or ()), *lines), "routes": (*(network.routes or ()), *routes)}
    return facts.model_copy(update={"network": network.model_copy(update=changed)})


def with_rules(facts: ServerFacts, *rules: FirewallRule) -> ServerFacts:
    assert facts.firewall is not None
    firewall = facts.firewall.model_copy(update={"rules": (*facts.firewall.rules, *rules)})
    return facts.model_copy(update={"firewall": firewall})


def with_protocol(facts: ServerFacts, *protocols: Protocol) -> ServerFacts:
    assert facts.security is not None
    security = facts.security.model_copy(update={"tls": (*facts.security.tls, *protocols)})
    return facts.model_copy(update={"security": security})


def roles(names: str) -> tuple[Role, ...]:
    return tuple(Role(id=name) for name in names.split())


def service(name: str, image: str, account: str = "LocalSystem", **changes: Any) -> Service:
    return b.a_service(name, image_path=image, account=account, **changes)


def task(path: str, command: str, run_as: str, *triggers: str) -> ScheduledTask:
    return ScheduledTask(path=path, enabled=True, commands=(command,), run_as=run_as, triggers=triggers)


def software(name: str, version: str, publisher: str, view: int = 64) -> Software:
    return Software(key=name, name=name, version=version, publisher=publisher, view=view)


def share(name: str, path: str, *rights: tuple[str, str]) -> Share:
    allowed = tuple(Permission(account=account, right=right) for account, right in rights)
    return Share(name=name, path=path, permissions=allowed)


def listening(port: int, process: str) -> Listener:
    return Listener(protocol="tcp", address="0.0.0.0", port=port, process=process)  # noqa: S104


# File server ----------------------------------------------------------------------------------------------


def _files(host: str, drive: str, groups_of: tuple[str, ...]) -> dict[str, Any]:
    return {
        "volumes": (Volume(letter="D:", label="Data", filesystem="NTFS", size=900 * GIB, used=610 * GIB),),
        "shares": (
            share(
                "Projects",
                rf"{drive}\Projects",
                (rf"{host}\ProjectStaff", "change"),
                ("Administrators", "full"),
            ),
            share("Scans", rf"{drive}\Scans", ("Everyone", "change")),
            share("Homes$", rf"{drive}\Homes", ("Authenticated Users", "full")),
        ),
        "users": (
            User(name="scanner", rid=1001, enabled=True),
            User(name="formerclerk", rid=1002, enabled=False),
        ),
        "groups": (Group(name="ProjectStaff", rid=1010, members=groups_of),),
        "tasks": (
            task(
                r"\Branch\MirrorProjects",
                r"robocopy D:\Projects \\NAS7\mirror /MIR",
                rf"{host}\scanner",
                "daily at 22:00",
            ),
        ),
        "software": (software("Meridian Backup Agent", "7.1.2", "Meridian"),),
        "printers": (
            Printer(name="Front desk", driver="HP Universal PCL6", port="198.51.100.60", shared_as="FRONT"),
        ),
    }


def complete_file_server() -> Pair:
    """A file server in a branch, German, with scanners that store by SMB; replaced by 2025."""
    staff = ("scanner", r"CONTOSO\projects")
    old = more(
        old_server("FILE01"),
        **_files("FILE01", "D:", staff),
        roles=roles("File-Services FS-Resource-Manager"),
    )
    old = more(
        old,
        services=(
            service("SrmSvc", r"%SystemRoot%\system32\svchost.exe -k srmsvcs"),
            service("MeridianAgent", r"C:\Program Files\Meridian\agent.exe"),
        ),
    )
    old = with_hosts(
        old, "198.51.100.7 nas7", routes=(Route(destination="192.0.2.0/24", gateway="198.51.100.254"),)
    )
    old = with_rules(
        old, rule("Meridian Agent", local_ports="8443", program=r"%ProgramFiles%\Meridian\agent.exe")
    )
    old = _in_german(old)
    new = more(
        new_server("FILE01N", 26100),
        **_files("FILE01N", "D:", staff),
        roles=roles("FS-Resource-Manager FS-FileServer"),
    )
    new = more(
        new,
        services=(
            service("SrmSvc", r"%SystemRoot%\system32\svchost.exe -k srmsvcs"),
            service("MeridianAgent", r"C:\Program Files\Meridian\agent.exe"),
        ),
    )
    new = with_hosts(
        new, "198.51.100.7 nas7", routes=(Route(destination="192.0.2.0/24", gateway="198.51.100.254"),)
    )
    new = with_rules(
        new, rule("Meridian Agent", local_ports="8443", program=r"C:\Program Files\Meridian\agent.exe")
    )
    return Pair("file-server", 2025, old, new, {})


def _in_german(facts: ServerFacts) -> ServerFacts:
    """The same server, installed in German."""
    names = {
        "Administrators": "Administratoren",
        "Users": "Benutzer",
        "Guests": "Gäste",
        "Backup Operators": "Sicherungs-Operatoren",
    }
    built_in = {"Guest": "Gast"}
    groups = tuple(
        g.model_copy(
            update={
                "name": names.get(g.name, g.name),
                "members": tuple(built_in.get(m, m) for m in g.members),
            }
        )
        for g in facts.groups or ()
    )
    users = tuple(u.model_copy(update={"name": built_in.get(u.name, u.name)}) for u in facts.users or ())
    shares = tuple(
        s.model_copy(
            update={
                "permissions": tuple(
                    p.model_copy(update={"account": _german(p.account)}) for p in s.permissions or ()
                )
            }
        )
        for s in facts.shares or ()
    )
    return facts.model_copy(update={"groups": groups, "users": users, "shares": shares})


def _german(account: str) -> str:
    known = {"Everyone": "Jeder", "Administrators": r"VORDEFINIERT\Administratoren"}
    return known.get(account, account)


def file_server() -> Pair:
    """What was forgotten: a share, a member, a right, room on D:, the mirror's time and a line of hosts."""
    pair = complete_file_server()
    new = pair.new
    shares = tuple(
        s.model_copy(update={"permissions": (Permission(account="Everyone", right="read"),)})
        if s.name == "Scans"
        else s
        for s in new.shares or ()
        if s.name != "Homes$"
    )
    groups = tuple(
        g.model_copy(update={"members": ("scanner",)}) if g.rid == 1010 else g for g in new.groups or ()
    )
    volumes = tuple(
        v.model_copy(update={"size": 500 * GIB, "used": 4 * GIB}) if v.letter == "D:" else v
        for v in new.volumes or ()
    )
    tasks = tuple(
        t.model_copy(update={"triggers": ("daily at 02:00",)}) if "Mirror" in t.path else t
        for t in new.tasks or ()
    )
    assert new.network is not None
    network = new.network.model_copy(update={"hosts": ()})
    changed = {"shares": shares, "groups": groups, "volumes": volumes, "tasks": tasks, "network": network}
    planted = {
        "share:Homes$": "missing",
        "share:Scans": "changed",
        "group:ProjectStaff": "changed",
        "volume:D:": "changed",
        r"task:\Branch\MirrorProjects": "changed",
        "hosts:nas7": "missing",
    }
    return Pair(pair.profile, pair.release, pair.old, new.model_copy(update=changed), planted)


# Web server -----------------------------------------------------------------------------------------------


def _iis(pool_identity: str, thumbprint: str, folder: str, default: Pool) -> Iis:
    shop = Site(
        name="Shop",
        id=2,
        autostart=True,
        bindings=(
            Binding(protocol="http", information="*:80:shop.example"),
            Binding(protocol="https", information="*:443:shop.example", certificate=thumbprint),
        ),
        applications=(
            Application(path="/", pool="Shop", folder=folder),
            Application(path="/api", pool="ShopApi", folder=rf"{folder}\api"),
        ),
    )
    pools = (
        Pool(name="Shop", runtime="v4.0", pipeline="Integrated", identity=pool_identity, enable_32_bit=False),
        Pool(
            name="ShopApi", runtime="v4.0", pipeline="Classic", identity="NetworkService", enable_32_bit=True
        ),
        default,
    )
    return Iis(sites=(shop,), pools=pools)


def _certificate(thumbprint: str, name: str, until: date) -> Certificate:
    subject, issuer = f"CN={name}, O=Contoso", "CN=Contoso Issuing CA 2"
    return Certificate(
        thumbprint=thumbprint,
        subject=subject,
        issuer=issuer,
        not_after=until,
        names=(name,),
        private_key=True,
    )


OLD_WEB_ROLES = """
IIS-WebServerRole IIS-WebServer IIS-CommonHttpFeatures IIS-StaticContent IIS-DefaultDocument
IIS-HttpErrors IIS-ASPNET IIS-NetFxExtensibility IIS-ASP IIS-ISAPIExtensions IIS-ISAPIFilter
IIS-HttpLogging IIS-RequestFiltering IIS-WindowsAuthentication IIS-HttpCompressionStatic
IIS-ManagementConsole WAS-WindowsActivationService WAS-ProcessModel
"""
NEW_WEB_ROLES = """
Web-Server Web-WebServer Web-Common-Http Web-Static-Content Web-Default-Doc Web-Http-Errors Web-Asp-Net45
Web-Net-Ext45 Web-ASP Web-ISAPI-Ext Web-ISAPI-Filter Web-Http-Logging Web-Filtering Web-Windows-Auth
Web-Stat-Compression Web-Mgmt-Console WAS WAS-Process-Model
"""


def _web_services() -> tuple[Service, ...]:
    image = r"%windir%\system32\svchost.exe -k iissvcs"
    was = service("WAS", image, start=StartMode.MANUAL)
    return (service("W3SVC", image), service("AppHostSvc", r"%windir%\system32\svchost.exe -k apphost"), was)


def complete_web_server() -> Pair:
    """A shop on IIS 7.0 with its database client; replaced by 2022. Its certificate was reissued."""
    pool = r"CONTOSO\svc-shop"
    unused = Pool(
        name="DefaultAppPool",
        runtime="v2.0",
        pipeline="Integrated",
        identity="NetworkService",
        enable_32_bit=False,
    )
    classic = Pool(
        name="Classic .NET AppPool",
        runtime="v2.0",
        pipeline="Classic",
        identity="NetworkService",
        enable_32_bit=False,
    )
    old = more(
        old_server("WEB03"),
        roles=roles(OLD_WEB_ROLES),
        services=_web_services(),
        iis=_iis(pool, SHOP, r"%SystemDrive%\inetpub\shop", unused).model_copy(update={}),
        certificates=(
            _certificate(SHOP, "shop.example", date(2027, 2, 1)),
            _certificate("D4" * 20, "gone.example", date(2019, 1, 1)),
        ),
        software=(
            software("Contoso Payment Library", "3.2", "Contoso", 32),
            software("URL Rewrite Module 2", "7.2.2", "Microsoft"),
        ),
        odbc=(OdbcSource(name="Orders", driver="SQL Server", server="DB3", database="orders", view=64),),
        environment=variables({"SHOP_HOME": r"C:\inetpub\shop"}),
        listeners=(listening(80, "System"), listening(443, "System")),
    )
    old = old.model_copy(
        update={"iis": Iis(sites=old.iis.sites, pools=(*old.iis.pools, classic)) if old.iis else None}
    )
    old = with_hosts(old, "198.51.100.33 db3")
    fresh = unused.model_copy(update={"runtime": "v4.0", "identity": "ApplicationPoolIdentity"})
    new = more(
        new_server("WEB03N", 20348),
        roles=roles(NEW_WEB_ROLES),
        services=(*_web_services(), service("W3LOGSVC", r"%windir%\system32\svchost.exe -k apphost")),
        iis=_iis(pool, SHOP_AGAIN, r"C:\inetpub\shop", fresh),
        certificates=(_certificate(SHOP_AGAIN, "shop.example", date(2028, 2, 1)),),
        software=(
            software("Contoso Payment Library", "3.4", "Contoso", 32),
            software("URL Rewrite Module 2", "7.2.1993", "Microsoft"),
        ),
        odbc=(OdbcSource(name="Orders", driver="SQL Server", server="DB3", database="orders", view=64),),
        environment=variables({"SHOP_HOME": r"C:\inetpub\shop"}),
        listeners=(listening(80, "System"), listening(443, "System")),
    )
    return Pair("web-server", 2022, old, with_hosts(new, "198.51.100.33 db3"), {})


def web_server() -> Pair:
    """What was forgotten: https, the API's application and its pool's mode, ASP, the data source."""
    pair = complete_web_server()
    new = pair.new
    assert new.iis is not None
    (shop,) = new.iis.sites
    site = shop.model_copy(update={"bindings": shop.bindings[:1], "applications": shop.applications[:1]})
    pools = tuple(
        p.model_copy(update={"pipeline": "Integrated"}) if p.name == "ShopApi" else p for p in new.iis.pools
    )
    changed = {
        "iis": Iis(sites=(site,), pools=pools),
        "roles": tuple(r for r in new.roles or () if r.id != "Web-ASP"),
        "odbc": (),
    }
    planted = {
        "binding:Shop https *:443:shop.example": "missing",
        "application:Shop/api": "missing",
        "pool:ShopApi": "changed",
        "role:IIS-ASP": "missing",
        "odbc:Orders (64-bit)": "missing",
    }
    return Pair(pair.profile, pair.release, pair.old, new.model_copy(update=changed), planted)


# Application server ---------------------------------------------------------------------------------------


def _application(folder: str, account: str, *, version: str) -> dict[str, Any]:
    run = "Run32" if "x86" in folder else "Run"
    return {
        "services": (
            service("OrderBridge", rf'"{folder}\OrderBridge\bridge.exe" -service', account),
            service("hasplms", rf"{folder}\Aladdin\hasplms.exe"),
            service("hardlock", r"System32\drivers\hardlock.sys", "", driver=True, start=StartMode.SYSTEM),
        ),
        "software": (
            software("OrderBridge", version, "Meridian", 32),
            software("Sentinel Runtime", "6.6", "SafeNet", 32),
        ),
        "tasks": (
            task(r"\Orders\Recycle", rf'"{folder}\OrderBridge\recycle.cmd"', "S-1-5-18", "daily at 03:30"),
        ),
        "users": (User(name="orders", rid=1005, enabled=True),),
        "groups": (Group(name="Order Clerks", rid=1011, members=("orders",)),),
        "odbc": (OdbcSource(name="Orders", driver="SQL Server", server="DB3", database="orders", view=32),),
        "environment": variables({"ORDERS_HOME": rf"{folder}\OrderBridge"}),
        "autostart": (
            AutoStart(where=run, name="OrderMonitor", command=rf"{folder}\OrderBridge\monitor.exe"),
        ),
        "certificates": (_certificate(INTRANET, "orders.example", date(2027, 6, 1)),),
        "drivers": (Driver(inf="oem7.inf", provider="SafeNet", version="6.6", device_class="USB"),),
        "shares": (share("Orders", r"D:\Orders", ("Everyone", "change")),),
        "volumes": (Volume(letter="D:", label="Data", filesystem="NTFS", size=100 * GIB, used=20 * GIB),),
        "roles": roles("MSMQ-Server Telnet-Client"),
        "printers": (Printer(name="Labels", driver="Zebra ZM400", port="198.51.100.61"),),
        "listeners": (
            listening(9100, "bridge.exe"),
            Listener(protocol="tcp", address="127.0.0.1", port=1947),
        ),
    }


def complete_application_server() -> Pair:
    """A 32-bit server with a line-of-business program and its dongle; replaced by 2022."""
    route = Route(destination="203.0.113.0/24", gateway="198.51.100.254")
    old = more(old_server("APP07"), **_application(r"C:\Program Files", r"APP07\orders", version="4.1"))
    old = with_rules(
        old, rule("OrderBridge", local_ports="9100", program=r"C:\Program Files\OrderBridge\bridge.exe")
    )
    old = with_protocol(
        with_hosts(old, "198.51.100.33 db3", routes=(route,)),
        Protocol(name="TLS 1.0", side="client", enabled=True),
    )
    old = old.model_copy(update={"identity": b.an_identity(arch="x86", hostname="APP07", build=6002)})
    new = more(
        new_server("APP07N", 20348), **_application(r"C:\Program Files (x86)", r".\orders", version="4.2")
    )
    new = with_rules(
        new, rule("OrderBridge", local_ports="9100", program=r"C:\Program Files (x86)\OrderBridge\bridge.exe")
    )
    new = with_protocol(
        with_hosts(new, "198.51.100.33 db3", routes=(route,)),
        Protocol(name="TLS 1.0", side="client", enabled=True),
    )
    return Pair("app-server", 2022, old, new, {})


def application_server() -> Pair:
    """What was forgotten: the account, the dongle's driver, the data source's view, a command, the zone."""
    pair = complete_application_server()
    new = pair.new
    services = tuple(
        s.model_copy(update={"account": "LocalSystem"}) if s.name == "OrderBridge" else s
        for s in new.services or ()
        if s.name != "hardlock"
    )
    tasks = tuple(
        t.model_copy(update={"commands": ("cmd /c rem",)}) if "Recycle" in t.path else t
        for t in new.tasks or ()
    )
    changed = {
        "services": services,
        "tasks": tasks,
        "odbc": tuple(o.model_copy(update={"view": 64}) for o in new.odbc or ()),
        "time_zone": "UTC",
    }
    planted = {
        "service:OrderBridge": "changed",
        "driver:hardlock": "missing",
        "odbc:Orders (32-bit)": "missing",
        r"task:\Orders\Recycle": "changed",
        "system:time-zone": "changed",
    }
    return Pair(pair.profile, pair.release, pair.old, new.model_copy(update=changed), planted)
