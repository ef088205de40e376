"""Findings about protocols that old peers need and the target refuses: TLS 1.0, SMB 1, NTLMv1."""

from collections.abc import Iterator

from orchestrator.parity.assessment.checks import Check
from orchestrator.parity.assessment.result import Ground, HostFinding
from orchestrator.parity.assessment.subject import Subject
from orchestrator.parity.result import Severity

_SIDES = ("client", "server")
_SENDS_NTLM_V1 = 3
"""Below this LmCompatibilityLevel NTLMv1 answers are sent; the default of Windows 6.0 is 3."""


def _tls(subject: Subject) -> Iterator[HostFinding]:
    """TLS 1.1 and 1.2 came to Windows 6.0 by KB4019276 and are off there until somebody switches them on."""
    security = subject.facts.security
    if security is None or subject.facts.identity.version != "6.0":
        return
    for side in _SIDES:
        settings = {p.name: p.enabled for p in security.tls if p.side == side}
        if settings.get("TLS 1.2"):
            continue
        shown = ", ".join(f"{name} {_state(on)}" for name, on in sorted(settings.items())) or "nothing is set"
        yield HostFinding(
            id="tls-1.0",
            detail=side,
            severity=Severity.WARNING,
            title=f"As a {side} it speaks no TLS 1.2; 2025 has TLS 1.0 and 1.1 switched off",
            grounds=(subject.ground(f"security.tls.{side}", shown), *_update(subject)),
            advice="Find its TLS peers. On the target move them to TLS 1.2; where the old host must talk to "
            "a 2025 one, install KB4019276 and switch TLS 1.2 on here, rather than TLS 1.0 on there.",
        )


def _state(on: bool | None) -> str:
    return {True: "on", False: "off", None: "as the release has it"}[on]


def _update(subject: Subject) -> Iterator[Ground]:
    if subject.facts.hotfixes is not None and not any(h.id == "KB4019276" for h in subject.facts.hotfixes):
        yield subject.ground("hotfixes", "KB4019276 is not listed (a later rollup may hold it)")


def _dotnet_tls(subject: Subject) -> Iterator[HostFinding]:
    old = [p for p in subject.facts.programs or () if p.dotnet.startswith(("v1.", "v2."))]
    if old:
        yield HostFinding(
            id="tls-1.0",
            detail="dotnet",
            severity=Severity.INFO,
            title="Programs for .NET Framework 2.0 to 3.5 ask for TLS 1.0 unless told otherwise",
            grounds=tuple(subject.ground(f"programs.{p.path}", f"runtime {p.dotnet}") for p in old),
            advice="Set SystemDefaultTlsVersions for the v2.0.50727 runtime on the target, in both views.",
        )


def _smb1(subject: Subject) -> Iterator[HostFinding]:
    security = subject.facts.security
    if security is None or security.smb1_server is False:
        return
    chosen = security.smb1_server is True
    yield HostFinding(
        id="smb1",
        severity=Severity.WARNING if chosen else Severity.INFO,
        title="It answers SMB 1, which the target does not have installed",
        grounds=(
            subject.ground(
                "security.smb1_server", "switched on by hand" if chosen else "on, as Windows 6.0 has it"
            ),
        ),
        advice="Look for clients that know nothing newer (XP, 2003, scanners, old NAS) before the switch, "
        "and replace them or their way of delivery. Do not install SMB 1 on the target.",
    )


def _ntlm(subject: Subject) -> Iterator[HostFinding]:
    level = subject.facts.security.lm_compatibility if subject.facts.security is not None else None
    if level is not None and level < _SENDS_NTLM_V1:
        yield HostFinding(
            id="ntlm-v1",
            severity=Severity.WARNING,
            title="It is set to send NTLMv1, which 2025 no longer has",
            grounds=(subject.ground("security.lm_compatibility", str(level)),),
            advice="Find the peer that it was set for, move that to NTLMv2 or Kerberos, and set the level "
            "here to 3 or more.",
        )


CHECKS = (
    Check("which TLS versions it speaks", Severity.WARNING, ("security",), _tls),
    Check("whether .NET programs are bound to TLS 1.0", Severity.INFO, ("programs",), _dotnet_tls),
    Check("whether it speaks SMB 1", Severity.WARNING, ("security",), _smb1),
    Check("whether it sends NTLMv1", Severity.WARNING, ("security",), _ntlm),
)
