"""An application server and its replacement, complete and with what was forgotten."""

from __future__ import annotations

from datetime import date
from typing import Any

from orchestrator.model.facts import (
    AutoStart,
    Driver,
    Group,
    Listener,
    OdbcSource,
    Printer,
    Protocol,
    Route,
    StartMode,
    User,
    Volume,
)
from tests.unit import builders as b
from tests.unit.parity.pairs.bases import GIB, new_server, old_server, rule, variables
from tests.unit.parity.pairs.kit import (
    INTRANET,
    Pair,
    certificate,
    listening,
    more,
    roles,
    service,
    share,
    software,
    task,
    with_hosts,
    with_protocol,
    with_rules,
)


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
        "certificates": (certificate(INTRANET, "orders.example", date(2027, 6, 1)),),
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
