"""Reads: machines, networks and golden images as neutral values. One load of the centre per call."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from orchestrator.contract.provider import Capability
from orchestrator.model.endpoint import EndpointInfo
from orchestrator.model.machine import Disk, Listed, Machine, MachineRef, Nic, Snapshot
from orchestrator.model.network import Network
from orchestrator.model.target import GoldenImage
from providers.simulated.site import Site, conflict
from providers.simulated.world import Centre, SimDisk, SimImage, SimMachine, SimNetwork, SimNic, SimSnapshot


class SimInventory:
    """Implements the role Inventory."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def about(self) -> EndpointInfo:
        """Say plainly that this is a simulation."""
        centre = self._site.read("inventory.about")
        return EndpointInfo(
            identity=f"simulated:{centre.id}",
            product="ferry6003 simulated data centre (no real machines)",
            version="1",
            notes=(f"state in {self._site.world.path}",),
        )

    def machines(self, names: Sequence[str] | None = None) -> tuple[Machine, ...]:
        """Return the machines named (name, id or path), in the order of their names; all without `names`."""
        self._site.need(Capability.INVENTORY)
        machines = sorted(
            self._site.read("inventory.machines").machines.values(), key=lambda m: (m.name, m.id)
        )
        if names is None:
            return tuple(to_machine(m, self._site.endpoint) for m in machines)
        wanted = frozenset(names)
        found = [m for m in machines if not wanted.isdisjoint(_words(m))]
        met = Counter(word for m in found for word in _words(m) & wanted)
        if doubles := [word for word, count in met.items() if count > 1]:
            message = f"{', '.join(sorted(doubles))} names more than one machine"
            meant = ", ".join(path_of(m) for m in found if not _words(m).isdisjoint(doubles))
            raise conflict(message, f"give the path or the permanent id: {meant}")
        return tuple(to_machine(m, self._site.endpoint) for m in found)

    def listing(self) -> tuple[Listed, ...]:
        """Return all machines, in the order of their names."""
        self._site.need(Capability.INVENTORY)
        machines = self._site.read("inventory.listing").machines.values()
        return tuple(
            Listed(
                ref=MachineRef(endpoint=self._site.endpoint, id=machine.id, name=machine.name),
                path=path_of(machine),
                power=machine.power,
                template=machine.template,
                configured_os=machine.configured_os,
                guest=machine.guest,
            )
            for machine in sorted(machines, key=lambda m: (m.name, m.id))
        )

    def networks(self) -> tuple[Network, ...]:
        """Return all networks, in the order of their names."""
        self._site.need(Capability.INVENTORY)
        centre = self._site.read("inventory.networks")
        return tuple(to_network(centre.networks[name]) for name in sorted(centre.networks))

    def images(self, names: Sequence[str]) -> tuple[GoldenImage, ...]:
        """Return the golden images of these names or paths, in the order asked."""
        self._site.need(Capability.INVENTORY)
        centre = self._site.read("inventory.images")
        found = (image_of(centre, name) for name in names)
        return tuple(to_golden(image) for image in found if image is not None)


def _words(machine: SimMachine) -> frozenset[str]:
    return frozenset((machine.id, machine.name, path_of(machine)))


def path_of(machine: SimMachine) -> str:
    """Return where a machine stands: its folder and name, or its name alone."""
    return f"{machine.folder}/{machine.name}" if machine.folder else machine.name


def image_of(centre: Centre, name: str) -> SimImage | None:
    """Return the golden image of that name or path, if its file is there."""
    image = centre.images.get(name) or next((i for i in centre.images.values() if i.path == name), None)
    return image if image is not None and Path(image.path).is_file() else None


def to_golden(image: SimImage) -> GoldenImage:
    """Convert a golden image."""
    return GoldenImage(
        name=image.name, id=image.path, size_bytes=image.size_bytes, format="raw", firmware=image.firmware
    )


def to_network(network: SimNetwork) -> Network:
    """Convert a network."""
    return Network(
        name=network.name,
        id=network.id,
        bridge=network.bridge,
        uplink=network.uplink,
        addresses=tuple(network.addresses),
        active=network.active,
        token=network.token,
    )


def to_machine(machine: SimMachine, endpoint: str) -> Machine:
    """Convert a machine."""
    return Machine(
        ref=MachineRef(endpoint=endpoint, id=machine.id, name=machine.name),
        power=machine.power,
        firmware=machine.firmware,
        machine_type=machine.machine_type,
        arch=machine.arch,
        cpus=machine.cpus,
        memory_bytes=machine.memory_bytes,
        disks=tuple(map(_to_disk, machine.disks)),
        nics=tuple(map(to_nic, machine.nics)),
        snapshots=tuple(map(to_snapshot, machine.snapshots)),
        busy=tuple(machine.busy),
        claim=machine.claim,
        guest=machine.guest,
        also=(path_of(machine),) if machine.folder else (),
        notes=tuple(machine.notes),
    )


def _to_disk(disk: SimDisk) -> Disk:
    return Disk(
        key=disk.key,
        bus=disk.bus,
        base=disk.chain[-1],
        format="raw",
        source=disk.chain[0],
        chain=tuple(disk.chain),
        size_bytes=disk.size_bytes,
        used_bytes=sum(filter(None, map(_used, disk.chain))),
        read_only=disk.read_only,
        shared=disk.shared,
        raw_passthrough=disk.raw_passthrough,
        cdrom=disk.cdrom,
    )


def _used(path: str) -> int | None:
    try:
        return Path(path).stat().st_blocks * 512
    except OSError:
        return None


def to_nic(nic: SimNic) -> Nic:
    """Convert a card as it is plugged in now."""
    now = nic.now
    return Nic(key=nic.mac, model=nic.model, network=now.network, link_up=now.link_up, filter=now.filter)


def to_snapshot(snapshot: SimSnapshot) -> Snapshot:
    """Convert a snapshot."""
    return Snapshot(
        id=snapshot.id,
        name=snapshot.name,
        token=snapshot.token,
        created_at=snapshot.created_at,
        consistency=snapshot.consistency,
        parent=snapshot.parent,
    )
