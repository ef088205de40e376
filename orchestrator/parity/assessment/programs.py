"""Findings about what runs: 16-bit and 32-bit programs, .NET, ODBC, tests for one build number."""

from collections.abc import Iterator

from orchestrator.model.facts import BuildTest, ProgramKind
from orchestrator.parity.assessment.checks import Check
from orchestrator.parity.assessment.result import Ground, HostFinding
from orchestrator.parity.assessment.subject import Subject
from orchestrator.parity.names import product_name, windows_key
from orchestrator.parity.result import Severity

_16_BIT = {ProgramKind.DOS: "DOS", ProgramKind.WIN16: "16-bit Windows"}


def _sixteen_bit(subject: Subject) -> Iterator[HostFinding]:
    started = windows_key("\n".join(_command_lines(subject)))
    for program in subject.facts.programs or ():
        if program.kind not in _16_BIT:
            continue
        used = windows_key(program.path) in started
        yield HostFinding(
            id="16-bit",
            detail=program.path,
            severity=Severity.BLOCKER if used else Severity.WARNING,
            title=f"{program.path} is a {_16_BIT[program.kind]} program: no x64 Windows runs it",
            grounds=(
                subject.ground(f"programs.{program.path}", program.kind.value),
                *_uses(subject, program.path),
            ),
            advice="Replace it, or keep it in an emulator or on an isolated 32-bit machine. "
            + (
                "A service, task or auto-start entry starts it." if used else "Ask whether anybody starts it."
            ),
        )


def _command_lines(subject: Subject) -> Iterator[str]:
    return (text for _, text in _commands(subject))


def _commands(subject: Subject) -> Iterator[tuple[str, str]]:
    """Return every command line that starts something by itself, with the fact that holds it."""
    facts = subject.facts
    yield from ((f"services.{s.name}", s.image_path) for s in facts.services or ())
    yield from ((f"tasks.{t.path}", command) for t in facts.tasks or () for command in t.commands)
    yield from ((f"autostart.{a.where}.{a.name}", a.command) for a in facts.autostart or ())


def _uses(subject: Subject, path: str) -> Iterator[Ground]:
    key = windows_key(path)
    return (subject.ground(fact, text) for fact, text in _commands(subject) if key in windows_key(text))


def _thirty_two_bit(subject: Subject) -> Iterator[HostFinding]:
    """Only on x64: on a 32-bit Windows everything is, and that is a finding of its own."""
    if subject.facts.identity.arch != "x64":
        return
    views: dict[str, set[int]] = {}
    for software in subject.facts.software or ():
        views.setdefault(product_name(software.name or software.key, software.version), set()).add(
            software.view
        )
    names = sorted(name for name, seen in views.items() if seen == {32})
    paths = sorted(p.path for p in subject.facts.programs or () if p.kind is ProgramKind.X86)
    grounds = [subject.ground("software", "; ".join(names))] if names else []
    grounds += [subject.ground("programs", "; ".join(paths))] if paths else []
    if grounds:
        yield HostFinding(
            id="32-bit-programs",
            severity=Severity.INFO,
            title="Some of its software is 32-bit only: it runs on x64, its drivers and plug-ins do not",
            grounds=tuple(grounds),
            advice="Prefer an x64 version. What drives a device or loads into a 64-bit program needs one.",
        )


def _odbc(subject: Subject) -> Iterator[HostFinding]:
    for source in subject.facts.odbc or ():
        if source.view == 32:
            yield HostFinding(
                id="odbc-32-bit",
                detail=source.name,
                severity=Severity.WARNING,
                title=f"The ODBC source {source.name} is a 32-bit one: 64-bit programs do not see it",
                grounds=(subject.ground(f"odbc.{source.name}", f"{source.driver}, server {source.server}"),),
                advice="Install the 32-bit driver on the target and make the source with "
                "SysWOW64\\odbcad32.exe, or move the program and the source to 64 bits.",
            )


def _dotnet(subject: Subject) -> Iterator[HostFinding]:
    old = [g for version, g in _runtimes(subject) if version.startswith(("v1.", "1."))]
    if old:
        yield HostFinding(
            id="dotnet-1.1",
            severity=Severity.WARNING,
            title="Something on it was built for .NET Framework 1.x, which no longer installs",
            grounds=tuple(old),
            advice="Try it on .NET Framework 3.5 or 4.8 (supportedRuntime in its .config), or replace it.",
        )
    two = [g for version, g in _runtimes(subject) if version.startswith(("v2.", "2.", "v3.", "3."))]
    if two:
        yield HostFinding(
            id="dotnet-3.5",
            severity=Severity.WARNING,
            title="Something on it was built for .NET Framework 2.0 to 3.5, which no target has by itself",
            grounds=tuple(two),
            advice="Install-WindowsFeature NET-Framework-Core -Source MEDIA\\sources\\sxs on the target, "
            "or move it to .NET Framework 4.8.",
        )


def _runtimes(subject: Subject) -> Iterator[tuple[str, Ground]]:
    """Return the runtime of each program and of each pool that an application uses."""
    for program in subject.facts.programs or ():
        if program.dotnet:
            yield program.dotnet, subject.ground(f"programs.{program.path}", f"runtime {program.dotnet}")
    iis = subject.facts.iis
    if iis is None:
        return
    used = {windows_key(application.pool) for site in iis.sites for application in site.applications}
    for pool in iis.pools:
        if pool.runtime and windows_key(pool.name) in used:
            yield pool.runtime, subject.ground(f"iis.pools.{pool.name}", f"runtime {pool.runtime}")


def _build_tests(subject: Subject) -> Iterator[HostFinding]:
    places: dict[str, list[BuildTest]] = {}
    for test in subject.facts.build_tests or ():
        places.setdefault(test.path, []).append(test)
    for path in sorted(places):
        lines = sorted(places[path], key=lambda test: (test.line, test.text))
        yield HostFinding(
            id="build-test",
            detail=path,
            severity=Severity.WARNING,
            title=f"{path} looks for one exact build number of Windows",
            grounds=tuple(subject.ground(_place(test), test.text) for test in lines),
            advice="6002 and 6003 are the same product, and the target has another build: have it test the "
            "version (6.0 or newer), or drop the test.",
        )


def _place(test: BuildTest) -> str:
    return f"{test.path}:{test.line}" if test.line else test.path


CHECKS = (
    Check(
        "whether 16-bit programs start by themselves",
        Severity.BLOCKER,
        ("programs", "services", "tasks", "autostart"),
        _sixteen_bit,
    ),
    Check("which software is 32-bit only", Severity.INFO, ("software", "programs"), _thirty_two_bit),
    Check("whether there are 32-bit ODBC sources", Severity.WARNING, ("odbc",), _odbc),
    Check("whether programs need old .NET", Severity.WARNING, ("programs", "iis"), _dotnet),
    Check("whether scripts test for a build number", Severity.WARNING, ("build_tests",), _build_tests),
)
