"""Findings about support, updates, a pending restart and certificates."""

from collections.abc import Iterator
from datetime import timedelta

from orchestrator.lifecycle import Phase, SupportStatus
from orchestrator.model.facts import Certificate
from orchestrator.parity.assessment.checks import Check
from orchestrator.parity.assessment.result import Ground, HostFinding
from orchestrator.parity.assessment.subject import Subject
from orchestrator.parity.names import version_numbers
from orchestrator.parity.result import Severity

NEWEST_BY_BUILD = (6, 0, 6003)
"""KB4493730 came with build 6003, so that its servicing stack and all after it carry that number. Inferred
from dates (KB4493730 April 2019, last kernel with 6002 March 2019), not a vendor's statement."""
SOON = timedelta(days=90)


def _support(subject: Subject) -> Iterator[HostFinding]:
    support = subject.support
    if support.phase in (Phase.MAINSTREAM, Phase.EXTENDED):
        return
    if support.phase is Phase.UNKNOWN:
        yield HostFinding(
            id="cannot-tell",
            detail="support",
            severity=Severity.WARNING,
            title=f"Cannot tell whether it still gets updates: {support.reason}",
            grounds=(_identity(subject),),
            advice="Find out which Windows it is, and look up its lifecycle.",
            cannot_tell=True,
        )
        return
    yield HostFinding(
        id="unsupported",
        severity=Severity.WARNING,
        title=_since(support),
        grounds=(_identity(subject), subject.ground("lifecycle", support.reason)),
        advice="Cut it off or replace it; until then let it reach, and be reached by, as little as possible.",
    )


def _since(support: SupportStatus) -> str:
    free = support.free_until.isoformat() if support.free_until else "an unknown day"
    if support.phase is Phase.PAID:
        return f"Updates for everybody ended on {free}; since then only for those who bought {support.stage}"
    paid = f", for those who had paid on {support.paid_until.isoformat()}" if support.paid_until else ""
    return f"There are no updates any more: for everybody they ended on {free}{paid}"


def _identity(subject: Subject) -> Ground:
    known = subject.facts.identity
    build = "unknown" if known.build is None else str(known.build)
    edition = known.edition or "edition unknown"
    return subject.ground("identity.build", f"{known.version or 'unknown'}.{build}, {edition}")


def _sha2(subject: Subject) -> Iterator[HostFinding]:
    servicing = subject.facts.servicing
    if servicing is not None and servicing.sha2 is False:
        yield HostFinding(
            id="sha2",
            severity=Severity.WARNING,
            title="It refuses updates signed with SHA-2 only: none from July 2019 on installs",
            grounds=(subject.ground("servicing.sha2", "no (KB4474419 or newer is missing)"),),
            advice="Install KB4493730, then KB4474419, before any later update, driver or agent.",
        )


def _servicing_stack(subject: Subject) -> Iterator[HostFinding]:
    servicing = subject.facts.servicing
    version = servicing.servicing_stack if servicing is not None else None
    if version is not None and (version_numbers(version) or ()) < NEWEST_BY_BUILD:
        yield HostFinding(
            id="servicing-stack",
            severity=Severity.WARNING,
            title="Its servicing stack is older than KB4493730, which later updates ask for",
            grounds=(subject.ground("servicing.servicing_stack", version),),
            advice="Install KB4493730 first if anything is to be installed on it.",
        )


def _reboot(subject: Subject) -> Iterator[HostFinding]:
    servicing = subject.facts.servicing
    if servicing is not None and servicing.reboot_pending:
        yield HostFinding(
            id="reboot-pending",
            severity=Severity.WARNING,
            title="A restart is pending: its disks hold an update that is half done",
            grounds=(subject.ground("servicing.reboot_pending", "yes"),),
            advice="Restart it in its own network before the change, and see that it comes up.",
        )


def _certificates(subject: Subject) -> Iterator[HostFinding]:
    for certificate in subject.facts.certificates or ():
        day, on = certificate.not_after, subject.plan.on
        if day is None or day <= on + SOON:
            yield _certificate(subject, certificate)


def _certificate(subject: Subject, certificate: Certificate) -> HostFinding:
    day, on = certificate.not_after, subject.plan.on
    name = certificate.subject or certificate.thumbprint
    used = _sites_with(subject, certificate.thumbprint)
    state = "has an unknown end" if day is None else f"expired on {day}" if day < on else f"expires on {day}"
    return HostFinding(
        id="certificate",
        detail=certificate.thumbprint,
        severity=Severity.WARNING,
        title=f"The certificate {name} {state}",
        grounds=(
            subject.ground(
                f"certificates.{certificate.thumbprint}", f"{name}, issued by {certificate.issuer}"
            ),
            *(subject.ground(f"iis.{site}", "bound to it") for site in used),
        ),
        advice="Do not carry it over: have a new one issued for the replacement"
        + (f", for {', '.join(used)}." if used else ", if anything still uses it."),
        cannot_tell=day is None,
    )


def _sites_with(subject: Subject, thumbprint: str) -> tuple[str, ...]:
    sites = subject.facts.iis.sites if subject.facts.iis is not None else ()
    wanted = thumbprint.upper()
    return tuple(s.name for s in sites if any(b.certificate.upper() == wanted for b in s.bindings))


CHECKS = (
    Check("since when it gets no updates", Severity.WARNING, ("identity.build",), _support),
    Check("whether it takes updates signed with SHA-2", Severity.WARNING, ("servicing.sha2",), _sha2),
    Check(
        "whether its servicing stack is new enough",
        Severity.WARNING,
        ("servicing.servicing_stack",),
        _servicing_stack,
    ),
    Check("whether a restart is pending", Severity.WARNING, ("servicing.reboot_pending",), _reboot),
    Check("whether certificates end", Severity.WARNING, ("certificates",), _certificates),
)
