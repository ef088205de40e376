"""Networks that the plan wants: made, started, and removed when nothing uses them any more.

A network that is there is never changed: one that does not fit is refused.
"""

from typing import Any

import libvirt

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.ownership import Owner, entry, forget, hand_over, ours, settle
from orchestrator.contract.provider import Effect, ObjectKind
from orchestrator.model.network import IsolationMode, Network, NetworkSpec
from providers.kvm.cards import parse
from providers.kvm.faults import conflict, not_found
from providers.kvm.hindrances import find_network, read_network
from providers.kvm.link import Link, act
from providers.kvm.netview import kernel_bridge
from providers.kvm.networks import misfit, network_xml, owned, owner_of

_INACTIVE = libvirt.VIR_DOMAIN_XML_INACTIVE


def ensure_network(link: Link, spec: NetworkSpec, effect: Effect) -> Network:
    """Return the network, made and started if the plan says so. Raises ProviderError: NOT_FOUND, CONFLICT.

    It is ours only if it bears our token then: another state may have been quicker.
    """
    found = find_network(link, spec.name)
    if found is None:
        _refuse_uncreatable(link, spec)
        found = _define(link, spec, effect)
    handle, network = found
    settle(effect, ObjectKind.NETWORK, spec.name, network.token)
    _refuse_misfit(network, spec)
    if network.token is None or not _start(link, handle, network, effect):
        return _active(network)
    return usable_network(link, spec)


def usable_network(link: Link, spec: NetworkSpec) -> Network:
    """Return the network that is there, fits and is active. Raises ProviderError: NOT_FOUND, CONFLICT."""
    network = read_network(link, spec.name)
    if network is None:
        message = f"libvirt has no network {spec.name}"
        raise ProviderError(ErrorKind.NOT_FOUND, message, hint="define it, or let the plan create it")
    _refuse_misfit(network, spec)
    return _active(network)


def ensure_network_removed(link: Link, spec: NetworkSpec, effect: Effect) -> bool:
    """Remove a network of ours; False while a machine uses it. Raises ProviderError: CONFLICT."""
    found = find_network(link, spec.name)
    if found is not None:
        handle, network = found
        if not ours(effect, ObjectKind.NETWORK, spec.name, network.token):
            message = f"network {spec.name} was not made by this state and is not removed"
            raise conflict(message, "remove it by hand if nobody needs it")
        if _used(link, spec.name):
            return False
        if network.active:
            act(effect, f"stop network {spec.name}", handle.destroy)
        _hand_over(link, handle, spec.name, effect)
        act(effect, f"remove network {spec.name}", handle.undefine)
    forget(effect, ObjectKind.NETWORK, spec.name, effect.token)
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


def _active(network: Network) -> Network:
    if not network.active:
        msg = f"network {network.name} is not active"
        raise conflict(msg, f"virsh net-start {network.name}")
    return network


def _define(link: Link, spec: NetworkSpec, effect: Effect) -> tuple[Any, Network]:
    """Define it, unless another one was quicker; return what is there then.

    Without a uuid: so libvirt itself refuses a name that is taken, and never redefines what is there.
    """
    effect.intend(ObjectKind.NETWORK, entry(spec.name, effect.token))
    try:
        text = network_xml(spec, effect.token)
        act(effect, f"define network {spec.name}", link.conn().networkDefineXML, text)
    except ProviderError as error:
        if error.kind is ErrorKind.UNCERTAIN:
            raise
        found = find_network(link, spec.name)
        if found is None:
            settle(effect, ObjectKind.NETWORK, spec.name, None)
            raise
        return found
    found = find_network(link, spec.name)
    if found is None:
        what = f"network {spec.name}, defined just now,"
        raise not_found(what)
    return found


def _start(link: Link, handle: Any, network: Network, effect: Effect) -> bool:
    """Let it start with the host, since the machines on it do, and start it now. Tell whether it was
    changed."""
    idle = not link.read(f"read network {network.name}", handle.autostart)
    if idle:
        act(effect, f"let network {network.name} start with the host", handle.setAutostart, 1)
    if not network.active:
        act(effect, f"start network {network.name}", handle.create)
    return idle or not network.active


def _hand_over(link: Link, handle: Any, name: str, effect: Effect) -> None:
    """Mark it as about to be removed. The definition bears its uuid: libvirt refuses it where meanwhile
    another network has the name."""
    text = link.read(f"read network {name}", handle.XMLDesc, libvirt.VIR_NETWORK_XML_INACTIVE)
    owner = owner_of(text)
    if owner is None or not ours(effect, ObjectKind.NETWORK, name, owner.token):
        message = f"network {name} was changed meanwhile and is not removed"
        raise conflict(message, "remove it by hand if nobody needs it")

    def change(new: Owner) -> None:
        act(effect, f"mark network {name} for removal", link.conn().networkDefineXML, owned(text, new))

    hand_over(effect, ObjectKind.NETWORK, name, owner, change)


def _used(link: Link, name: str) -> bool:
    """Tell whether any machine's definition, persistent or running, names the network."""

    def names(domain: Any, flags: int) -> bool:
        text = link.find("read a machine's definition", domain.XMLDesc, flags)
        sources = () if text is None else parse(text).iterfind("devices/interface/source")
        return any(source.get("network") == name for source in sources)

    domains = link.read("list machines", lambda: link.conn().listAllDomains())
    return any(names(domain, flags) for domain in domains for flags in (0, _INACTIVE))
