"""From a collector's output to ServerFacts. Runs inside the sandbox only: what it reads is hostile.

Registry parts go through the same functions as hives from a disk (`guest.facts`). Each section stands alone:
what could not be seen becomes unknown, with its reason.
"""

import struct
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from orchestrator.guest import facts
from orchestrator.guest.clean import NAME, clean
from orchestrator.guest.collectors import people, wmi
from orchestrator.guest.collectors.raw import Raw, Text, decoded
from orchestrator.guest.collectors.regtext import TextKey, read_export
from orchestrator.guest.collectors.table import Unseen
from orchestrator.model.facts import (
    Identity,
    Iis,
    NetworkConfig,
    Origin,
    Role,
    ScheduledTask,
    ServerFacts,
    Servicing,
)

CHUNK = 8 * 1024 * 1024
REQUEST = struct.Struct(">Q")
_MACHINE = "HKEY_LOCAL_MACHINE"
_SOFTWARE, _CONTROL_SET = r"HKLM\SOFTWARE", r"HKLM\SYSTEM\CurrentControlSet"
_CONTROL, _SERVICES = rf"{_CONTROL_SET}\Control", rf"{_CONTROL_SET}\Services"
_WINDOWS = rf"{_SOFTWARE}\Microsoft\Windows\CurrentVersion"
_NOT_SEARCHED = "disks are not searched from inside; read a snapshot of the machine"
_MAX_WARNINGS = 50

T = TypeVar("T")


def parse(argument: Any, ask: Callable[[bytes], bytes]) -> Any:
    """Return ServerFacts as JSON. `argument`: the output's length; `ask` gives CHUNK bytes from an offset
    on. Raises FerryError (code "bad-collection")."""
    parts = (ask(REQUEST.pack(offset)) for offset in range(0, int(argument), CHUNK))
    return facts_of(decoded(b"".join(parts))).model_dump(mode="json")


def facts_of(raw: Raw) -> ServerFacts:
    """Return the facts. Raises FerryError."""
    return _Collection(raw).facts()


class _Collection:
    """Collects sections, and beside them what is unknown, where it came from and what is odd."""

    def __init__(self, raw: Raw) -> None:
        self._raw = raw
        self._sections: dict[str, Any] = {}
        self._unknown: list[tuple[str, str]] = []
        self._sources: list[tuple[str, str]] = []
        self._warnings: list[str] = []
        root = TextKey("")
        odd = sum(read_export(part.lines, root) for _, part in sorted(raw.registry.items()))
        if odd:
            self._warnings.append(f"{odd} lines of exported registry keys could not be read")
        machine = root.make(_MACHINE)
        self._software, self._control = machine.make("SOFTWARE"), machine.make(r"SYSTEM\CurrentControlSet")

    def facts(self) -> ServerFacts:
        who = self._identity()
        self._accounts()
        self._of_wmi()
        self._of_control()
        self._of_software(who)
        self._of_files(who)
        self._unknown += [("programs", _NOT_SEARCHED), ("build_tests", _NOT_SEARCHED)]
        return ServerFacts(
            origin=Origin.IN_GUEST,
            identity=who,
            **self._sections,
            unknown=tuple(self._unknown),
            sources=tuple(self._sources),
            warnings=tuple(self._warnings[:_MAX_WARNINGS]),
        )

    def _identity(self) -> Identity:
        found, odd = facts.identity(self._software, self._control, explorer=self._raw.machine.desktop)
        self._warnings += odd
        told = {"membership": wmi.membership(self._raw), "sku": wmi.sku(self._raw)}
        return found.model_copy(update={name: value for name, value in told.items() if value is not None})

    def _accounts(self) -> None:
        try:
            found = people.accounts(self._raw)
        except Unseen as fault:
            self._unknown += [("users", str(fault)), ("groups", str(fault))]
            self._names: dict[str, str] = {}
            return
        self._names = dict(found.names)
        self._keep("users", found.users, "Win32_UserAccount")
        self._keep("groups", found.groups, "Win32_Group")

    def _of_wmi(self) -> None:
        for name, read, source in (
            ("disks", wmi.disks, "Win32_DiskDrive"),
            ("volumes", wmi.volumes, "Win32_Volume"),
            ("hotfixes", wmi.hotfixes, "Win32_QuickFixEngineering"),
            ("drivers", wmi.drivers, "Win32_PnPSignedDriver"),
            ("listeners", wmi.listeners, "netstat"),
            ("roles", self._roles, "server features and registry"),
        ):
            self._section(name, lambda read=read: read(self._raw), source)  # type: ignore[misc]

    def _roles(self, raw: Raw) -> tuple[Role, ...] | None:
        """What the server manager lists; where it does not, what has left a mark is only added to WMI's."""
        listed = facts.listed_roles(self._software)
        if listed is not None and raw.collector != "powershell":
            return listed
        told = wmi.roles(raw)
        ids = {role.id.casefold() for role in told}
        marks = facts.evident_roles(self._software, self._control) if raw.collector == "cscript" else ()
        found = [*told, *(role for role in marks if role.id.casefold() not in ids)]
        return tuple(sorted(found, key=lambda role: (role.id.casefold(), role.id)))

    def _of_control(self) -> None:
        control = self._control
        for name, keys, read in (
            ("services", (_SERVICES,), lambda: facts.services(control)),
            (
                "shares",
                (_SERVICES, rf"{_SERVICES}\LanmanServer\Shares"),
                lambda: facts.shares(control, self._names),
            ),
            ("network", (rf"{_SERVICES}\Tcpip\Parameters",), self._network),
            (
                "firewall",
                (rf"{_SERVICES}\SharedAccess\Parameters\FirewallPolicy",),
                lambda: facts.firewall(control, self._software),
            ),
            (
                "environment",
                (rf"{_CONTROL}\Session Manager\Environment",),
                lambda: facts.environment(control),
            ),
            ("time_zone", (rf"{_CONTROL}\TimeZoneInformation",), lambda: facts.time_zone(control)),
            (
                "security",
                (_SERVICES, rf"{_CONTROL}\SecurityProviders\SCHANNEL\Protocols"),
                lambda: facts.security(control),
            ),
            (
                "printers",
                (
                    rf"{_CONTROL}\Print\Printers",
                    rf"{_SOFTWARE}\Microsoft\Windows NT\CurrentVersion\Print\Printers",
                ),
                lambda: facts.printers(control, self._software),
            ),
        ):
            self._of_registry(name, keys, read)

    def _of_software(self, who: Identity) -> None:
        root = self._software
        for name, keys, read in (
            ("software", (rf"{_WINDOWS}\Uninstall",), lambda: facts.software(root, who.arch)),
            ("odbc", (rf"{_SOFTWARE}\ODBC",), lambda: facts.odbc(root, who.arch)),
            ("autostart", (rf"{_WINDOWS}\Run",), self._autostart),
            (
                "certificates",
                (rf"{_SOFTWARE}\Microsoft\SystemCertificates\MY\Certificates",),
                lambda: facts.certificates(root),
            ),
            ("servicing", (rf"{_WINDOWS}\Component Based Servicing\Version",), lambda: self._servicing(who)),
        ):
            self._of_registry(name, keys, read)

    def _autostart(self) -> Any:
        startup = self._raw.files.startup
        if startup.state == "denied":
            message = "the common Startup folder cannot be read"
            raise Unseen(message)
        return facts.autostart(self._software, [name for name in startup.lines if name])

    def _servicing(self, who: Identity) -> Servicing | None:
        return facts.servicing(self._software, self._sections.get("hotfixes"), who.version)

    def _network(self) -> NetworkConfig | None:
        hosts = self._raw.files.hosts
        if hosts.state not in ("read", "absent"):
            self._unknown.append(("network.hosts", f"the hosts file: {clean(hosts.state, NAME)}"))
            return facts.network(self._control)
        return facts.network(
            self._control, facts.hosts_lines("\n".join(hosts.lines).encode("utf-8", "replace"))
        )

    def _of_files(self, who: Identity) -> None:
        self._section("iis", lambda: self._iis(who), "applicationHost.config")
        self._section("tasks", self._tasks, "task files")

    def _iis(self, who: Identity) -> Iis:
        config = self._raw.files.iis
        if config.state != "read":
            message = f"applicationHost.config: {clean(config.state, NAME)}"
            raise Unseen(message)
        content = self._utf8("\n".join(config.lines))
        try:
            return facts.iis(content, who.version, facts.ssl_bindings(self._control))
        except facts.BadXml as fault:
            message = f"applicationHost.config: {fault}"
            raise Unseen(message) from fault

    def _utf8(self, text: str) -> bytes:
        """cscript reads a UTF-8 file by the machine's code page: turn that back where it can be."""
        if self._raw.collector == "cscript" and not text.isascii():
            try:
                return text.encode("cp1252").decode("utf-8").encode("utf-8")
            except UnicodeError:
                self._warnings.append("applicationHost.config: letters beyond ASCII may be wrong")
        return text.encode("utf-8", "replace")

    def _tasks(self) -> tuple[ScheduledTask, ...]:
        tasks = self._raw.files.tasks
        if tasks.state != "read":
            message = f"the Tasks folder: {clean(tasks.state, NAME)}"
            raise Unseen(message)
        found = []
        for path, part in sorted(tasks.files.items()):
            try:
                found.append(_task(path, part))
            except facts.BadTask as fault:
                self._warnings.append(f"task {clean(path)}: {fault}")
        return tuple(sorted(found, key=lambda task: (task.path.casefold(), task.path)))

    def _of_registry(self, name: str, keys: Sequence[str], read: Callable[[], Any]) -> None:
        """Read a section for which all `keys` must have been seen; one that is not there was seen."""
        for key in keys:
            state = self._raw.registry.get(key, Text(state="not asked for")).state
            if state not in ("read", "absent"):
                self._unknown.append((name, f"{key}: {clean(state, NAME)}"))
                return
        self._section(name, read, "registry")

    def _section(self, name: str, read: Callable[[], Any], source: str) -> None:
        try:
            found = read()
        except Unseen as fault:
            self._unknown.append((name, str(fault)))
            return
        if found is None:
            self._unknown.append((name, "the part of the registry that would hold it is not there"))
            return
        self._keep(name, found, source)

    def _keep(self, name: str, found: Any, source: str) -> None:
        self._sections[name] = found
        self._sources.append((name, f"{self._raw.collector}: {source}"))


def _task(path: str, part: Text) -> ScheduledTask:
    if part.state != "read":
        raise facts.BadTask(clean(part.state, NAME))
    lines = "\n".join(part.lines).lstrip("\ufeff")
    # It was decoded in the guest: what the file claims of its encoding no longer holds.
    return facts.scheduled_task(path, ("\ufeff" + lines).encode("utf-16-le", "replace"))
