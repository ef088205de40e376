"""Findings about roles: those with no successor, and those that others rely on without being named."""

from collections.abc import Iterator, Sequence

from orchestrator.parity.assessment.checks import Check
from orchestrator.parity.assessment.result import Ground, HostFinding
from orchestrator.parity.assessment.rules import RoleRule, ServesRule, rules
from orchestrator.parity.assessment.subject import Subject, service_ground
from orchestrator.parity.result import Severity

_LOOPBACK = ("127.", "::1")
_CUT_OFF = "Find its clients and move them before it is cut off, or let those flows pass the filter."


def _without_successor(subject: Subject) -> Iterator[HostFinding]:
    for rule in rules().role:
        if rule.releases and subject.plan.release is not None and subject.plan.release not in rule.releases:
            continue
        grounds = _grounds(subject, rule)
        if grounds:
            source = Ground(fact="rule", value=f"role {rule.id}", source=rules().sources[rule.source])
            yield HostFinding(
                id="role",
                detail=rule.id,
                severity=rule.severity,
                title=f"It has {rule.title}: {rule.why}",
                grounds=(*grounds, source),
                advice=rule.instead,
            )


def _grounds(subject: Subject, rule: RoleRule | ServesRule) -> tuple[Ground, ...]:
    services = [service_ground(subject, service) for service in subject.running(rule.services)]
    roles = [
        subject.ground(f"roles.{role.id}", role.name or "installed") for role in subject.roles(rule.roles)
    ]
    return (*services, *roles)


def _serves(subject: Subject) -> Iterator[HostFinding]:
    for rule in rules().serves:
        if grounds := _grounds(subject, rule):
            heard = tuple(_listening(subject, rule.ports))
            yield _serving(rule.id, rule.title, f"used by {rule.clients}", grounds + heard)


def _heard(subject: Subject) -> Iterator[HostFinding]:
    """A port may give away what no service or role of a known name shows."""
    for rule in rules().serves:
        heard = tuple(_listening(subject, rule.ports))
        if heard and not _grounds(subject, rule):
            yield _serving(rule.id, rule.title, f"used by {rule.clients}", heard)


def _listening(subject: Subject, ports: Sequence[str]) -> Iterator[Ground]:
    for listener in subject.facts.listeners or ():
        port = f"{listener.protocol}/{listener.port}"
        if port in ports and not listener.address.startswith(_LOOPBACK):
            yield subject.ground(f"listeners.{port}", listener.process or f"on {listener.address}")


def _files(subject: Subject) -> Iterator[HostFinding]:
    shares = [s for s in subject.facts.shares or () if s.kind == "disk" and not s.name.endswith("$")]
    if shares:
        grounds = tuple(subject.ground(f"shares.{share.name}", share.path) for share in shares)
        yield _serving("files", "file shares", "used by whoever maps them or has a link to them", grounds)


def _printing(subject: Subject) -> Iterator[HostFinding]:
    printers = [p for p in subject.facts.printers or () if p.shared_as]
    if printers:
        grounds = tuple(
            subject.ground(f"printers.{p.name}", f"shared as {p.shared_as}, {p.driver}") for p in printers
        )
        yield _serving("printing", "printers", "used by whoever is connected to them", grounds)


def _serving(detail: str, title: str, clients: str, grounds: tuple[Ground, ...]) -> HostFinding:
    return HostFinding(
        id="serves",
        detail=detail,
        severity=Severity.WARNING,
        title=f"It serves {title}, {clients}; isolation cuts them off",
        grounds=grounds,
        advice=_CUT_OFF,
    )


CHECKS = (
    Check("whether roles have no successor", Severity.WARNING, ("services", "roles"), _without_successor),
    Check("what it serves to others", Severity.WARNING, ("services", "roles"), _serves),
    Check("whether it serves what only an open port shows (KMS)", Severity.WARNING, ("listeners",), _heard),
    Check("which files it serves", Severity.WARNING, ("shares",), _files),
    Check("which printers it serves", Severity.WARNING, ("printers",), _printing),
)
