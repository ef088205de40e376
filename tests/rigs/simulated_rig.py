"""The conformance rig of the simulated provider: it looks at the centre's file, never through the adapter."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.contract.conformance.rig import BLOCK, DISK_BYTES, Fault, GuestPrograms, Oddity
from orchestrator.contract.provider import ObjectKind, Provider
from orchestrator.model.endpoint import EndpointSettings
from orchestrator.model.machine import GuestOs, MachineRef, Nic, PowerState
from orchestrator.model.secret import SecretRef
from providers.simulated import Centre, FaultKind, FaultRule, World, provider
from providers.simulated.power import switch
from providers.simulated.snapshots import freeze
from providers.simulated.world import Attachment, FileMove, SimDisk, SimMachine, SimProgram

FAULTS = {
    Fault.REPLY_LOST: FaultKind.AFTER,
    Fault.DENIED: FaultKind.DENIED,
    Fault.UNREACHABLE: FaultKind.DOWN,
}

MUTATIONS = {Fault.REPLY_LOST: "ensure_snapshot", Fault.DENIED: "ensure_power", Fault.UNREACHABLE: "*"}


class SimulatedRig:
    """Implements `Rig`; `without` names capabilities that the adapter is not to declare."""

    uplink = "br-export"
    site_network = ""
    golden_image = "golden"
    oddities = frozenset(Oddity)

    def __init__(self, folder: Path, *, without: str = "", under_test: Provider = provider) -> None:
        self.world = World.create(folder / "centre.json")
        self.provider = under_test
        settings: dict[str, str] = {"world": str(self.world.path)}
        self.endpoint = EndpointSettings(
            name="sim", provider="simulated", settings=settings | ({"without": without} if without else {})
        )
        self.faults = SimulatedFaults(self.world)
        self._folder = folder
        self._numbers = itertools.count(1)
        self._golden = folder / "golden.raw"
        self._golden.write_bytes(b"\x42" * BLOCK + bytes(7 * BLOCK))
        self.world.add_image(self.golden_image, self._golden)
        self.world.add_network("uplink-made", uplink=self.uplink)

    def secrets(self, ref: SecretRef) -> str:
        raise AssertionError(f"the simulated endpoint needs no secret, but asked for {ref}")

    def name(self, stem: str) -> str:
        return f"{stem}-{next(self._numbers)}"

    # Machines

    def make_machine(
        self, name: str, *, running: bool = False, nics: int = 1, disks: int = 1, oddity: Oddity | None = None
    ) -> MachineRef:
        ref = self.world.add_machine(
            name, disks=[DISK_BYTES] * disks, networks=["prod"] * nics, running=running
        )
        if oddity is not None:
            with self.world.edit() as centre:
                self._spoil(centre.machines[ref.id], oddity, centre.chain_limit)
        return ref

    guest_folder = "C:\\Windows\\"
    guest_programs = GuestPrograms(echo=("echo",), fail=("fail",), sleep=("sleep",))

    def make_guest(self, name: str) -> MachineRef:
        ref = self.make_machine(name, running=True)
        with self.world.edit() as centre:
            machine = centre.machines[ref.id]
            machine.guest = GuestOs(product="Windows Server 2008", arch="x86_64", hostname="OLD01")
            machine.programs = {
                "echo": SimProgram(echoes=True),
                "fail": SimProgram(exit_code=3),
                "sleep": SimProgram(seconds=30.0),
            }
        return ref

    def guest_file(self, ref: MachineRef, path: str) -> bytes | None:
        stored = self._machine(ref).guest_files.get(path)
        return None if stored is None else base64.b64decode(stored)

    def _spoil(self, machine: SimMachine, oddity: Oddity, limit: int) -> None:
        disk = machine.disks[0]
        match oddity:
            case Oddity.SHARED_DISK:
                disk.shared = True
            case Oddity.PASSTHROUGH:
                disk.raw_passthrough = True
            case Oddity.BUSY:
                machine.busy = ["backup of hda: 40 %"]
            case Oddity.DEEP_CHAIN:
                for number in range(limit - 1):
                    self._deepen(disk, number)

    def _deepen(self, disk: SimDisk, number: int) -> None:
        overlay = Path(f"{disk.chain[-1]}.{number}")
        overlay.write_bytes(Path(disk.chain[0]).read_bytes())
        disk.chain.insert(0, str(overlay))

    def delete_machine(self, ref: MachineRef) -> None:
        with self.world.edit() as centre:
            machine = centre.machines.pop(ref.id)
            images = [path for disk in machine.disks for path in disk.chain]
            centre.pending += [FileMove(source=path, target=None) for path in images]

    def set_running(self, ref: MachineRef, running: bool) -> None:
        with self.world.edit() as centre:
            machine = centre.machines[ref.id]
            state = PowerState.ON if running else PowerState.OFF
            if machine.power is not state:
                switch(centre, machine, state)

    def is_running(self, ref: MachineRef) -> bool:
        return self._machine(ref).power is PowerState.ON

    def redefine(self, ref: MachineRef) -> None:
        with self.world.edit() as centre:
            centre.machines[ref.id].memory_bytes *= 2

    def describe(self, ref: MachineRef) -> str:
        return self._machine(ref).model_dump_json(indent=1)

    def _machine(self, ref: MachineRef) -> SimMachine:
        return self._centre().machines[ref.id]

    def _centre(self) -> Centre:
        return Centre.model_validate_json(self.world.path.read_bytes())

    # Disks

    def fill(self, ref: MachineRef, disk: int, offset: int, length: int, byte: int) -> None:
        with self.world.edit() as centre:
            active = Path(centre.machines[ref.id].disks[disk].chain[0])
            with active.open("r+b") as file:
                file.seek(offset)
                file.write(bytes([byte]) * length)

    def read(self, ref: MachineRef, disk: int, offset: int, length: int) -> bytes:
        with Path(self._machine(ref).disks[disk].chain[0]).open("rb") as file:
            file.seek(offset)
            return file.read(length)

    def foreign_snapshot(self, ref: MachineRef, name: str) -> str:
        with self.world.edit() as centre:
            machine = centre.machines[ref.id]
            overlays = {d.key: self.world.images / f"{machine.name}-{d.key}.{name}" for d in machine.disks}
            freeze(machine, f"foreign-{name}", name, None, overlays)
        return f"{ref.id}/foreign-{name}"

    # Networks

    def nics(self, ref: MachineRef) -> tuple[Nic, ...]:
        cards = json.loads(self.describe(ref))["nics"]
        return tuple(
            Nic(
                key=card["mac"],
                model=card["model"],
                network=plugged["network"],
                link_up=plugged["link_up"],
                filter=plugged["filter"],
            )
            for card in cards
            for plugged in [card["live"] or card["config"]]
        )

    def move_nic(self, ref: MachineRef, nic: Nic) -> None:
        with self.world.edit() as centre:
            card = next(card for card in centre.machines[ref.id].nics if card.mac == nic.key)
            card.config = Attachment(network=nic.network, link_up=nic.link_up)
            card.live = card.config.model_copy() if card.live is not None else None

    def foreign_network(self, name: str) -> None:
        self.world.add_network(name, uplink="eth0", addresses=["192.0.2.1/24"])

    # Everything

    def objects(self, kind: ObjectKind) -> frozenset[str]:
        centre = self._centre()
        machines = centre.machines.values()
        match kind:
            case ObjectKind.VM:
                return frozenset(centre.machines)
            case ObjectKind.SNAPSHOT:
                return frozenset(f"{m.id}/{snapshot.id}" for m in machines for snapshot in m.snapshots)
            case ObjectKind.CLAIM:
                return frozenset(m.id for m in machines if m.claim is not None)
            case ObjectKind.NETWORK:
                return frozenset(centre.networks)
            case ObjectKind.FILTER:
                return frozenset(centre.filters)
            case ObjectKind.DISK:
                return frozenset(map(str, self.world.images.iterdir()))
            case ObjectKind.GUEST_FILE:
                return frozenset(f"{m.id}:{path}" for m in machines for path in m.guest_files)
            case ObjectKind.MEDIUM:
                return frozenset(map(str, self.world.media.iterdir()))

    def golden_read(self, offset: int, length: int) -> bytes:
        return self._golden.read_bytes()[offset : offset + length]

    def texts(self) -> Iterable[str]:
        for path in self._folder.rglob("*"):
            if path.is_file() and path.parent != self.world.media:
                yield path.read_bytes().decode("latin-1")


class SimulatedFaults:
    """Implements `Faults` by rules in the centre's file."""

    can = frozenset(FAULTS)

    def __init__(self, world: World) -> None:
        self._world = world

    @contextmanager
    def inject(self, fault: Fault) -> Iterator[None]:
        times = None if fault is Fault.UNREACHABLE else 1
        self._world.add_fault(FaultRule(operation=MUTATIONS[fault], kind=FAULTS[fault], times=times))
        try:
            yield
        finally:
            with self._world.edit() as centre:
                centre.faults = []
