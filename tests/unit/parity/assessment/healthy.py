"""Facts of a 2008 SP2 x64 server of which every section is known and nothing is to be found but its age."""

from __future__ import annotations

from datetime import date
from typing import Any

from orchestrator.model.facts import (
    Certificate,
    DiskLayout,
    Firewall,
    Iis,
    Membership,
    Origin,
    Program,
    ProgramKind,
    Protocol,
    Security,
    ServerFacts,
    Servicing,
    Volume,
)
from tests.unit import builders as b

THUMBPRINT = "AB" * 20


def servicing(**changes: Any) -> Servicing:
    """Up to date, nothing pending."""
    return Servicing(**{"sha2": True, "servicing_stack": "6.0.6003.20555", "reboot_pending": False} | changes)


def security(**changes: Any) -> Security:
    """TLS 1.2 on, SMB 1 off, NTLMv2 only."""
    fields: dict[str, Any] = {
        "tls": tuple(Protocol(name="TLS 1.2", side=side, enabled=True) for side in ("client", "server")),
        "smb1_server": False,
        "smb1_client": False,
        "smb_signing_required": True,
        "lm_compatibility": 5,
    }
    return Security(**fields | changes)


def certificate(**changes: Any) -> Certificate:
    """Good for years."""
    fields = {
        "thumbprint": THUMBPRINT,
        "subject": "CN=www.contoso.example",
        "issuer": "CN=Contoso CA",
        "not_after": date(2030, 1, 1),
    }
    return Certificate(**fields | changes)


def facts(**changes: Any) -> ServerFacts:
    """Return the healthy server; keyword arguments replace whole sections."""
    fields: dict[str, Any] = {
        "origin": Origin.OFFLINE,
        "identity": b.an_identity(membership=Membership(domain=True, name="contoso.example")),
        "disks": (DiskLayout(index=0, size=40 * b.GIB, scheme="mbr", dynamic=False),),
        "volumes": (
            Volume(letter="C:", label="System", filesystem="NTFS", size=40 * b.GIB, used=11 * b.GIB, disk=0),
        ),
        "roles": (),
        "services": (b.a_service(),),
        "shares": (b.a_share("C$", path="C:\\"),),
        "users": (),
        "groups": (),
        "tasks": (),
        "software": (b.a_software(),),
        "hotfixes": (),
        "servicing": servicing(),
        "network": b.a_network_config(hosts=()),
        "listeners": (),
        "firewall": Firewall(profiles=(), rules=()),
        "iis": Iis(sites=(), pools=()),
        "certificates": (certificate(),),
        "odbc": (),
        "printers": (),
        "drivers": (),
        "environment": (),
        "time_zone": "W. Europe Standard Time",
        "security": security(),
        "autostart": (),
        "programs": (Program(path=r"D:\app\app.exe", kind=ProgramKind.X64),),
        "build_tests": (),
        "sources": (("services", r"SYSTEM\ControlSet001\Services"),),
    }
    return ServerFacts(**fields | changes)
