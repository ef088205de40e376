"""What each step of a host will do, in words and in values, and how it is taken back. Pure text from plan
and observation."""

from collections.abc import Callable

from orchestrator.changeset.changes import KnownIdentity, Step, StepKind
from orchestrator.model.machine import Consistency, Machine, PowerState
from orchestrator.model.network import Flow, IsolationMode, IsolationSpec, NetworkSpec
from orchestrator.model.plan import HostPlan
from orchestrator.model.target import GoldenImage, Placement, TargetSpec
from orchestrator.model.time_zones import DEFAULT

Values = tuple[tuple[str, str], ...]
TEMPLATE = "template"
"""The format of an image that is a hypervisor's own template."""


def apply_steps(
    host: HostPlan, source: Machine, known: KnownIdentity | None, image: GoldenImage | None = None
) -> tuple[Step, ...]:
    """Return the steps of one host in the order in which they run. `image`: what its target is staged from;
    a hypervisor's own template is customized by the hypervisor."""
    steps = [
        _preflight(host),
        _claim(source),
        _snapshot(host, source),
        _identify(host, known),
        _inventory(host),
    ]
    if host.isolation is not None:
        steps += [_isolate(source, host.isolation), _verify(source, host.isolation)]
    if host.target is not None:
        steps += [_stage(host.target, image), _inventory_target(host.target)]
        if host.parity is not None:
            steps.append(_parity(host))
    steps.append(_release_claim())
    return tuple(steps)


def _step(kind: StepKind, title: str, values: Values = (), undo: str = "", *, mutates: bool) -> Step:
    return Step(kind=kind, title=title, values=values, undo=undo, mutates=mutates)


def _preflight(host: HostPlan) -> Step:
    title = f"Look at {host.vm} again; stop if anything material differs from this change set"
    return _step(StepKind.PREFLIGHT, title, mutates=False)


def _claim(source: Machine) -> Step:
    return _step(
        StepKind.CLAIM,
        f"Mark {source.ref.name} as held by this run, so that no other run touches it",
        (("machine id", source.ref.id),),
        "The mark is taken off at the end of the run or of its undo.",
        mutates=True,
    )


def effective_consistency(asked: Consistency, power: PowerState) -> Consistency:
    """Return what a snapshot will be: crash-consistent of a stopped machine is offline, which is better."""
    return Consistency.OFFLINE if asked is Consistency.CRASH and power is PowerState.OFF else asked


def _snapshot(host: HostPlan, source: Machine) -> Step:
    disks = [d for d in source.disks if not d.cdrom]
    consistency = effective_consistency(host.snapshot, source.power)
    values = (("consistency", consistency.value), ("power", source.power.value))
    return _step(
        StepKind.SNAPSHOT,
        f"Snapshot {len(disks)} disk{'s' if len(disks) != 1 else ''} of {source.ref.name}",
        values + tuple((f"disk {d.key}", f"{d.source} ({_size(d.size_bytes)})") for d in disks),
        "The snapshot is removed by merging; every write made since it was taken is kept.",
        mutates=True,
    )


def _identify(host: HostPlan, known: KnownIdentity | None) -> Step:
    expected = host.expect
    values: Values = (
        ("must be", "Windows Server 2008 SP2 (6.0, build 6002 or 6003, server product)"),
        ("plan expects build", str(expected.build) if expected.build else "6002 or 6003"),
        ("plan expects architecture", expected.arch or "any"),
    )
    if known is None:
        values += (("known now", "unknown: no earlier evidence; it is read from the snapshot"),)
    else:
        values += (
            (
                "known now",
                f"build {known.identity.build} {known.identity.arch}, seen {known.at:%Y-%m-%d %H:%M} UTC",
            ),
        )
    title = "Read from the snapshot which Windows it is; if it is another one, remove the snapshot and stop"
    return _step(StepKind.IDENTIFY, title, values, mutates=False)


def _inventory(host: HostPlan) -> Step:
    return _step(StepKind.INVENTORY, f"Take the inventory of {host.name} from the snapshot", mutates=False)


def flow_words(flow: Flow) -> str:
    """Return one allowed flow in words."""
    port = f" port {flow.port}" if flow.port is not None else ""
    return f"{flow.proto} to {flow.to}{port}" + (f" ({flow.why})" if flow.why else "")


def network_words(network: NetworkSpec | None) -> str:
    """Return a network with what becomes of it."""
    if network is None:
        return "none"
    if not network.create:
        return network.name
    where = f", on switch {network.switch}" if network.switch else ""
    where += f", VLAN {network.vlan}" if network.vlan else ""
    return f"{network.name} (created if it is not there{where})"


def site_filter_words(network: NetworkSpec | None) -> str | None:
    """Return whose filter a network has where it is the site's; None where ferry makes it."""
    if network is None or network.site_filter is None:
        return None
    return f"the site's own filter, not made or checked by ferry: {network.site_filter}"


def _whose_filter(network: NetworkSpec | None) -> str:
    return "a filter" if site_filter_words(network) is None else "the site's own filter"


_CUTS: dict[IsolationMode, Callable[[IsolationSpec], str]] = {
    IsolationMode.UNPLUGGED: lambda _: "Take the link of every network card down",
    IsolationMode.SEALED: lambda spec: (
        f"Move every network card to the sealed network {network_words(spec.network)}"
    ),
    IsolationMode.FILTERED: lambda spec: (
        f"Move every network card to {network_words(spec.network)} behind {_whose_filter(spec.network)}"
    ),
}


def _isolate(source: Machine, spec: IsolationSpec) -> Step:
    values = tuple(
        (f"card {n.key}", f"{n.network}, link {'up' if n.link_up else 'down'} now") for n in source.nics
    )
    if spec.network is not None and spec.mode is IsolationMode.FILTERED:
        site = site_filter_words(spec.network)
        flows = tuple(enumerate(map(flow_words, spec.network.allow), 1))
        if site is not None:
            values += (("filter", site), *((f"declared by the site {i}", flow) for i, flow in flows))
        else:
            values += (("uplink", spec.network.uplink or "none"),)
            values += tuple((f"allowed {i}", flow) for i, flow in flows)
            values += (("everything else", "dropped in both directions, IPv6 included"),)
    return _step(
        StepKind.ISOLATE,
        _CUTS[spec.mode](spec) + "; MAC addresses stay, live and after a restart",
        values,
        "Every card goes back to exactly the network, link state and filter that it had. After the change "
        "window this needs an approval of its own.",
        mutates=True,
    )


def _verify(source: Machine, spec: IsolationSpec) -> Step:
    title = f"Prove from the hypervisor's own view that {source.ref.name} is {spec.mode.value}"
    return _step(StepKind.VERIFY, title, mutates=False)


def placement_words(placement: Placement) -> str:
    """Return where a target is put."""
    given = [f"{what} {name}" for what, name in placement.model_dump().items() if name is not None]
    return (
        f"{', '.join(given)}; what is open only where one is possible" if given else "the only one possible"
    )


def _membership(target: TargetSpec) -> tuple[str, str]:
    domain = target.domain
    if domain is None:
        return "workgroup", target.workgroup or "WORKGROUP"
    return "domain", f"{domain.name}, joined as {domain.username}, password from {domain.password}"


def _first_boot(target: TargetSpec, *, template: bool) -> Values:
    """Return how the guest gets its answers, and how long that may take."""
    limit = target.first_boot_limit
    if not template:
        words = f"readable by its owner only; ejected and deleted after at most {limit}"
        return (("answer medium", words),)
    return (
        ("placement", placement_words(target.placement)),
        _membership(target),
        ("time zone", target.time_zone or DEFAULT),
        (
            "customization",
            f"by the hypervisor at the first boot; the step fails unless it is confirmed within {limit}",
        ),
    )


def _stage(target: TargetSpec, image: GoldenImage | None) -> Step:
    address = target.address
    values: Values = (
        ("endpoint", target.endpoint),
        ("image", f"{target.image} (Windows Server {target.release}), {target.copy_mode.value} copy"),
        (
            "hardware",
            f"{target.cpus} {'CPU' if target.cpus == 1 else 'CPUs'}, {_size(target.memory_bytes)} memory",
        ),
        ("network", network_words(target.network)),
        ("computer name", target.computer_name),
        ("address", "DHCP" if address is None else f"{address.ip}, gateway {address.gateway or 'none'}"),
        ("administrator password", f"from {target.admin_password}"),
        *_first_boot(target, template=image is not None and image.format == TEMPLATE),
    )
    return _step(
        StepKind.STAGE,
        f"Create and start {target.vm} as the replacement; nothing that exists is overwritten",
        values,
        f"{target.vm} is removed if nobody has changed it since; its disks are kept unless asked otherwise.",
        mutates=True,
    )


def _inventory_target(target: TargetSpec) -> Step:
    title = f"Take the inventory of {target.vm} from a snapshot that is removed at once"
    return _step(StepKind.INVENTORY_TARGET, title, mutates=True)


def _parity(host: HostPlan) -> Step:
    spec = host.parity
    values = () if spec is None else (("profile", spec.profile), ("waivers", str(len(spec.waivers))))
    gate = (
        "the run fails on a difference"
        if spec is not None and spec.gate
        else "a baseline; it does not stop the run"
    )
    title = "Compare old and new: what does the old server do that the new one does not do yet"
    return _step(StepKind.PARITY, title, (*values, ("gate", gate)), mutates=False)


def _release_claim() -> Step:
    return _step(StepKind.RELEASE_CLAIM, "Take the mark off", mutates=True)


def _size(value: int | None) -> str:
    if value is None:
        return "size unknown"
    for unit, factor in (("TiB", 1024**4), ("GiB", 1024**3), ("MiB", 1024**2)):
        if value >= factor:
            return f"{value / factor:.4g} {unit}"
    return f"{value} bytes"
