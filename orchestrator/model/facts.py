"""ServerFacts: what one Windows server is and does, whichever way it was collected. Version 1.

A section that a collector cannot see is None (*unknown*), never an empty tuple (*known to be none*).
Strings from a guest are hostile:
they are cleaned of control characters and cut at limits by the collector, and escaped again in every output.
"""

from enum import StrEnum

from orchestrator.model.base import Value

FACTS_VERSION = 1


class ProductType(StrEnum):
    """ProductOptions\\ProductType / Win32_OperatingSystem.ProductType."""

    WORKSTATION = "workstation"
    DOMAIN_CONTROLLER = "domain-controller"
    SERVER = "server"


class Origin(StrEnum):
    """How facts were collected."""

    OFFLINE = "offline"
    IN_GUEST = "in-guest"
    IMPORTED = "imported"


class Identity(Value):
    """Which Windows. Fields are as stored, cleaned; None is unknown."""

    version: str | None
    """"6.0", "10.0"."""
    build: int | None
    revision: int | None = None
    """UBR, from Windows 10 on."""
    product_name: str | None
    """As shown to people; it may be edited, so no verdict rests on it."""
    edition: str | None
    product_type: ProductType | None
    arch: str | None
    """x86, x64, ia64, arm64."""
    service_pack: str | None
    installation_type: str | None = None
    hostname: str | None


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


class Share(Value):
    """A file share."""

    name: str
    path: str
    remark: str = ""


class Software(Value):
    """One Uninstall entry. `view` is 64 or 32: the registry view that holds it."""

    key: str
    name: str
    version: str
    publisher: str
    view: int


class Interface(Value):
    """One network interface's TCP/IP settings."""

    id: str
    dhcp: bool
    addresses: tuple[str, ...]
    """CIDR form."""
    gateways: tuple[str, ...]
    dns: tuple[str, ...]


class NetworkConfig(Value):
    """TCP/IP configuration and the hosts file. `hosts` holds "address name..." lines without comments."""

    hostname: str
    domain: str
    interfaces: tuple[Interface, ...]
    hosts: tuple[str, ...] | None = None


class ScheduledTask(Value):
    """One task file. `commands` are the Exec actions' command lines."""

    path: str
    enabled: bool
    commands: tuple[str, ...]
    author: str = ""


class ServerFacts(Value):
    """Everything known of one server. `unknown` names each section that is None, with the reason."""

    facts_version: int = FACTS_VERSION
    origin: Origin
    identity: Identity
    services: tuple[Service, ...] | None = None
    shares: tuple[Share, ...] | None = None
    software: tuple[Software, ...] | None = None
    network: NetworkConfig | None = None
    tasks: tuple[ScheduledTask, ...] | None = None
    unknown: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    """What the collector had to work around ("SYSTEM was dirty, 12 log entries replayed")."""
