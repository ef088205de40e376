"""The host under assessment: its facts, what is planned for it, and what nobody has seen of it."""

import fnmatch
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property

from orchestrator.lifecycle import SupportStatus
from orchestrator.model.facts import Role, ServerFacts, Service, StartMode
from orchestrator.parity.assessment.result import Ground
from orchestrator.parity.names import windows_key

_DEFAULTED = "security."
"""None in this section is a value: the release's own default holds."""
_NO_REASON = "the collector did not see it"


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a finding depends on beside the facts.

    `release`: of the planned replacement; `azure`: the host runs in Azure now; `lift`: its disks go there.
    """

    on: date
    release: int | None = None
    azure: bool = False
    lift: bool = False


class Services:
    """A host's services by the name that Windows compares, so that many rules may ask."""

    def __init__(self, facts: ServerFacts) -> None:
        """Read them once."""
        on = (s for s in facts.services or () if s.start is not StartMode.DISABLED)
        self._on = {windows_key(service.name): service for service in on}

    def switched_on(self, names: Iterable[str]) -> tuple[Service, ...]:
        """Return the services and drivers of these names (`*` and `?` allowed) that are not switched off."""
        return tuple(self._on[key] for name in names for key in _keys(windows_key(name), self._on))


def _keys(pattern: str, known: Mapping[str, object]) -> tuple[str, ...]:
    if "*" in pattern or "?" in pattern:
        return tuple(fnmatch.filter(known, pattern.replace("[", "[[]")))
    return (pattern,) if pattern in known else ()


def why_unknown(facts: ServerFacts, need: str) -> str:
    """Return why a section ("disks") or a field ("identity.arch") is unknown; "" where it is known.

    A section is also unknown where only a part of it could not be seen.
    """
    section, _, field = need.partition(".")
    reasons = dict(facts.unknown)
    for name, reason in reasons.items():
        if name in (need, section) or name.startswith(f"{need}."):
            return reason or _NO_REASON
    value = getattr(facts, section)
    if field and value is not None and not need.startswith(_DEFAULTED):
        value = getattr(value, field)
    return _NO_REASON if value is None else ""


@dataclass(frozen=True)
class Subject:
    """One host with everything that its checks look at."""

    name: str
    facts: ServerFacts
    plan: Circumstances
    support: SupportStatus

    @cached_property
    def _services(self) -> Services:
        return Services(self.facts)

    def ground(self, fact: str, value: str) -> Ground:
        """Return a ground for one fact ("services.ClusSvc"), with the source of its section."""
        section = fact.partition(".")[0]
        return Ground(fact=fact, value=value, source=dict(self.facts.sources).get(section, ""))

    def unknown(self, need: str) -> str:
        """Return why a section ("disks") or a field ("identity.arch") is unknown; "" where it is known."""
        return why_unknown(self.facts, need)

    def running(self, names: Iterable[str]) -> tuple[Service, ...]:
        """Return the services and drivers of these names (`*` and `?` allowed) that are not switched off."""
        return self._services.switched_on(names)

    def roles(self, ids: Iterable[str]) -> tuple[Role, ...]:
        """Return the installed roles and features of these ids (`*` and `?` allowed)."""
        known = {windows_key(role.id): role for role in self.facts.roles or ()}
        return tuple(known[key] for name in ids for key in _keys(windows_key(name), known))


def service_ground(subject: Subject, service: Service) -> Ground:
    """Return a service as a ground."""
    start = service.start.value if service.start else "unknown"
    # A display name that begins with @ stands in some DLL and says nothing to a reader.
    shown = "" if service.display_name.startswith("@") else service.display_name
    return subject.ground(f"services.{service.name}", f"{shown or service.name}, start {start}")
