"""What would hinder an effect on the simulated centre.

Reads only; the effects ask the same functions before they act.
"""

from collections.abc import Sequence

from orchestrator.contract.provider import Capability
from orchestrator.model.machine import Consistency, Machine, PowerState
from orchestrator.model.network import Finding, IsolationMode, IsolationSpec, NetworkSpec
from orchestrator.model.target import CopyMode, TargetSpec
from providers.simulated.inventory import image_of
from providers.simulated.netrules import misfits
from providers.simulated.site import Site
from providers.simulated.world import Centre

MODE_CAPABILITY = {
    IsolationMode.UNPLUGGED: Capability.ISOLATE_UNPLUGGED,
    IsolationMode.SEALED: Capability.ISOLATE_SEALED,
    IsolationMode.FILTERED: Capability.ISOLATE_FILTERED,
}


def isolation_capability(spec: IsolationSpec) -> Capability:
    """Return what an isolation needs."""
    by_site = spec.network is not None and spec.network.site_filter is not None
    return Capability.ISOLATE_SITE_FILTERED if by_site else MODE_CAPABILITY[spec.mode]


COPY_CAPABILITY = {CopyMode.OVERLAY: Capability.STAGE_OVERLAY, CopyMode.FULL: Capability.STAGE_FULL}

RELEASES = (2022, 2025)


class SimPreflight:
    """Implements the role Preflight."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._counted: tuple[Centre, int] | None = None

    def snapshot(self, machine: Machine, consistency: Consistency) -> tuple[Finding, ...]:
        """Space, chain depth, shared and passed-through disks, jobs, consistency."""
        centre = self._site.read("preflight.snapshot", machine.ref)
        return snapshot_findings(centre, machine, consistency, self._free_bytes(centre))

    def isolation(self, machine: Machine, spec: IsolationSpec) -> tuple[Finding, ...]:
        """Mode declared, network there and fitting or creatable, uplink there."""
        centre = self._site.read("preflight.isolation", machine.ref)
        declared = isolation_capability(spec) in self._site.capabilities
        detail = f"{spec.mode} is {'' if declared else 'not '}supported here"
        mode = Finding(check="isolation mode", ok=declared, detail=detail)
        return (mode,) if spec.network is None else (mode, self._network(centre, spec.network))

    def rights(self) -> tuple[Finding, ...]:
        """None: a simulated centre knows no accounts."""
        return ()

    def staging(self, spec: TargetSpec) -> tuple[Finding, ...]:
        """Release known, copy mode declared, name free, image there, room, network."""
        centre = self._site.read("preflight.staging")
        image = image_of(centre, spec.image)
        free = self._free_bytes(centre)
        room = image is None or free >= image.size_bytes
        taken = centre.by_name(spec.vm) is not None
        declared = COPY_CAPABILITY[spec.copy_mode] in self._site.capabilities
        return (
            Finding(check="release", ok=spec.release in RELEASES, detail=f"Windows Server {spec.release}"),
            Finding(check="copy mode", ok=declared, detail=f"copy: {spec.copy_mode}"),
            Finding(check="name", ok=not taken, detail=f"{spec.vm} is {'taken' if taken else 'free'}"),
            Finding(
                check="image",
                ok=image is not None,
                detail=f"golden image {spec.image} is {'there' if image else 'not there'}",
            ),
            Finding(check="space", ok=room, detail=f"{free} bytes are free"),
            self._network(centre, spec.network),
        )

    def _free_bytes(self, centre: Centre) -> int:
        """Add up once what a whole fleet is asked about: a state that was read is the same object until the
        file changes, and nobody changes it."""
        counted = self._counted  # threads share this: whoever comes second counts for itself
        if counted is None or counted[0] is not centre:
            counted = self._counted = (centre, centre.free_bytes)
        return counted[1]

    def _network(self, centre: Centre, spec: NetworkSpec) -> Finding:
        network = centre.networks.get(spec.name)
        if network is not None:
            reasons = misfits(network, spec)
            detail = f"network {spec.name} is there" + "".join(f", but {reason}" for reason in reasons)
            return Finding(check="network", ok=not reasons, detail=detail)
        if not spec.create or Capability.CREATE_NETWORK not in self._site.capabilities:
            return Finding(check="network", ok=False, detail=f"network {spec.name} is not there")
        if spec.uplink is not None and spec.uplink not in centre.uplinks:
            return Finding(check="network", ok=False, detail=f"the uplink {spec.uplink} is not there")
        return Finding(check="network", ok=True, detail=f"network {spec.name} can be created")


def snapshot_findings(
    centre: Centre, machine: Machine, consistency: Consistency, free_bytes: int
) -> tuple[Finding, ...]:
    """Say what was checked before a snapshot of this consistency; `free_bytes` are the centre's."""
    frozen = [disk for disk in machine.disks if not (disk.cdrom or disk.read_only)]
    needed = sum(disk.size_bytes or 0 for disk in frozen)
    depth = max((len(disk.chain) for disk in frozen), default=0)
    shared = [disk.key for disk in machine.disks if disk.shared]
    passed = [disk.key for disk in machine.disks if disk.raw_passthrough]
    off = machine.power is PowerState.OFF
    possible = consistency is Consistency.CRASH or (consistency is Consistency.OFFLINE and off)
    return (
        Finding(
            check="space",
            ok=free_bytes >= needed,
            detail=f"overlays may grow to {needed} bytes, {free_bytes} are free",
        ),
        Finding(
            check="chain depth",
            ok=depth < centre.chain_limit,
            detail=f"the deepest chain has {depth} images, {centre.chain_limit} are the limit",
        ),
        Finding(check="shared disks", ok=not shared, detail=_listed("shared with others", shared)),
        Finding(check="passthrough", ok=not passed, detail=_listed("passed through", passed)),
        Finding(check="jobs", ok=not machine.busy, detail=_listed("under way", machine.busy)),
        Finding(
            check="consistency",
            ok=possible,
            detail=f"{consistency} while the machine is {machine.power}",
        ),
    )


def _listed(what: str, names: Sequence[str]) -> str:
    return f"{what}: {', '.join(names) or 'none'}"
