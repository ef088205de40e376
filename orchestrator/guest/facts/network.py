"""TCP/IP configuration and the hosts file. IPv4 only: static IPv6 addresses are not kept where this looks."""

import ipaddress
import re
from collections.abc import Iterable, Iterator, Sequence

from orchestrator.guest.clean import LINE, NAME, clean
from orchestrator.guest.registry import RegistryKey, number, text, texts
from orchestrator.model.facts import Interface, NetworkConfig, Route

_MAX_HOSTS = 10_000
_MAX_ROUTES = 10_000


def network(control: RegistryKey, hosts: tuple[str, ...] | None = None) -> NetworkConfig | None:
    """Return the configuration of a control set; None where TCP/IP is not there.

    An interface on DHCP shows its last lease, since that is the address by which its neighbours know it.
    """
    parameters = control.subkey(r"Services\Tcpip\Parameters")
    if parameters is None:
        return None
    keys = parameters.subkey("Interfaces")
    found = (_interface(key) for key in (keys.subkeys() if keys else ()))
    return NetworkConfig(
        hostname=_either(parameters, "Hostname", "NV Hostname"),
        domain=_either(parameters, "Domain", "NV Domain"),
        interfaces=tuple(sorted((one for one in found if one), key=lambda one: one.id)),
        hosts=hosts,
        routes=_routes(parameters),
    )


def hosts_lines(content: bytes) -> tuple[str, ...]:
    """Return the "address name..." lines of a hosts file, single spaces, without comments, in the file's
    order.
    """
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    lines = (line.split("#", 1)[0].split() for line in content.decode(encoding, "replace").splitlines())
    return tuple(clean(" ".join(words), LINE) for words in lines if len(words) > 1)[:_MAX_HOSTS]


def _routes(parameters: RegistryKey) -> tuple[Route, ...]:
    """Return the persistent routes: value names "destination,mask,gateway,metric"."""
    key = parameters.subkey("PersistentRoutes")
    found = (_route(name) for name in (key.value_names() if key else ())[:_MAX_ROUTES])
    return tuple(sorted((one for one in found if one), key=lambda one: (one.destination, one.gateway)))


def _route(name: str) -> Route | None:
    parts = name.split(",")
    try:
        destination = ipaddress.IPv4Network(f"{parts[0]}/{parts[1]}", strict=False)
        gateway = ipaddress.IPv4Address(parts[2])
    except (IndexError, ValueError):
        return None
    metric = parts[3] if len(parts) > 3 else ""
    return Route(
        destination=str(destination),
        gateway=str(gateway),
        metric=int(metric) if re.fullmatch("[0-9]{1,9}", metric) else None,
    )


def _either(key: RegistryKey, name: str, other: str) -> str:
    return clean(text(key, name) or text(key, other) or "", NAME)


def _interface(key: RegistryKey) -> Interface | None:
    dhcp = number(key, "EnableDHCP") == 1
    prefix = "Dhcp" if dhcp else ""
    addresses = tuple(_cidr(texts(key, f"{prefix}IPAddress"), texts(key, f"{prefix}SubnetMask")))
    gateways = tuple(_addresses(texts(key, f"{prefix}DefaultGateway")))
    # Name servers set by hand win over those that DHCP gave.
    servers = text(key, "NameServer") or (text(key, "DhcpNameServer") if dhcp else None) or ""
    dns = tuple(_addresses(re.split(r"[,;\s]+", servers)))
    if not dhcp and not addresses and not dns:
        return None  # what removed adapters and tunnels leave behind
    return Interface(id=clean(key.name, NAME), dhcp=dhcp, addresses=addresses, gateways=gateways, dns=dns)


def _cidr(addresses: Sequence[str], masks: Sequence[str]) -> Iterator[str]:
    for address, mask in zip(addresses, masks, strict=False):
        try:
            found = ipaddress.IPv4Interface(f"{address}/{mask}")
        except ValueError:
            continue
        if not found.ip.is_unspecified:
            yield str(found)


def _addresses(given: Iterable[str]) -> Iterator[str]:
    for address in given:
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            continue
        if not found.is_unspecified:
            yield str(found)
