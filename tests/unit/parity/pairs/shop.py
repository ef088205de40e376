"""A web server with IIS and its replacement, complete and with what was forgotten."""

from __future__ import annotations

from datetime import date

from orchestrator.model.facts import (
    Application,
    Binding,
    Iis,
    OdbcSource,
    Pool,
    Service,
    Site,
    StartMode,
)
from tests.unit.parity.pairs.bases import new_server, old_server, variables
from tests.unit.parity.pairs.kit import (
    SHOP,
    SHOP_AGAIN,
    Pair,
    certificate,
    listening,
    more,
    roles,
    service,
    software,
    with_hosts,
)


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
            certificate(SHOP, "shop.example", date(2027, 2, 1)),
            certificate("D4" * 20, "gone.example", date(2019, 1, 1)),
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
        certificates=(certificate(SHOP_AGAIN, "shop.example", date(2028, 2, 1)),),
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
