"""Looks at the programs and scripts on all volumes: what they are built for, and which test for build 6002.

Bounded in everything: entries looked at, programs, scripts, bytes, findings. Nothing is ever run.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from orchestrator.guest import facts
from orchestrator.guest.clean import clean
from orchestrator.guest.offline.ntfs import Budget, DamagedVolume, Read, Volume
from orchestrator.model.facts import AutoStart, BuildTest, Program, ScheduledTask, Service

_MAX_ENTRIES = 20_000
_MAX_FIRST = 5000
_MAX_NAMED = 500
_MAX_PROGRAMS = 2000
_MAX_TESTS = 200
_MAX_SCRIPT_BYTES = 64 * 1024 * 1024
_PROGRAM_FOLDERS = (r"\Program Files", r"\Program Files (x86)")
_PROGRAM_PATHS = tuple(f"{path.casefold()}\\" for path in _PROGRAM_FOLDERS)
_NEVER = frozenset({r"\$recycle.bin", r"\system volume information", r"\$extend", r"\recycler"})
_IN_WINDOWS = ("SYSVOL", r"System32\GroupPolicy")
Named = Mapping[str, Volume]
"""Volumes by drive letter ("C:")."""


@dataclass(slots=True)
class Walk:
    """What a walk over the volumes found."""

    programs: dict[str, Program] = field(default_factory=dict)
    tests: list[BuildTest] = field(default_factory=list)
    cut: str = ""
    """Why not everything was looked at, "" if it was."""
    _script_bytes: int = 0

    def look(self, shown: str, below: str, size: int, read: Read) -> None:
        """Take notice of one file; `shown` is its path with its drive, `below` that on its volume."""
        name = below.casefold()
        if name.endswith(facts.SCRIPTS):
            self._script(shown, size, read)
        elif name.endswith(".exe") and name.startswith(_PROGRAM_PATHS):
            if len(self.programs) < _MAX_PROGRAMS:
                add_program(self.programs, shown, read)
            else:
                self.cut = f"more than {_MAX_PROGRAMS} programs"

    def _script(self, shown: str, size: int, read: Read) -> None:
        if not 0 < size <= facts.MAX_SCRIPT_SIZE:
            return
        if self._script_bytes + size > _MAX_SCRIPT_BYTES or len(self.tests) >= _MAX_TESTS:
            self.cut = "more scripts, or more findings in them, than are looked at"
            return
        self._script_bytes += size
        try:
            self.tests += facts.build_tests(shown, read(0, size))
        except DamagedVolume:
            self.cut = f"{clean(shown)} cannot be read"


def walk_volumes(volumes: Iterable[tuple[str, Volume]], system: Volume, folder: str) -> Walk:
    """Walk over all volumes, given with what their paths begin with ("C:"); the `folder` of Windows is passed
    over but for its scripts of policies.

    On the system volume these and the folders of programs come first, so that no folder of data uses up what
    they need.
    """
    found, given = Walk(), list(volumes)
    for prefix, volume in sorted(given, key=lambda pair: pair[1] is not system):
        first = [rf"{folder}\{name}" for name in _IN_WINDOWS] + list(_PROGRAM_FOLDERS)
        starts = [*(first if volume is system else ()), ""]
        seen = {start.casefold() for start in starts} | ({folder.casefold()} if volume is system else set())
        share = _MAX_ENTRIES // len(given)
        for start in starts:
            budget = Budget(min(share, _MAX_FIRST) if start else share)
            share -= budget.left
            _walk(found, prefix, volume, start, budget, seen)
            share += budget.left
    return found


def _walk(found: Walk, prefix: str, volume: Volume, start: str, budget: Budget, seen: set[str]) -> None:
    for path, size, read in volume.walk(start, budget, lambda path: path.casefold() in _NEVER | seen):
        if not path.startswith("\\$"):  # the file system's own
            found.look(f"{prefix}{path}", path, size, read)
    if not budget.left:
        found.cut = f"there are more entries below {clean(prefix + start)} than are looked at"


def named_programs(commands: Iterable[str], volumes: Named, windows: str, into: dict[str, Program]) -> None:
    """Add the programs that command lines name; `windows` is the folder of Windows with its drive."""
    paths = sorted({path.casefold(): path for path in _paths(commands, windows)}.items())
    for _, path in paths[:_MAX_NAMED]:
        volume = volumes.get(path[:2].upper())
        try:
            read = volume.reader(path[2:]) if volume else None
        except DamagedVolume:
            continue
        if read is not None:
            add_program(into, path, read)


def _paths(commands: Iterable[str], windows: str) -> Iterator[str]:
    for command in commands:
        path = facts.program_path(command, windows)
        if path is not None:
            yield path


def add_program(into: dict[str, Program], path: str, read: Read) -> None:
    """Add a file if it is a program; a damaged one is left out."""
    if path.casefold() in into:
        return
    try:
        kind = facts.program_kind(read)
    except DamagedVolume:
        return
    if kind is not None:
        into[path.casefold()] = Program(path=clean(path), kind=kind[0], dotnet=kind[1])


def command_lines(
    services: tuple[Service, ...] | None,
    tasks: tuple[ScheduledTask, ...] | None,
    autostart: tuple[AutoStart, ...] | None,
) -> Iterator[tuple[str, str]]:
    """Yield (where, command line) of everything that starts by itself; "service:W3SVC", "task:\\\\T"."""
    for service in services or ():
        if not service.driver and service.image_path:
            yield f"service:{service.name}", service.image_path
    for task in tasks or ():
        for command in task.commands:
            yield f"task:{task.path}", command
    for entry in autostart or ():
        yield f"autostart:{entry.where}:{entry.name}", entry.command


def tests_in(commands: Iterable[tuple[str, str]]) -> Iterator[BuildTest]:
    """Yield the command lines that look for exactly build 6002."""
    for where, command in commands:
        if facts.is_build_test(command):
            yield BuildTest(path=clean(where), line=0, text=clean(command, 300))
