"""The sections that lie in files of the system volume: tasks, IIS, driver packages, hosts, Startup."""

from collections.abc import Iterator, Mapping

from orchestrator.diagnostics import FerryError
from orchestrator.guest import facts
from orchestrator.guest.clean import clean
from orchestrator.guest.offline.sections import Sections
from orchestrator.guest.offline.systems import System
from orchestrator.model.facts import Driver, Iis, ScheduledTask

_MAX_HOSTS = 1024 * 1024
_MAX_TASKS = 2000
_MAX_INFS = 500
_IIS_CONFIG = r"inetsrv\config\applicationHost.config"
_IIS_REDIRECTION = r"inetsrv\config\redirection.config"


def kernel_arch(system: System) -> str | None:
    """Return the architecture in the kernel file's PE header."""
    read = system.volume.reader(system.path("ntoskrnl.exe"))
    return facts.machine(read(0, facts.HEAD)) if read else None


def has_explorer(system: System) -> bool | None:
    """Tell whether the desktop's program is there; None where the folder of Windows has no kernel either, so
    that nothing can be concluded.
    """
    if system.volume.find(rf"{system.folder}\explorer.exe") is not None:
        return True
    return False if system.volume.find(system.path("ntoskrnl.exe")) is not None else None


def servicing_stacks(system: System) -> tuple[str, ...]:
    """Return the versions of the servicing stacks: folders below servicing\\Version."""
    return tuple(sorted(system.volume.folders(rf"{system.folder}\servicing\Version")))


def startup_files(system: System) -> tuple[str, ...]:
    """Return the names of the files in the common Startup folder."""
    return tuple(system.volume.files(facts.STARTUP_FOLDER))


def hosts(system: System, notes: Sections) -> tuple[str, ...] | None:
    """Return the lines of the hosts file; None, and its reason noted, where it cannot be read."""
    try:
        content = system.volume.read(system.path(r"drivers\etc\hosts"), _MAX_HOSTS)
        return facts.hosts_lines(content or b"")
    except FerryError as fault:
        notes.missing("network.hosts", fault.message)
        return None


def tasks(system: System, notes: Sections) -> tuple[ScheduledTask, ...] | None:
    """Return the scheduled tasks by path; None where there is no folder for them. Bad ones are warned of."""
    path = system.path("Tasks")
    if system.volume.find(path) is None:
        return None
    found: list[ScheduledTask] = []
    for name, content in system.volume.files_below(path, facts.MAX_TASK_SIZE):
        if len(found) == _MAX_TASKS:
            notes.missing("tasks.rest", f"only the first {_MAX_TASKS} tasks are listed")
            break
        found += _task(name, content, notes)
    return tuple(sorted(found, key=lambda task: (task.path.casefold(), task.path)))


def _task(name: str, content: bytes | None, notes: Sections) -> Iterator[ScheduledTask]:
    try:
        if content is None:
            message = "it cannot be read, or is too large"
            raise facts.BadTask(message)
        yield facts.scheduled_task(name, content)
    except facts.BadTask as fault:
        notes.warn(f"task {clean(name)}: {fault}")


def iis(
    system: System, version: str | None, certificates: Mapping[str, str], installed: bool | None
) -> Iis | None:
    """Return the web server's configuration. Raises FerryError: it is refused, or lies elsewhere.

    `installed`: whether the Web service is there; with neither service nor file, there is known to be no
    site. None: the file is missing although it should be there.
    """
    try:
        redirection = system.volume.read(system.path(_IIS_REDIRECTION), facts.MAX_CONFIG_SIZE)
        if redirection and facts.is_redirected(redirection):
            message = "redirection.config says that the configuration lies elsewhere"
            raise FerryError(message)
        content = system.volume.read(system.path(_IIS_CONFIG), facts.MAX_CONFIG_SIZE)
        if content is None:
            return Iis(sites=(), pools=()) if installed is False else None
        return facts.iis(content, version, certificates)
    except facts.BadXml as fault:
        message = f"applicationHost.config: {fault}"
        raise FerryError(message) from fault


def drivers(system: System, notes: Sections) -> tuple[Driver, ...] | None:
    """Return the driver packages from outside Windows; None where there is no folder for them."""
    folder = rf"{system.folder}\inf"
    if system.volume.find(folder) is None:
        return None
    names = sorted(
        name
        for name in system.volume.files(folder)
        if name.casefold().startswith("oem") and name.casefold().endswith(".inf")
    )
    if len(names) > _MAX_INFS:
        notes.missing("drivers.rest", f"only the first {_MAX_INFS} of {len(names)} packages are listed")
    contents = ((name, _inf(system, rf"{folder}\{name}", notes)) for name in names[:_MAX_INFS])
    return tuple(facts.driver(name, content) for name, content in contents if content is not None)


def _inf(system: System, path: str, notes: Sections) -> bytes | None:
    return notes.guarded(lambda: system.volume.read(path, facts.MAX_INF_SIZE), None, clean(path))
