"""Networks that the plan wants: made, started, and removed when nothing uses them any more.

A network that is there is never changed: one that does not fit is refused.
"""

from typing import Any

import libvirt

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.provider import Effect, ObjectKind
from orchestrator.model.network import IsolationMode, Network, NetworkSpec
from providers.kvm.cards import parse
from providers.kvm.faults import conflict
from providers.kvm.hindrances import read_network
from providers.kvm.link import Link, act
from providers.kvm.netview import kernel_bridge
from providers.kvm.networks import misfit, network_xml

_INACTIVE = libvirt.VIR_DOMAIN_XML_INACTIVE


def ensure_network(link: Link, spec: NetworkSpec, effect: Effect) -> Network:
    """Return the network, made and started if the plan says so. Raises ProviderError: NOT_FOUND, CONFLICT."""
    network = read_network(link, spec.name)
    if network is None:
        _refuse_uncreatable(link, spec)
        effect.intend(ObjectKind.NETWORK, spec.name)
        _define(link, spec, effect)
    else:
        _refuse_misfit(network, spec)
    found = link.conn().networkLookupByName
    handle = link.read(f"look up network {spec.name}", found, spec.name)
    if network is None or network.token is not None:
        _start(link, handle, spec.name, effect)
    if effect.owns(ObjectKind.NETWORK, spec.name):
        effect.made(ObjectKind.NETWORK, spec.name)
    return usable_network(link, spec)


def usable_network(link: Link, spec: NetworkSpec) -> Network:
    """Return the network that is there, fits and is active. Raises ProviderError: NOT_FOUND, CONFLICT."""
    network = read_network(link, spec.name)
    if network is None:
        message = f"libvirt has no network {spec.name}"
        raise ProviderError(ErrorKind.NOT_FOUND, message, hint="define it, or let the plan create it")
    _refuse_misfit(network, spec)
    if not network.active:
        msg = f"network {spec.name} is not active"
        raise conflict(msg, f"virsh net-start {spec.name}")
    return network


def ensure_network_removed(link: Link, spec: NetworkSpec, effect: Effect) -> bool:
    """Remove a network of ours; False while a machine uses it. Raises ProviderError: CONFLICT."""
    network = read_network(link, spec.name)
    if network is not None:
        if network.token is None or not effect.owns(ObjectKind.NETWORK, spec.name):
            message = f"network {spec.name} was not made by this state and is not removed"
            raise conflict(message, "remove it by hand if nobody needs it")
        if _used(link, spec.name):
            return False
        handle = link.read(f"look up network {spec.name}", link.conn().networkLookupByName, spec.name)
        if network.active:
            act(effect, f"stop network {spec.name}", handle.destroy)
        act(effect, f"remove network {spec.name}", handle.undefine)
    if effect.owns(ObjectKind.NETWORK, spec.name):
        effect.removed(ObjectKind.NETWORK, spec.name)
    return True


def _refuse_uncreatable(link: Link, spec: NetworkSpec) -> None:
    if not spec.create:
        message = f"libvirt has no network {spec.name}, and the plan does not create it"
        raise ProviderError(ErrorKind.NOT_FOUND, message, hint="define it, or write create: true")
    if spec.mode is IsolationMode.FILTERED and link.local and not kernel_bridge(spec.uplink or ""):
        message = f"this host has no kernel bridge {spec.uplink}, the uplink of network {spec.name}"
        raise ProviderError(ErrorKind.NOT_FOUND, message, hint="make the bridge first")


def _refuse_misfit(network: Network, spec: NetworkSpec) -> None:
    fault = misfit(network, spec)
    if fault is not None:
        hint = "name another network in the plan, or mend this one by hand"
        msg = f"network {spec.name} does not fit the plan: {fault}"
        raise conflict(msg, hint)


def _define(link: Link, spec: NetworkSpec, effect: Effect) -> None:
    """Define it, unless another host's step was quicker: libvirt itself refuses a name that is taken."""
    try:
        text = network_xml(spec, effect.token)
        act(effect, f"define network {spec.name}", link.conn().networkDefineXML, text)
    except ProviderError as error:
        if error.kind is ErrorKind.UNCERTAIN:
            raise
        network = read_network(link, spec.name)
        if network is None:
            raise
        _refuse_misfit(network, spec)


def _start(link: Link, handle: Any, name: str, effect: Effect) -> None:
    """Let it start with the host, since the machines on it do, and start it now."""
    if not link.read(f"read network {name}", handle.autostart):
        act(effect, f"let network {name} start with the host", handle.setAutostart, 1)
    if not link.read(f"read network {name}", handle.isActive):
        act(effect, f"start network {name}", handle.create)


def _used(link: Link, name: str) -> bool:
    """Tell whether any machine's definition, persistent or running, names the network."""

    def names(domain: Any, flags: int) -> bool:
        text = link.find("read a machine's definition", domain.XMLDesc, flags)
        sources = () if text is None else parse(text).iterfind("devices/interface/source")
        return any(source.get("network") == name for source in sources)

    domains = link.read("list machines", lambda: link.conn().listAllDomains())
    return any(names(domain, flags) for domain in domains for flags in (0, _INACTIVE))
