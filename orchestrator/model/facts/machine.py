"""Disks, volumes and what Windows itself is made of: roles, updates, environment."""

from datetime import date

from orchestrator.model.base import Value


class DiskLayout(Value):
    """One disk as its partition table shows it. `index` counts from 0; `size` in bytes."""

    index: int
    size: int
    scheme: str
    """mbr, gpt, none."""
    dynamic: bool
    """A disk of the Logical Disk Manager, whose volumes may span several disks."""


class Volume(Value):
    """One volume. Bytes; `used` is what migration needs: images differ in size."""

    letter: str
    """"C:", or "" where none is known."""
    label: str
    filesystem: str
    size: int
    used: int | None
    disk: int | None = None
    """Index of its disk, where it lies on one."""
    encrypted: bool = False


class Role(Value):
    """A role, role service or feature that is installed."""

    id: str
    """The collector's own: a component name (oclist, ServerManagerCmd), or a name of Get-WindowsFeature."""
    name: str = ""


class Hotfix(Value):
    """One installed update."""

    id: str
    """"KB4474419"."""
    installed_on: date | None = None


class Servicing(Value):
    """What decides whether further updates install at all. None is unknown."""

    sha2: bool | None
    """Updates signed with SHA-2 only are accepted (KB4474419 or newer)."""
    servicing_stack: str | None
    """Version of the newest servicing stack, "6.0.6003.20555"."""
    reboot_pending: bool | None = None


class EnvironmentVariable(Value):
    """A variable of the machine, unexpanded."""

    name: str
    value: str


class Driver(Value):
    """A driver package from outside Windows ("oem12.inf")."""

    inf: str
    provider: str
    version: str
    device_class: str


class Printer(Value):
    """A printer that is installed on the server."""

    name: str
    driver: str
    port: str
    shared_as: str = ""
    """The share's name; "" if it is not shared."""


class OdbcSource(Value):
    """A system data source. `view` is 64 or 32. Passwords are never kept."""

    name: str
    driver: str
    server: str
    database: str
    view: int
