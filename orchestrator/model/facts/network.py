"""The network: addresses, names, routes, listeners, firewall, shares, and the protocols that are spoken."""

from orchestrator.model.base import Value


class Permission(Value):
    """One entry of an access control list. `right` is full, change, read, or the mask as "0x001200a9"."""

    account: str
    """A name, or the SID where no name is known."""
    right: str
    allow: bool = True


class Share(Value):
    """A file share."""

    name: str
    path: str
    remark: str = ""
    kind: str = "disk"
    """disk, printer, ipc, device."""
    permissions: tuple[Permission, ...] | None = None


class Interface(Value):
    """One network interface's TCP/IP settings."""

    id: str
    dhcp: bool
    addresses: tuple[str, ...]
    """CIDR form."""
    gateways: tuple[str, ...]
    dns: tuple[str, ...]


class Route(Value):
    """A persistent route. `destination` in CIDR form."""

    destination: str
    gateway: str
    metric: int | None = None


class NetworkConfig(Value):
    """TCP/IP configuration and the hosts file. `hosts` holds "address name..." lines without comments."""

    hostname: str
    domain: str
    interfaces: tuple[Interface, ...]
    hosts: tuple[str, ...] | None = None
    routes: tuple[Route, ...] | None = None
    """Persistent routes."""


class Listener(Value):
    """A port on which something listens."""

    protocol: str
    """tcp or udp."""
    address: str
    port: int
    process: str = ""


class FirewallRule(Value):
    """One rule of Windows Firewall. Fields as stored; "*" is any."""

    name: str
    enabled: bool
    inbound: bool
    allow: bool
    protocol: str
    local_ports: str = "*"
    remote_addresses: str = "*"
    program: str = ""
    service: str = ""
    profiles: str = "*"


class Firewall(Value):
    """Windows Firewall. `profiles`: (domain | private | public, on)."""

    profiles: tuple[tuple[str, bool], ...]
    rules: tuple[FirewallRule, ...]


class Protocol(Value):
    """One setting of SCHANNEL: None means that the release's own default holds."""

    name: str
    """"TLS 1.0"."""
    side: str
    """client or server."""
    enabled: bool | None


class Security(Value):
    """Protocols that old peers need and new releases refuse. None: the release's own default holds."""

    tls: tuple[Protocol, ...]
    smb1_server: bool | None
    smb1_client: bool | None
    smb_signing_required: bool | None
    lm_compatibility: int | None
    """LmCompatibilityLevel 0..5; below 3 the machine sends NTLMv1."""
