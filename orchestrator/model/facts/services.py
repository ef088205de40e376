"""What runs: services, tasks, auto-start entries, programs, and the places that test for a build number."""

from enum import StrEnum

from orchestrator.model.base import Value


class StartMode(StrEnum):
    """Service start value 0..4."""

    BOOT = "boot"
    SYSTEM = "system"
    AUTO = "auto"
    MANUAL = "manual"
    DISABLED = "disabled"


class Service(Value):
    """A service or driver of the current control set. `driver` tells kernel and file-system drivers from
    Win32 services."""

    name: str
    display_name: str
    start: StartMode | None
    account: str
    image_path: str
    driver: bool
    delayed: bool = False
    triggers: tuple[str, ...] = ()
    """What starts it beside its start mode ("network-available", "device: {...}"); from Windows 6.1 on."""


class Software(Value):
    """One Uninstall entry. `view` is 64 or 32: the registry view that holds it."""

    key: str
    name: str
    version: str
    publisher: str
    view: int


class ScheduledTask(Value):
    """One task file. `commands` are the Exec actions' command lines."""

    path: str
    enabled: bool
    commands: tuple[str, ...]
    author: str = ""
    run_as: str = ""
    """The account, or the SID as stored."""
    triggers: tuple[str, ...] = ()
    """Each in words: "daily at 22:00", "at start"."""


class AutoStart(Value):
    """An entry that starts a program at boot or logon. `where` is the place ("Run", "RunOnce", "Startup")."""

    where: str
    name: str
    command: str


class ProgramKind(StrEnum):
    """What an executable file is built for."""

    DOS = "dos"
    WIN16 = "win16"
    X86 = "x86"
    X64 = "x64"
    IA64 = "ia64"
    OTHER = "other"


class Program(Value):
    """An executable that a service, task or auto-start entry runs, or that lies among the programs."""

    path: str
    kind: ProgramKind
    dotnet: str = ""
    """Version of the common language runtime that it was built for ("v2.0.50727"); "" for none."""


class BuildTest(Value):
    """A place that looks for one exact build number of Windows, and so breaks when it changes."""

    path: str
    """The script's path, or "task:..." / "service:..."."""
    line: int
    """From 1; 0 where there are no lines."""
    text: str
