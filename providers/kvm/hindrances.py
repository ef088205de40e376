"""What would keep a machine from being cut off, before anything is changed. Reads only."""

from collections.abc import Iterator
from typing import Any

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.model.machine import Machine, PowerState
from orchestrator.model.network import Finding, IsolationMode, IsolationSpec, Network, NetworkSpec
from providers.kvm.link import Link
from providers.kvm.netview import find_tool, kernel_bridge
from providers.kvm.networks import detachable, misfit, to_network

_MOVABLE = {"network", "bridge"}
_NO_LINK = {"hostdev", "vdpa"}
_ISOLATED_PORTS = 6_001_000


def isolation_findings(link: Link, machine: Machine, spec: IsolationSpec) -> tuple[Finding, ...]:
    """Return what was checked for `Preflight.isolation`; a finding that is not ok is a hindrance."""
    return tuple(_findings(link, machine, spec))


def obstacle(link: Link, source: str, mode: IsolationMode, *, running: bool) -> str | None:
    """Say why a card attached to `source` (`kind:name`) cannot be cut off in this mode; None if it can.

    A stopped machine's card can be moved from anything but a passed-through device.
    """
    kind, _, name = source.partition(":")
    if kind in _NO_LINK:
        return (
            f"it is a passed-through device ({source}): its link and its packets are out of libvirt's hands"
        )
    if mode is IsolationMode.UNPLUGGED or not running:
        return None
    if kind not in _MOVABLE:
        return f"libvirt cannot move a running card off {source}; stop the machine first, or use unplugged"
    if kind == "network" and not _detachable(link, name):
        return f"network {name} is no bridge: no running card can be moved off it; stop the machine first"
    return None


def find_network(link: Link, name: str) -> tuple[Any, Network] | None:
    """Return the libvirt network of this name, its handle beside what it is, or None."""
    found: Any = link.find(f"look up network {name}", lambda: link.conn().networkLookupByName(name))
    text = None if found is None else link.find(f"read network {name}", found.XMLDesc)
    active = None if text is None else link.find(f"read network {name}", found.isActive)
    return None if text is None or active is None else (found, to_network(text, active=bool(active)))


def read_network(link: Link, name: str) -> Network | None:
    """Return the libvirt network of this name, or None."""
    found = find_network(link, name)
    return None if found is None else found[1]


def _findings(link: Link, machine: Machine, spec: IsolationSpec) -> Iterator[Finding]:
    running = machine.power is not PowerState.OFF
    if not machine.nics:
        yield Finding(check="network cards", ok=True, detail="the machine has none: nothing to cut off")
    for nic in machine.nics:
        fault = obstacle(link, nic.network, spec.mode, running=running)
        detail = fault or f"on {nic.network}: can be cut off"
        yield Finding(check=f"card {nic.key}", ok=fault is None, detail=detail)
    if len({nic.key for nic in machine.nics}) != len(machine.nics):
        detail = "two cards have the same MAC address; give each its own, they are told apart by it"
        yield Finding(check="network cards", ok=False, detail=detail)
    if spec.mode is IsolationMode.UNPLUGGED:
        return
    if spec.network is None:
        yield Finding(check="network", ok=False, detail=f"{spec.mode.value} needs a network in the plan")
        return
    yield _network(link, spec.network)
    if spec.mode is IsolationMode.FILTERED and link.local:
        yield _uplink(spec.network)
    yield _host(link)
    yield _mechanism(link)
    if spec.mode is IsolationMode.SEALED:
        yield _isolated_ports(link)


def _network(link: Link, spec: NetworkSpec) -> Finding:
    network, check = read_network(link, spec.name), f"network {spec.name}"
    if network is None:
        detail = (
            "not there; it is created" if spec.create else "not there; define it, or let the plan create it"
        )
        return Finding(check=check, ok=spec.create, detail=detail)
    fault = misfit(network, spec)
    if fault is None and not network.active and network.token is None:
        fault = f"it is not active; start it (virsh net-start {spec.name})"
    return Finding(check=check, ok=fault is None, detail=fault or f"there, bridge {network.bridge}")


def _uplink(spec: NetworkSpec) -> Finding:
    ok = spec.uplink is not None and kernel_bridge(spec.uplink)
    name = spec.uplink or "none"
    detail = f"bridge {name} is there" if ok else f"this host has no kernel bridge {name}; make it first"
    return Finding(check="uplink", ok=ok, detail=detail)


def _host(link: Link) -> Finding:
    detail = "libvirt runs on this host: its bridges can be looked at"
    if not link.local:
        detail = (
            "libvirt runs on another host, whose bridges cannot be seen from here; run ferry on that host"
        )
    return Finding(check="proof", ok=link.local, detail=detail)


def _isolated_ports(link: Link) -> Finding:
    ok = link.version() >= _ISOLATED_PORTS
    detail = "libvirt can isolate ports" if ok else "libvirt is older than 6.1: it has no isolated ports"
    return Finding(check="isolated ports", ok=ok, detail=detail)


def _mechanism(link: Link) -> Finding:
    check = "packet filter"
    if link.local and find_tool("ebtables") is None:
        return Finding(check=check, ok=False, detail="ebtables is not on this host; install it")
    try:
        link.read("list packet filters", lambda: link.conn().numOfNWFilters())
    except ProviderError as error:
        if error.kind is not ErrorKind.UNSUPPORTED:
            raise
        return Finding(check=check, ok=False, detail="this libvirt has no nwfilter driver; install it")
    return Finding(check=check, ok=True, detail="nwfilter and ebtables are there")


def _detachable(link: Link, name: str) -> bool:
    found = link.find(f"look up network {name}", lambda: link.conn().networkLookupByName(name))
    return found is not None and detachable(link.read(f"read network {name}", found.XMLDesc))
