"""What would keep a machine from being cut off, before anything is changed. Reads only, and not anew for each
machine: what was read of the networks a moment ago is good enough for a preview."""

from collections.abc import Iterator

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.model.machine import Machine, PowerState
from orchestrator.model.network import Finding, IsolationMode, IsolationSpec, NetworkSpec
from providers.vsphere.inventory import VsphereInventory
from providers.vsphere.link import Link
from providers.vsphere.networkrole import choose, misfit, refuse_uncreatable, refuse_unfiltered
from providers.vsphere.networks import Networks

_SRIOV = "sriovethernetcard"
_RESTORABLE = ("portgroup", "dvportgroup", "opaque")


def isolation_findings(
    link: Link, inventory: VsphereInventory, machine: Machine, spec: IsolationSpec
) -> tuple[Finding, ...]:
    """Return what was checked for `Preflight.isolation`; a finding that is not ok is a hindrance."""
    return tuple(_findings(link, inventory.known_networks, machine, spec))


def _findings(link: Link, networks: Networks, machine: Machine, spec: IsolationSpec) -> Iterator[Finding]:
    if machine.power is PowerState.PAUSED:
        detail = "it is suspended, and vCenter changes no card of a suspended machine; resume it, or stop it"
        yield Finding(check="power", ok=False, detail=detail)
    if not machine.nics:
        yield Finding(check="network cards", ok=True, detail="the machine has none: nothing to cut off")
    for nic in machine.nics:
        fault = obstacle(nic.model, nic.network)
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
    yield _network(link, networks, spec.network)
    if spec.network.site_filter is not None:
        detail = f"the site's own, not made and not checked by ferry: {spec.network.site_filter}"
        yield Finding(check="packet filter", ok=True, detail=detail)


def obstacle(model: str, network: str) -> str | None:
    """Say why a card of this model on this network (`kind:name`) cannot be cut off; None if it can."""
    if model == _SRIOV:
        return "it is an SR-IOV card: its packets pass the switch by, out of vCenter's hands"
    kind, _, name = network.partition(":")
    if kind not in _RESTORABLE or not name:
        return f"it is attached to {name or 'nothing'}, where ferry could not put it back"
    return None


def _network(link: Link, networks: Networks, spec: NetworkSpec) -> Finding:
    check = f"network {spec.name}"
    try:
        refuse_unfiltered(spec)
        found = choose(networks, networks.recent(spec.name), spec)
        if found is None:
            refuse_uncreatable(link, networks, spec)
            return Finding(check=check, ok=True, detail=_creation(spec))
    except ProviderError as error:
        if error.kind in (ErrorKind.TRANSIENT, ErrorKind.DENIED):
            raise
        return Finding(check=check, ok=False, detail=f"{error.message}; {error.hint}".rstrip("; "))
    fault = misfit(found, spec)
    detail = fault or f"there, a {found.kind} portgroup on switch {', '.join(found.switches)}"
    return Finding(check=check, ok=fault is None, detail=detail)


def _creation(spec: NetworkSpec) -> str:
    where = f"on switch {spec.switch}" if spec.switch else "on a standard switch of its own on every host"
    return f"not there; it is created, {where}"
