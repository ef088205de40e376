"""The state of a simulated data centre: plain values that stand in its file.

Live and persistent configuration are kept apart, as in a real hypervisor: a card has what it is plugged into
now and what it will be plugged into at the next start. No I/O here, and no rules: see `invariants` for what
is impossible.
"""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from orchestrator.contract.errors import ErrorKind
from orchestrator.model.machine import Claim, Consistency, Firmware, GuestOs, PowerState
from orchestrator.model.network import Flow


class Item(BaseModel):
    """A part of the state; changed only inside `World.edit()`."""

    model_config = ConfigDict(extra="forbid")


class Attachment(Item):
    """What a card is plugged into; `network` is `kind:name`.

    `port_isolated`: the switch keeps it from other such ports.
    """

    network: str
    link_up: bool = True
    filter: str | None = None
    port_isolated: bool = False


class SimNic(Item):
    """A network card: its persistent definition, and what it is plugged into now (None while off)."""

    mac: str
    config: Attachment
    live: Attachment | None = None
    model: str = "e1000"

    @property
    def now(self) -> Attachment:
        """What the card is plugged into now, or will be at the next start."""
        return self.live or self.config

    @property
    def attachments(self) -> tuple[Attachment, ...]:
        """Live (where there is one) and persistent."""
        return (self.config,) if self.live is None else (self.live, self.config)


class SimDisk(Item):
    """A disk.

    `chain` names its images from the one written now down to the base; every image is a raw file with the
    whole content.
    """

    key: str
    chain: list[str]
    size_bytes: int
    bus: str = "ide"
    read_only: bool = False
    shared: bool = False
    raw_passthrough: bool = False
    cdrom: bool = False

    @property
    def frozen_by_snapshots(self) -> bool:
        """Whether a snapshot of the machine takes this disk along."""
        return not (self.cdrom or self.read_only)


class SimSnapshot(Item):
    """A snapshot.

    `overlays` maps a disk's key to the image that has been written since; the image below it is the frozen
    one.
    """

    id: str
    name: str
    created_at: datetime
    consistency: Consistency
    overlays: dict[str, str]
    token: str | None = None
    parent: str | None = None


class SimProgram(Item):
    """What a program in a guest does when it is run.

    `echoes`: prints its arguments instead of `output`. `writes`: into the file that its last argument names.
    """

    exit_code: int = 0
    output: str = ""
    echoes: bool = False
    writes: str = ""
    seconds: float = 0.0


class SimMachine(Item):
    """A virtual machine.

    `computer_name` is what the guest calls itself; `image` the golden image that it was staged from;
    `guest_files` are files in the guest (base64), `programs` what its agent can run; `configured_os` is what
    whoever made it picked as its system, `folder` where it stands in the inventory.
    """

    id: str
    name: str
    power: PowerState
    disks: list[SimDisk]
    nics: list[SimNic]
    firmware: Firmware = Firmware.BIOS
    machine_type: str = "pc"
    arch: str = "x86_64"
    cpus: int = 1
    memory_bytes: int = 1024**3
    snapshots: list[SimSnapshot] = []
    busy: list[str] = []
    claim: Claim | None = None
    guest: GuestOs | None = None
    notes: list[str] = []
    token: str | None = None
    image: str | None = None
    medium: str | None = None
    guest_files: dict[str, str] = {}
    programs: dict[str, SimProgram] = {}
    configured_os: str = ""
    folder: str = ""
    template: bool = False


class SimNetwork(Item):
    """A network. `uplink` None: it does not leave the host."""

    name: str
    id: str
    bridge: str
    uplink: str | None = None
    addresses: list[str] = []
    active: bool = True
    token: str | None = None


class SimFilter(Item):
    """A packet filter for one machine: ARP, these flows and their replies pass; all else, IPv6 included,
    is dropped."""

    name: str
    machine: str
    flows: list[Flow]
    addresses: list[str]
    token: str


class SimImage(Item):
    """A golden image, a raw file.

    `agent`: a guest staged from it answers once it has run with its answer medium.
    """

    name: str
    path: str
    size_bytes: int
    firmware: Firmware | None = Firmware.UEFI
    product: str = "Windows Server 2025 Standard"
    agent: bool = True


class FaultKind(StrEnum):
    """What goes wrong.

    BEFORE: fails without effect. AFTER: takes effect, the reply is lost. DOWN: the endpoint does not answer.
    """

    BEFORE = "before"
    AFTER = "after"
    SLOW = "slow"
    DENIED = "denied"
    DOWN = "down"


class FaultRule(Item):
    """One injected fault.

    `operation`: "ensure_snapshot", or with its role "snapshots.ensure_snapshot", or "*". `machine`: name or
    id, "" is any. `skip`: so many matching calls go well first. `times`: then so many fail; None for ever.
    SLOW waits `seconds`, or until the file `until` exists. BEFORE raises `error`.
    """

    operation: str
    kind: FaultKind
    machine: str = ""
    skip: int = 0
    times: int | None = 1
    seconds: float = 0.0
    until: str = ""
    error: ErrorKind = ErrorKind.PERMANENT


class FileMove(Item):
    """A file operation to finish after the state has been written: rename, or delete where `target` is
    None."""

    source: str
    target: str | None


class Centre(Item):
    """The whole data centre.

    Machines by permanent id, all else by name. `chain_limit`: images per disk at most.
    """

    id: str
    capacity_bytes: int = 1024**4
    chain_limit: int = 8
    uplinks: list[str] = []
    networks: dict[str, SimNetwork] = {}
    filters: dict[str, SimFilter] = {}
    machines: dict[str, SimMachine] = {}
    images: dict[str, SimImage] = {}
    faults: list[FaultRule] = []
    pending: list[FileMove] = []

    @property
    def free_bytes(self) -> int:
        """Capacity minus what all images of all machines may grow to."""
        golden = {image.path for image in self.images.values()}
        sizes: dict[str, int] = {}
        for machine in self.machines.values():
            for disk in machine.disks:
                sizes.update({path: disk.size_bytes for path in disk.chain if path not in golden})
        return self.capacity_bytes - sum(sizes.values())

    def by_name(self, name: str) -> SimMachine | None:
        """Return the machine of that name."""
        return next((m for m in self.machines.values() if m.name == name), None)

    def network_of(self, attachment: Attachment) -> SimNetwork | None:
        """Return the network that a card is plugged into."""
        return self.networks.get(attachment.network.partition(":")[2])

    def users(self, network: str) -> list[tuple[SimMachine, SimNic, Attachment]]:
        """Return every live or persistent attachment to the network of that name."""
        wanted = f"network:{network}"
        return [
            (machine, nic, attachment)
            for machine in self.machines.values()
            for nic in machine.nics
            for attachment in nic.attachments
            if attachment.network == wanted
        ]
