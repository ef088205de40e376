"""Reads all facts from a machine's disks.

Runs inside the sandbox only: everything here touches hostile bytes.

Each section stands alone: what cannot be read becomes unknown, with its reason, and the others are still
read.
"""

from dataclasses import dataclass
from typing import Any

from orchestrator.diagnostics import FerryError
from orchestrator.guest import facts
from orchestrator.guest.offline import files, programs, storage
from orchestrator.guest.offline.blocks import Ask, RemoteDisk
from orchestrator.guest.offline.hive import HiveKey
from orchestrator.guest.offline.hives import load_hive
from orchestrator.guest.offline.registry import registry_sections
from orchestrator.guest.offline.sections import Sections
from orchestrator.guest.offline.systems import Place, System, all_places, the_system
from orchestrator.guest.registry import text
from orchestrator.model.facts import Identity, Iis, Origin, ServerFacts

_NO_LISTENERS = "a disk does not show what listens"


def inspect(argument: Any, ask: Ask) -> Any:
    """Return ServerFacts as JSON. `argument`: the sizes of the disks in bytes. Raises FerryError."""
    disks = [RemoteDisk(index, size, ask) for index, size in enumerate(argument)]
    tables, places = all_places(disks)
    inspection = _Inspection(the_system(places), places)
    layouts = storage.disk_layouts(disks, tables, places)
    return inspection.facts({"disks": layouts}).model_dump(mode="json")


@dataclass(frozen=True, slots=True)
class _Drives:
    """Drive letters by place, and the folder of Windows with its drive."""

    letters: dict[int, str]
    windows: str


class _Inspection:
    """One installation and the notes on it."""

    def __init__(self, system: System, places: tuple[Place, ...]) -> None:
        self._system = system
        self._places = places
        self._notes = Sections()

    def facts(self, found: dict[str, Any]) -> ServerFacts:
        """Return everything; `found` holds sections that are already known."""
        notes = self._notes
        software, system = (load_hive(self._system, name, notes) for name in ("SOFTWARE", "SYSTEM"))
        if software is None and system is None:
            message = "neither registry hive can be read: " + "; ".join(notes.warnings)
            raise FerryError(message, code="damaged-hive")
        control = notes.guarded(lambda: self._control(system), None)
        who = self._identity(software, control)
        notes.sources += [(name, "partition tables") for name in found]
        found |= registry_sections(self._system, (software, control), who, notes)
        found["tasks"] = notes.read(
            "tasks",
            r"System32\Tasks",
            lambda: files.tasks(self._system, notes),
            "there is no Tasks folder",
        )
        found["iis"] = self._iis(control, who, found)
        found["drivers"] = notes.read(
            "drivers",
            r"inf\oem*.inf",
            lambda: files.drivers(self._system, notes),
            "there is no inf folder",
        )
        found |= self._volumes_and_programs(system, software, found)
        notes.missing("listeners", _NO_LISTENERS)
        return ServerFacts(
            origin=Origin.OFFLINE,
            identity=who,
            unknown=tuple(notes.unknown),
            sources=tuple(notes.sources),
            warnings=notes.warnings,
            **found,
        )

    def _control(self, system: HiveKey | None) -> Any:
        found = facts.control_set(system) if system else None
        if system and found is None:
            self._notes.warn("SYSTEM: Select\\Current does not name a control set that is there")
        return found

    def _identity(self, software: HiveKey | None, control: Any) -> Identity:
        notes = self._notes
        kernel = notes.guarded(lambda: files.kernel_arch(self._system), None)
        explorer = notes.guarded(lambda: files.has_explorer(self._system), None)
        security = load_hive(self._system, "SECURITY", notes, optional=True)
        for root, keys in ((software, control), (None, control), (software, None)):
            try:
                found, odd = facts.identity(root, keys, kernel, security=security, explorer=explorer)
            except FerryError as fault:
                notes.warn(f"a part of the identity cannot be read: {fault.message}")
                security = None
                continue
            for one in odd:
                notes.warn(one)
            return found
        return facts.identity(None, None, kernel)[0]

    def _iis(self, control: Any, who: Identity, found: dict[str, Any]) -> Iis | None:
        services = found["services"]
        installed = None if services is None else any(one.name.casefold() == "w3svc" for one in services)
        certificates: dict[str, str] = self._notes.guarded(
            lambda: facts.ssl_bindings(control) if control else {}, {}
        )
        return self._notes.read(
            "iis",
            "applicationHost.config",
            lambda: files.iis(self._system, who.version, certificates, installed),
            "there is no applicationHost.config",
        )

    def _volumes_and_programs(
        self, system: HiveKey | None, software: HiveKey | None, found: dict[str, Any]
    ) -> dict[str, Any]:
        notes = self._notes
        drives = self._drives(system, software)
        volumes = notes.read(
            "volumes",
            r"file systems; letters from MountedDevices",
            lambda: storage.volumes(self._places, drives.letters, notes),
            "there are none",
        )
        return {"volumes": volumes} | self._programs(drives, found)

    def _drives(self, system: HiveKey | None, software: HiveKey | None) -> _Drives:
        """The system volume's letter is in SystemRoot, too."""
        letters: dict[int, str] = self._notes.guarded(
            lambda: storage.drive_letters(system, self._places), {}, "drive letters"
        )
        index = self._places.index(self._system.place)
        if index not in letters and software is not None:
            key = self._notes.guarded(lambda: software.subkey(r"Microsoft\Windows NT\CurrentVersion"), None)
            root = self._notes.guarded(lambda: text(key, "SystemRoot"), None) or ""
            if root[1:2] == ":" and root[2:].casefold() == self._system.folder.casefold():
                letters[index] = root[:2].upper()
        return _Drives(letters, f"{letters.get(index, 'C:')}{self._system.folder}")

    def _programs(self, drives: _Drives, found: dict[str, Any]) -> dict[str, Any]:
        notes = self._notes
        given = [
            (drives.letters.get(index, f"disk{place.disk.index + 1}-{place.number}:"), place.volume)
            for index, place in enumerate(self._places)
            if place.volume is not None
        ]
        where = "all NTFS volumes, services, tasks, autostart"
        walk = notes.read(
            "build_tests",
            where,
            lambda: programs.walk_volumes(given, self._system.volume, self._system.folder),
            "there is no volume",
        )
        if walk is None:
            notes.missing("programs", "the volumes cannot be walked")
            return {"programs": None, "build_tests": None}
        notes.sources.append(("programs", where))
        if walk.cut:
            notes.missing("programs.rest", walk.cut)
            notes.missing("build_tests.rest", walk.cut)
        lines = list(programs.command_lines(found["services"], found["tasks"], found["autostart"]))
        volumes = {letter.upper(): volume for letter, volume in given}
        programs.named_programs((line for _, line in lines), volumes, drives.windows, walk.programs)
        tests = [*walk.tests, *programs.tests_in(lines)]
        return {
            "programs": tuple(walk.programs[path] for path in sorted(walk.programs)),
            "build_tests": tuple(sorted(tests, key=lambda one: (one.path.casefold(), one.line, one.path))),
        }
