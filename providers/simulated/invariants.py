"""What no hypervisor can have.

A simulated centre that could would let a test pass that reality fails. Pure.
"""

import re
from collections import Counter
from collections.abc import Iterator

from orchestrator.model.machine import PowerState
from providers.simulated.world import Centre, SimDisk, SimMachine

MAC = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}")


class ImpossibleState(ValueError):
    """A change that leads to a state that cannot be; the centre's file was not touched.

    `reasons` names each.
    """

    def __init__(self, reasons: tuple[str, ...]) -> None:
        super().__init__("impossible state: " + "; ".join(reasons))
        self.reasons = reasons


def impossibilities(centre: Centre) -> tuple[str, ...]:
    """Return every reason why the state cannot be, in words; empty for a sound one."""
    return tuple(_centre(centre)) + tuple(
        f"machine {machine.name}: {reason}"
        for machine in centre.machines.values()
        for reason in _machine(centre, machine)
    )


def _centre(centre: Centre) -> Iterator[str]:
    machines = centre.machines.values()
    yield from _doubles("machine name", (m.name for m in machines))
    yield from _doubles("MAC address", (nic.mac for m in machines for nic in m.nics))
    yield from _doubles("written image", _written(centre))
    if centre.free_bytes < 0:
        yield f"images need {-centre.free_bytes} bytes more than there is room for"
    for key, machine in centre.machines.items():
        if key != machine.id:
            yield f"machine {machine.name} is filed under another id"
    for name, network in centre.networks.items():
        if network.name != name:
            yield f"network {name} is filed under another name"
        if network.uplink is not None and network.uplink not in centre.uplinks:
            yield f"network {name} has the uplink {network.uplink}, which does not exist"
    for packet_filter in centre.filters.values():
        if packet_filter.machine not in centre.machines:
            yield f"filter {packet_filter.name} belongs to no machine"


def _doubles(what: str, values: Iterator[str]) -> Iterator[str]:
    yield from (f"{what} {value} exists {n} times" for value, n in Counter(values).items() if n > 1)


def _written(centre: Centre) -> Iterator[str]:
    """Every image that somebody writes: the top of each chain that is not declared shared, and each golden
    image once."""
    yield from (image.path for image in centre.images.values())
    for machine in centre.machines.values():
        yield from (d.chain[0] for d in machine.disks if d.chain and not (d.shared or d.cdrom or d.read_only))


def _machine(centre: Centre, machine: SimMachine) -> Iterator[str]:
    yield from _doubles("disk", (disk.key for disk in machine.disks))
    for disk in machine.disks:
        yield from (f"disk {disk.key}: {reason}" for reason in _disk(centre, machine, disk))
    for nic in machine.nics:
        yield from _nic(centre, machine, nic.mac)
    yield from _snapshots(machine)


def _disk(centre: Centre, machine: SimMachine, disk: SimDisk) -> Iterator[str]:
    if not disk.chain:
        yield "has no image"
    if len(set(disk.chain)) != len(disk.chain):
        yield "its chain is a loop"
    if len(disk.chain) > centre.chain_limit:
        yield f"its chain is deeper than {centre.chain_limit}"
    if disk.size_bytes <= 0 or disk.size_bytes % 512:
        yield "its size is no whole number of sectors"
    overlays = {taken.overlays[disk.key] for taken in machine.snapshots if disk.key in taken.overlays}
    if not overlays <= set(disk.chain[:-1]):
        yield "a snapshot's overlay is not in its chain"
    if overlays and disk.raw_passthrough:
        yield "a passed-through device cannot have snapshots"


def _nic(centre: Centre, machine: SimMachine, mac: str) -> Iterator[str]:
    nic = next(n for n in machine.nics if n.mac == mac)
    if not MAC.fullmatch(mac):
        yield f"card {mac}: not a MAC address in lower case"
    if (nic.live is None) != (machine.power is PowerState.OFF):
        yield f"card {mac}: it has live state exactly while the machine has power"
    for attachment in nic.attachments:
        if centre.network_of(attachment) is None:
            yield f"card {mac}: {attachment.network} does not exist"
        if attachment.filter is not None and attachment.filter not in centre.filters:
            yield f"card {mac}: filter {attachment.filter} does not exist"


def _snapshots(machine: SimMachine) -> Iterator[str]:
    yield from _doubles("snapshot id", (snapshot.id for snapshot in machine.snapshots))
    yield from _doubles("snapshot name", (snapshot.name for snapshot in machine.snapshots))
    seen: str | None = None
    for snapshot in machine.snapshots:
        if snapshot.parent != seen:
            yield f"snapshot {snapshot.name}: its parent is not the one before it"
        seen = snapshot.id
