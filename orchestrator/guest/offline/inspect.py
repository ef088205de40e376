"""Reads all facts from a machine's disks.

Runs inside the sandbox only: everything here touches hostile bytes.

Each section stands alone: what cannot be read becomes unknown, with its reason, and the others are still
read.
"""

import struct
from collections.abc import Callable
from typing import Any, TypeVar

from orchestrator.diagnostics import FerryError
from orchestrator.guest import facts
from orchestrator.guest.clean import clean
from orchestrator.guest.offline.blocks import Ask, RemoteDisk
from orchestrator.guest.offline.hive import DamagedHive, Hive, HiveKey
from orchestrator.guest.offline.replay import replay
from orchestrator.guest.offline.systems import System, the_system
from orchestrator.model.facts import Identity, NetworkConfig, Origin, ScheduledTask, ServerFacts

_MAX_HIVE = 256 * 1024 * 1024
_MAX_LOG = 64 * 1024 * 1024
_MAX_HOSTS = 1024 * 1024
_MAX_TASKS = 2000
_MAX_WARNINGS = 50
_MACHINES = {0x014C: "x86", 0x8664: "x64", 0x0200: "ia64", 0xAA64: "arm64"}

T = TypeVar("T")


def inspect(argument: Any, ask: Ask) -> Any:
    """Return ServerFacts as JSON. `argument`: the sizes of the disks in bytes. Raises FerryError."""
    disks = [RemoteDisk(index, size, ask) for index, size in enumerate(argument)]
    return _Inspection(the_system(disks)).facts().model_dump(mode="json")


class _Inspection:
    """Collects sections, and beside them what is unknown and what is odd."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._unknown: list[tuple[str, str]] = []
        self._warnings: list[str] = []

    def facts(self) -> ServerFacts:
        software_hive = self._hive("SOFTWARE")
        system_hive = self._hive("SYSTEM")
        if software_hive is None and system_hive is None:
            message = "neither registry hive can be read: " + "; ".join(self._warnings)
            raise FerryError(message, code="damaged-hive")
        control = self._guarded(lambda: self._control(system_hive), None)
        who = self._identity(software_hive, control)
        services = self._section("services", control, facts.services, "it has no list of services")
        shares = self._section("shares", control, facts.shares, "the Server service is not there")
        network = self._section("network", control, self._network, "TCP/IP is not there")
        software = self._section(
            "software", software_hive, lambda key: facts.software(key, who.arch), "it has no list of programs"
        )
        return ServerFacts(
            origin=Origin.OFFLINE,
            identity=who,
            services=services,
            shares=shares,
            software=software,
            network=network,
            tasks=self._tasks(),
            unknown=tuple(self._unknown),
            warnings=tuple(self._warnings[:_MAX_WARNINGS]),
        )

    def _hive(self, name: str) -> HiveKey | None:
        """Read a hive with its logs; None, and a warning, if it cannot be used."""
        path = self._system.path(rf"config\{name}")
        try:
            primary = self._system.volume.read(path, _MAX_HIVE)
            if primary is None:
                self._warnings.append(f"{name} is missing")
                return None
            logs = (self._log(f"{path}.LOG{number}") for number in (1, 2))
            done = replay(primary, [log for log in logs if log])
            if done.note:
                self._warnings.append(f"{name}: {done.note}")
            return Hive(done.data).root()
        except FerryError as fault:
            self._warnings.append(f"{name} cannot be read: {fault.message}")
            return None

    def _log(self, path: str) -> bytes | None:
        return self._guarded(lambda: self._system.volume.read(path, _MAX_LOG), None)

    def _control(self, system_hive: HiveKey | None) -> Any:
        found = facts.control_set(system_hive) if system_hive else None
        if system_hive and found is None:
            self._warnings.append("SYSTEM: Select\\Current does not name a control set that is there")
        return found

    def _identity(self, software_hive: HiveKey | None, control: Any) -> Identity:
        kernel = self._guarded(self._kernel_arch, None)
        for source, hive in ((software_hive, control), (None, control), (software_hive, None)):
            try:
                found, odd = facts.identity(source, hive, kernel)
            except DamagedHive as fault:
                self._warnings.append(f"a part of the identity cannot be read: {fault.message}")
                continue
            self._warnings += odd
            return found
        return facts.identity(None, None, kernel)[0]

    def _kernel_arch(self) -> str | None:
        """Return the architecture in the kernel file's PE header."""
        head = self._system.volume.head(self._system.path("ntoskrnl.exe"), 4096)
        if head is None or len(head) < 64 or head[:2] != b"MZ":
            return None
        at = struct.unpack_from("<I", head, 60)[0]
        if at + 6 > len(head) or head[at : at + 4] != b"PE\0\0":
            return None
        return _MACHINES.get(struct.unpack_from("<H", head, at + 4)[0])

    def _section(self, name: str, key: Any, read: Callable[[Any], T | None], absent: str) -> T | None:
        """Return a section; None, and its reason, where it or what holds it is not there or damaged."""
        found: T | None = None
        why = absent if key is not None else "the part of the registry that holds it cannot be read"
        try:
            found = read(key) if key is not None else None
        except FerryError as fault:
            why = fault.message
        if found is None:
            self._unknown.append((name, why))
        return found

    def _network(self, control: Any) -> NetworkConfig | None:
        hosts: tuple[str, ...] | None = None
        try:
            content = self._system.volume.read(self._system.path(r"drivers\etc\hosts"), _MAX_HOSTS)
            hosts = facts.hosts_lines(content or b"")
        except FerryError as fault:
            self._unknown.append(("network.hosts", fault.message))
        return facts.network(control, hosts)

    def _tasks(self) -> tuple[ScheduledTask, ...] | None:
        path = self._system.path("Tasks")
        found: list[ScheduledTask] = []
        try:
            if self._system.volume.find(path) is None:
                self._unknown.append(("tasks", "there is no Tasks folder"))
                return None
            for name, content in self._system.volume.files_below(path, facts.MAX_TASK_SIZE):
                if len(found) == _MAX_TASKS:
                    self._warnings.append(f"only the first {_MAX_TASKS} tasks are listed")
                    break
                found += self._task(name, content)
        except FerryError as fault:
            self._unknown.append(("tasks", fault.message))
            return None
        return tuple(sorted(found, key=lambda task: (task.path.casefold(), task.path)))

    def _task(self, name: str, content: bytes | None) -> list[ScheduledTask]:
        try:
            if content is None:
                message = "it cannot be read, or is too large"
                raise facts.BadTask(message)
            return [facts.scheduled_task(name, content)]
        except facts.BadTask as fault:
            self._warnings.append(f"task {clean(name)}: {fault}")
            return []

    def _guarded(self, read: Callable[[], T], otherwise: T) -> T:
        try:
            return read()
        except FerryError as fault:
            self._warnings.append(fault.message)
            return otherwise
