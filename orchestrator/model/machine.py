"""What a provider reports of a virtual machine. Sizes are bytes; order of tuples is the provider's stable
order."""

from datetime import datetime
from enum import StrEnum

from orchestrator.model.base import Material, Value


class PowerState(StrEnum):
    """Power as the hypervisor sees it."""

    ON = "on"
    OFF = "off"
    PAUSED = "paused"


class Firmware(StrEnum):
    """What the machine boots with."""

    BIOS = "bios"
    UEFI = "uefi"
    UEFI_SECURE = "uefi-secure"


class Consistency(StrEnum):
    """How consistent a snapshot is. `crash`: as after a power cut; `filesystem`/`application`: quiesced in
    the guest; `memory`: with
    RAM; `offline`: taken while powered off."""

    CRASH = "crash"
    FILESYSTEM = "filesystem"
    APPLICATION = "application"
    MEMORY = "memory"
    OFFLINE = "offline"


class MachineRef(Value):
    """Which machine: the plan's endpoint name, and the provider's own permanent id (a libvirt UUID, a
    vSphere instance UUID)."""

    endpoint: Material[str]
    id: Material[str]
    name: Material[str]


class Disk(Value):
    """One disk. `base` is the identity that snapshots do not change: the lowest image of the chain."""

    key: Material[str]
    """Stable key on its machine: the target device ("hda"), the vSphere device key."""
    bus: Material[str]
    base: Material[str]
    format: str
    source: str
    """The image that is written now: an overlay after a snapshot."""
    chain: tuple[str, ...]
    """Every image from `source` down to `base`."""
    size_bytes: Material[int | None]
    """Virtual size; None where the provider cannot tell."""
    used_bytes: int | None = None
    read_only: Material[bool] = False
    shared: Material[bool] = False
    raw_passthrough: Material[bool] = False
    independent: Material[bool] = False
    """The hypervisor leaves it out of snapshots (vSphere's independent modes): no rollback holds it."""
    cdrom: bool = False
    """A removable medium; never snapshotted, never exported."""


class Nic(Value):
    """One network card. `key` is its MAC address in lower case: strict matching, a card is never added."""

    key: Material[str]
    model: Material[str]
    network: Material[str]
    """The network, bridge or portgroup that it is attached to, as `kind:name` ("network:default",
    "bridge:br0")."""
    link_up: Material[bool]
    filter: Material[str | None] = None
    """Name of the packet filter bound to it, if any."""


class Snapshot(Value):
    """One snapshot. `token` is ours when ferry made it (the id of the effect), None for a foreign one."""

    id: str
    name: str
    token: str | None
    created_at: datetime | None
    consistency: Consistency | None
    parent: str | None = None


class Claim(Value):
    """The mark on the machine itself that a run holds it (architecture, section 6, rule 1)."""

    run: str
    digest: str
    state_id: str
    generation: int = 1
    host: str = ""
    since: datetime | None = None

    def same_holder(self, other: "Claim") -> bool:
        """Tell whether both claims are the same run of the same state."""
        return (self.run, self.state_id) == (other.run, other.state_id)

    def same_mark(self, other: "Claim") -> bool:
        """Tell whether both are the same claim; when it was first made does not matter."""
        return self.model_copy(update={"since": None}) == other.model_copy(update={"since": None})


class GuestOs(Value):
    """What a guest agent says of the running system, unverified. Never a verdict alone: agents lie and are
    old."""

    product: str = ""
    version: str = ""
    build: str = ""
    variant: str = ""
    arch: str = ""
    hostname: str = ""


class Machine(Value):
    """A virtual machine as observed at one moment."""

    ref: Material[MachineRef]
    power: Material[PowerState]
    firmware: Material[Firmware]
    machine_type: Material[str]
    arch: Material[str]
    cpus: int
    memory_bytes: int
    disks: Material[tuple[Disk, ...]]
    nics: Material[tuple[Nic, ...]]
    snapshots: tuple[Snapshot, ...] = ()
    """Compared by the stale check: foreign ones are material, our own ledgered ones are not."""
    busy: tuple[str, ...] = ()
    """Jobs under way, in words ("block job on hda: commit 40 %")."""
    claim: Claim | None = None
    guest: GuestOs | None = None
    """None where no agent answers, or where asking one needs rights that this connection has not."""
    also: tuple[str, ...] = ()
    """Other words by which this endpoint finds it: an inventory path, a managed object id."""
    notes: tuple[str, ...] = ()
    """What an administrator should know, in words; free text from the provider, escaped in every output."""


class Listed(Value):
    """A machine in a listing of all: little of each, for thousands of them, read in a few calls."""

    ref: MachineRef
    path: str = ""
    """Where it stands in the inventory, as a plan file's `vm` may name it; else its name."""
    power: PowerState
    template: bool = False
    configured_os: str = ""
    """What its definition says it runs ("winLonghorn64Guest", "http://microsoft.com/win/2k8"): whoever made
    it wrote that, so it is a hint and never a verdict."""
    guest: GuestOs | None = None
    """What an agent inside says, where it can be had without asking each machine."""
