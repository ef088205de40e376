"""What would hinder a later effect. Reads only; each finding says what was checked and why it hinders."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from orchestrator.model.machine import Consistency, Disk, Machine, PowerState, Snapshot
from orchestrator.model.network import Finding, IsolationSpec
from orchestrator.model.target import TargetSpec
from providers.vsphere.hindrances import isolation_findings
from providers.vsphere.inventory import VsphereInventory
from providers.vsphere.link import Link
from providers.vsphere.quiesce import QUIESCED
from providers.vsphere.readiness import Readiness
from providers.vsphere.rights import rights_findings
from providers.vsphere.room import Datastores, datastore_of

CHAIN_LIMIT = 8
"""Snapshots above each other before another one is refused: each slows every read, and each must be merged
some day. The hypervisor's own limit is 32."""
OLDEST = timedelta(hours=72)
"""How old a snapshot of somebody else's may be: VMware advises against longer."""
SMALLEST_ROOM = 64 * 1024**2


class VspherePreflight:
    """The Preflight role."""

    def __init__(self, link: Link, inventory: VsphereInventory) -> None:
        self._link = link
        self._inventory = inventory
        self._datastores = Datastores(link, inventory)
        self._readiness = Readiness(link, inventory)

    def snapshot(self, machine: Machine, consistency: Consistency) -> tuple[Finding, ...]:
        """See the contract. Room: a tenth of each disk, 64 MiB at least, and the memory where it is saved."""
        return (
            consistency_finding(machine, consistency),
            *disk_findings(machine),
            depth_finding(machine),
            *age_findings(machine, datetime.now(UTC)),
            Finding(check="jobs", ok=not machine.busy, detail="; ".join(machine.busy) or "none under way"),
            *self._datastores.room(wanted_room(machine, consistency), machine),
        )

    def isolation(self, machine: Machine, spec: IsolationSpec) -> tuple[Finding, ...]:
        """See the contract."""
        return isolation_findings(self._link, self._inventory, machine, spec)

    def staging(self, spec: TargetSpec) -> tuple[Finding, ...]:
        """See the contract."""
        return self._readiness.findings(spec)

    def rights(self) -> tuple[Finding, ...]:
        """See the contract."""
        return rights_findings(self._link, self._inventory)


def snapshot_disks(machine: Machine) -> tuple[Disk, ...]:
    """Return the disks that a snapshot must hold: all that the guest can write."""
    return tuple(disk for disk in machine.disks if not disk.cdrom and not disk.read_only)


def consistency_finding(machine: Machine, consistency: Consistency) -> Finding:
    """Tell whether a snapshot of this consistency is possible in this state of power."""
    running, off = machine.power is PowerState.ON, machine.power is PowerState.OFF
    ok, detail = True, f"the machine is {machine.power}"
    if consistency is Consistency.OFFLINE and not off:
        ok, detail = False, f"the machine is {machine.power}; shut it down first"
    elif consistency is Consistency.MEMORY and not running:
        ok, detail = False, f"the machine is {machine.power}: it has no memory to save; use offline or crash"
    elif consistency in QUIESCED and not running:
        ok, detail = (
            False,
            f"the machine is {machine.power}: nobody can quiesce it; use offline",
        )
    elif consistency in QUIESCED and machine.guest is None:
        ok, detail = False, "VMware Tools say nothing of the guest: it could not be quiesced; start them"
    return Finding(check=f"{consistency} consistency", ok=ok, detail=detail)


def disk_findings(machine: Machine) -> Iterator[Finding]:
    """Judge each disk: one that a snapshot leaves out could not be put back by it."""
    disks = snapshot_disks(machine)
    yield Finding(check="disks", ok=bool(disks), detail=f"{len(disks)} to snapshot")
    for disk in disks:
        yield _disk(disk)


def _disk(disk: Disk) -> Finding:
    check = f"disk {disk.key}"
    if disk.raw_passthrough:
        detail = f"{disk.source} is a raw device in physical mode: a snapshot leaves it out"
    elif disk.shared:
        detail = f"{disk.source} is shared with other machines: it cannot be snapshotted"
    elif disk.independent:
        detail = f"{disk.source} is independent: a snapshot leaves it out; make it dependent first"
    else:
        return Finding(check=check, ok=True, detail=f"{disk.source}, {len(disk.chain) - 1} overlays")
    return Finding(check=check, ok=False, detail=detail)


def depth_finding(machine: Machine) -> Finding:
    """Judge how many snapshots lie above each other, by the disks' own files and by the tree."""
    overlays = max((len(disk.chain) - 1 for disk in snapshot_disks(machine)), default=0)
    depth = max(overlays, _deepest(machine.snapshots))
    ok = depth < CHAIN_LIMIT
    detail = f"{depth} above each other" + ("" if ok else f"; {CHAIN_LIMIT} is the limit: remove some first")
    return Finding(check="snapshot chain", ok=ok, detail=detail)


def _deepest(snapshots: tuple[Snapshot, ...]) -> int:
    """Return the length of the longest line in the tree. Parents stand before their children."""
    depth: dict[str | None, int] = {None: 0}
    for one in snapshots:
        depth[one.id] = depth.get(one.parent, 0) + 1
    return max(depth.values())


def age_findings(machine: Machine, now: datetime) -> Iterator[Finding]:
    """Judge the age of snapshots that others made. Those of ours end by their jobs' own retention."""
    for one in machine.snapshots:
        if one.token is None and one.created_at is not None and now - one.created_at > OLDEST:
            hours = int((now - one.created_at).total_seconds() // 3600)
            detail = f"{hours} hours old, {OLDEST.days * 24} are the limit: remove it if nobody needs it"
            yield Finding(check=f"age of snapshot {one.name}", ok=False, detail=detail)


def wanted_room(machine: Machine, consistency: Consistency) -> dict[str, int]:
    """Return the bytes that a snapshot needs by datastore. Memory is saved beside the first disk."""
    needed: dict[str, int] = {}
    for disk in snapshot_disks(machine):
        store = datastore_of(disk.source)
        if store:
            needed[store] = needed.get(store, 0) + max((disk.size_bytes or 0) // 10, SMALLEST_ROOM)
    if needed and consistency is Consistency.MEMORY:
        first = next(iter(needed))
        needed[first] += machine.memory_bytes
    return needed
