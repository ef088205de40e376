"""The file that holds a simulated data centre: locked, loaded, changed, checked, written beside and renamed.

It outlives processes, so a test can kill one in the middle and go on in another. Files that a change makes
obsolete are renamed or deleted only *after* the state is written, from a list inside it that the next opener
finishes. It must not know roles or capabilities.
"""

import fcntl
import json
import os
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from orchestrator.model.machine import Firmware, GuestOs, MachineRef, PowerState
from providers.simulated.imagefiles import create_sparse
from providers.simulated.invariants import ImpossibleState, impossibilities
from providers.simulated.world import (
    Attachment,
    Centre,
    FaultRule,
    SimDisk,
    SimImage,
    SimMachine,
    SimNetwork,
    SimNic,
)


class World:
    """A handle on the file.

    Shared by threads; processes share the file. Also the helper with which tests and examples set a scene.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path).absolute()
        self.images = self.path.with_name(f"{self.path.stem}.images")
        self.media = self.path.with_name(f"{self.path.stem}.media")
        self._log = self.path.with_name(f"{self.path.name}.log")
        self._lock = self.path.with_name(f"{self.path.name}.lock")
        self._cache: tuple[bytes, Centre] | None = None
        self._cache_guard = threading.Lock()

    @classmethod
    def create(cls, path: Path | str, *, capacity_bytes: int = 1024**4) -> "World":
        """Make an empty centre with the network "prod" on the uplink "eth0". Raises FileExistsError."""
        world = cls(path)
        world.path.parent.mkdir(parents=True, exist_ok=True)
        world.path.touch(mode=0o600, exist_ok=False)
        for folder in (world.images, world.media):
            folder.mkdir(mode=0o700, exist_ok=True)
        prod = SimNetwork(name="prod", id=str(uuid.uuid4()), bridge="br-prod", uplink="eth0")
        world._save(
            Centre(
                id=str(uuid.uuid4()),
                capacity_bytes=capacity_bytes,
                uplinks=["eth0"],
                networks={"prod": prod},
            )
        )
        return world

    def read(self) -> Centre:
        """Return the state as it is now; it is shared and must not be changed.

        Raises OSError, ValueError (not a centre's file).
        """
        with self._locked():
            return self._load_shared()

    @contextmanager
    def edit(self, note: str = "") -> Iterator[Centre]:
        """Lock, load, hand out for changing, check, write. Nothing is written when the body raises.

        `note` goes to the log. Raises ImpossibleState when the result cannot be.
        """
        with self._locked():
            centre = Centre.model_validate_json(self.path.read_bytes())
            self._finish(centre)
            yield centre
            if reasons := impossibilities(centre):
                raise ImpossibleState(reasons)
            self._save(centre)
            self._finish(centre)
            if note:
                self._append(note)

    def log(self) -> tuple[str, ...]:
        """Return the notes of all changes so far, oldest first; the last one may be missing after a kill."""
        if not self._log.exists():
            return ()
        return tuple(json.loads(line)["note"] for line in self._log.read_text("utf-8").splitlines())

    # Setting a scene --------------------------------------------------------------------------------------

    def add_machine(
        self,
        name: str,
        *,
        disks: Sequence[Path | int] = (1024**2,),
        networks: Sequence[str] = ("prod",),
        running: bool = False,
        guest: GuestOs | None = None,
        firmware: Firmware = Firmware.BIOS,
        endpoint: str = "sim",
    ) -> MachineRef:
        """Add a machine.

        A disk is a raw image file that exists (and will be written), or a size in bytes of a new one.
        """
        machine_id = str(uuid.uuid4())
        sim_disks = [self._disk(machine_id, number, disk) for number, disk in enumerate(disks)]
        nics = [_nic(machine_id, number, network, running) for number, network in enumerate(networks)]
        with self.edit() as centre:
            centre.machines[machine_id] = SimMachine(
                id=machine_id,
                name=name,
                power=PowerState.ON if running else PowerState.OFF,
                disks=sim_disks,
                nics=nics,
                firmware=firmware,
                guest=guest,
            )
        return MachineRef(endpoint=endpoint, id=machine_id, name=name)

    def add_network(
        self, name: str, *, uplink: str | None = None, addresses: Sequence[str] = ()
    ) -> SimNetwork:
        """Add a network that somebody else made; its uplink is made too."""
        network = SimNetwork(
            name=name, id=str(uuid.uuid4()), bridge=f"br-{name}", uplink=uplink, addresses=list(addresses)
        )
        with self.edit() as centre:
            centre.networks[name] = network
            if uplink is not None and uplink not in centre.uplinks:
                centre.uplinks.append(uplink)
        return network

    def add_image(
        self, name: str, path: Path, *, firmware: Firmware | None = Firmware.UEFI, agent: bool = True
    ) -> SimImage:
        """Add a golden image: a raw file that exists."""
        image = SimImage(
            name=name, path=str(path), size_bytes=path.stat().st_size, firmware=firmware, agent=agent
        )
        with self.edit() as centre:
            centre.images[name] = image
        return image

    def add_fault(self, rule: FaultRule) -> None:
        """Inject a fault."""
        with self.edit() as centre:
            centre.faults.append(rule)

    def _disk(self, machine_id: str, number: int, disk: Path | int) -> SimDisk:
        path = disk if isinstance(disk, Path) else self.images / f"{machine_id}-{number}.raw"
        if isinstance(disk, int):
            create_sparse(path, disk)
        return SimDisk(
            key=f"hd{'abcdefghijklmnop'[number]}", chain=[str(path)], size_bytes=path.stat().st_size
        )

    # The file ---------------------------------------------------------------------------------------------

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # A descriptor of its own for each call: the lock then also holds between threads.
        self.path.stat()  # no lock file beside a centre that does not exist
        with self._lock.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _load_shared(self) -> Centre:
        """Load, or take what was parsed before while the bytes are the same; finish what a killed process
        left."""
        stored = self.path.read_bytes()
        with self._cache_guard:
            if self._cache is not None and self._cache[0] == stored:
                return self._cache[1]
        centre = Centre.model_validate_json(stored)
        self._finish(centre)
        with self._cache_guard:
            self._cache = (stored, centre)
        return centre

    def _finish(self, centre: Centre) -> None:
        """Do the file operations that the written state asks for, each at most once, and note that they
        are done."""
        if not centre.pending:
            return
        for move in centre.pending:
            source = Path(move.source)
            if move.target is None:
                source.unlink(missing_ok=True)
            elif source.exists():
                source.replace(move.target)
        centre.pending = []
        self._save(centre)

    def _save(self, centre: Centre) -> None:
        beside = self.path.with_name(f".{self.path.name}.part")
        beside.write_text(centre.model_dump_json(), "utf-8")
        beside.chmod(0o600)
        beside.replace(self.path)

    def _append(self, note: str) -> None:
        with self._log.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"pid": os.getpid(), "note": note}) + "\n")


def _nic(machine_id: str, number: int, network: str, running: bool) -> SimNic:
    attachment = Attachment(network=f"network:{network}")
    mac = mac_of(f"{machine_id}/{number}")
    return SimNic(mac=mac, config=attachment, live=attachment.model_copy() if running else None)


def mac_of(seed: str) -> str:
    """Return a locally administered MAC address that depends on the seed only."""
    return "02:" + ":".join(f"{byte:02x}" for byte in uuid.uuid5(uuid.NAMESPACE_OID, seed).bytes[:5])
