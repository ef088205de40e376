"""ServerFacts: what one Windows server is and does, whichever way it was collected."""

from enum import StrEnum
from typing import Any, Self

from pydantic import Field, model_validator

from orchestrator.model.base import Value
from orchestrator.model.facts.identity import Identity
from orchestrator.model.facts.machine import (
    DiskLayout,
    Driver,
    EnvironmentVariable,
    Hotfix,
    OdbcSource,
    Printer,
    Role,
    Servicing,
    Volume,
)
from orchestrator.model.facts.network import Firewall, Listener, NetworkConfig, Security, Share
from orchestrator.model.facts.people import Group, User
from orchestrator.model.facts.services import AutoStart, BuildTest, Program, ScheduledTask, Service, Software
from orchestrator.model.facts.web import Certificate, Iis

FACTS_VERSION = 2
"""Version 1 had only identity, services, shares, software, network and tasks; it reads as version 2 with the
rest unknown."""


class Origin(StrEnum):
    """How facts were collected."""

    OFFLINE = "offline"
    IN_GUEST = "in-guest"
    IMPORTED = "imported"


class ServerFacts(Value):
    """Everything known of one server.

    A section that a collector cannot see is None (*unknown*), never an empty tuple (*known to be none*), and
    `unknown` gives its reason; "network.hosts" names a part of a section. `sources` says where each known
    section came from. Strings from a guest are hostile: the collector cleans them of control
    characters and cuts them at limits, and every output escapes them again. Tuples are in a fixed order, so
    that the same server gives the same facts.
    """

    facts_version: int = Field(FACTS_VERSION, ge=1, le=FACTS_VERSION)
    origin: Origin
    identity: Identity
    disks: tuple[DiskLayout, ...] | None = None
    volumes: tuple[Volume, ...] | None = None
    roles: tuple[Role, ...] | None = None
    services: tuple[Service, ...] | None = None
    shares: tuple[Share, ...] | None = None
    users: tuple[User, ...] | None = None
    groups: tuple[Group, ...] | None = None
    tasks: tuple[ScheduledTask, ...] | None = None
    software: tuple[Software, ...] | None = None
    hotfixes: tuple[Hotfix, ...] | None = None
    servicing: Servicing | None = None
    network: NetworkConfig | None = None
    listeners: tuple[Listener, ...] | None = None
    firewall: Firewall | None = None
    iis: Iis | None = None
    certificates: tuple[Certificate, ...] | None = None
    odbc: tuple[OdbcSource, ...] | None = None
    printers: tuple[Printer, ...] | None = None
    drivers: tuple[Driver, ...] | None = None
    environment: tuple[EnvironmentVariable, ...] | None = None
    time_zone: str | None = None
    """The registry's key name ("W. Europe Standard Time")."""
    security: Security | None = None
    autostart: tuple[AutoStart, ...] | None = None
    programs: tuple[Program, ...] | None = None
    build_tests: tuple[BuildTest, ...] | None = None
    unknown: tuple[tuple[str, str], ...] = ()
    sources: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    """What the collector had to work around ("SYSTEM was dirty, 12 log entries replayed")."""

    @model_validator(mode="before")
    @classmethod
    def _of_today(cls, data: Any) -> Any:
        return (
            data | {"facts_version": FACTS_VERSION}
            if isinstance(data, dict) and data.get("facts_version") == 1
            else data
        )

    @model_validator(mode="after")
    def _reasons(self) -> Self:
        """Refuse a reason for what is known."""
        wrong = [name for name, _ in self.unknown if name in SECTIONS and getattr(self, name) is not None]
        if wrong:
            message = f"known and unknown at once: {', '.join(wrong)}"
            raise ValueError(message)
        return self


SECTIONS = tuple(
    name
    for name in ServerFacts.model_fields
    if name not in ("facts_version", "origin", "identity", "unknown", "sources", "warnings")
)
"""The sections that can be unknown, in their order."""
