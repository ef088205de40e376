"""Whether a network fits what the plan wants, and whether a machine is isolated, told from the centre's
state alone. Pure."""

from collections.abc import Iterator

from orchestrator.model.network import Finding, IsolationMode, IsolationSpec, NetworkSpec
from providers.simulated.site import short
from providers.simulated.world import Attachment, Centre, SimMachine, SimNetwork, SimNic


def misfits(network: SimNetwork, spec: NetworkSpec) -> tuple[str, ...]:
    """Return every reason why an existing network does not fit the spec; empty if it does."""
    return tuple(_misfits(network, spec))


def _misfits(network: SimNetwork, spec: NetworkSpec) -> Iterator[str]:
    if not network.active:
        yield "it is not active"
    if spec.mode is None:
        return
    if network.addresses:
        yield f"the host has addresses on it: {', '.join(network.addresses)}"
    if network.uplink != spec.uplink:
        yield f"its uplink is {network.uplink or 'none'}, not {spec.uplink or 'none'}"


def filter_name(machine: SimMachine) -> str:
    """Return the name of the filter that isolates this machine; one for each."""
    return f"ferry-{short(machine.id)}"


def isolated_attachment(machine: SimMachine, spec: IsolationSpec, now: Attachment) -> Attachment:
    """Return what a card is to be plugged into.

    The link state stays as it is where the network does the work.
    """
    if spec.network is None:
        return now.model_copy(update={"link_up": False})
    filtered = spec.mode is IsolationMode.FILTERED
    return Attachment(
        network=f"network:{spec.network.name}",
        link_up=now.link_up,
        filter=filter_name(machine) if filtered else None,
        port_isolated=True,
    )


def findings(centre: Centre, machine: SimMachine, spec: IsolationSpec) -> Iterator[Finding]:
    """Yield what the centre's state says of each card, live and persistent, and of the network."""
    if not machine.nics:
        yield Finding(check="cards", ok=True, detail=f"{machine.name} has no network card")
    for nic in machine.nics:
        if nic.live is None:
            yield Finding(check=f"{nic.mac} live", ok=True, detail="the machine is stopped")
        else:
            yield from _attachment(machine, spec, nic, nic.live, "live")
        yield from _attachment(machine, spec, nic, nic.config, "persistent")
    if spec.network is not None:
        yield from _network(centre, spec.network)
    if spec.mode is IsolationMode.FILTERED:
        yield _filter(centre, machine, spec)


def _attachment(
    machine: SimMachine, spec: IsolationSpec, nic: SimNic, attachment: Attachment, view: str
) -> Iterator[Finding]:
    wanted = isolated_attachment(machine, spec, attachment)
    link = "up" if attachment.link_up else "down"
    seen = f"{attachment.network}, link {link}, filter {attachment.filter or 'none'}"
    isolated = "isolated" if attachment.port_isolated else "open to its neighbours"
    detail = f"plugged into {seen}, port {isolated}"
    yield Finding(check=f"{nic.mac} {view}", ok=attachment == wanted, detail=detail)


def _network(centre: Centre, spec: NetworkSpec) -> Iterator[Finding]:
    network = centre.networks.get(spec.name)
    if network is None:
        yield Finding(check="network", ok=False, detail=f"network {spec.name} is not there")
        return
    reasons = misfits(network, spec)
    detail = "; ".join(reasons) or f"uplink {network.uplink or 'none'}, no host address"
    yield Finding(check=f"network {spec.name}", ok=not reasons, detail=detail)
    neighbours = sorted({m.name for m, _, plugged in centre.users(spec.name) if not plugged.port_isolated})
    detail = f"machines on open ports: {', '.join(neighbours) or 'none'}"
    yield Finding(check=f"neighbours on {spec.name}", ok=not neighbours, detail=detail)


def _filter(centre: Centre, machine: SimMachine, spec: IsolationSpec) -> Finding:
    packet_filter = centre.filters.get(filter_name(machine))
    wanted = list(spec.network.allow) if spec.network else []
    if packet_filter is None:
        return Finding(check="filter", ok=False, detail="the filter is not there")
    same = packet_filter.flows == wanted and packet_filter.machine == machine.id
    allowed = ", ".join(f"{flow.proto} {flow.to} {flow.port or ''}".strip() for flow in packet_filter.flows)
    return Finding(check=f"filter {packet_filter.name}", ok=same, detail=f"lets pass: {allowed or 'nothing'}")
