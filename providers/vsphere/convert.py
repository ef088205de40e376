"""vSphere's objects as the contract's values. Pure: no call. What comes from a guest or from other people
is cleaned where it is shown, not here."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError
from pyVmomi import vim

from orchestrator.model.machine import (
    Claim,
    Consistency,
    Disk,
    Firmware,
    GuestOs,
    Listed,
    Machine,
    MachineRef,
    Nic,
    PowerState,
    Snapshot,
)
from providers.vsphere.batch import Props

CLAIM_KEY = "ferry-claim"
"""The extraConfig option that holds a claim. Not under "guestinfo.", which the guest could read and write."""
TOKEN_KEY = "ferry-token"  # noqa: S105  # a label, not a secret
"""The extraConfig option that marks a machine of ours."""
CLAIM_PATH = f'config.extraConfig["{CLAIM_KEY}"]'
VERSION_PATH = "config.changeVersion"
TOKEN_PATH = f'config.extraConfig["{TOKEN_KEY}"]'
DETAILED_PATH = 'config.extraConfig["guestInfo.detailed.data"]'

NAMED = ("name", "parent", "config.instanceUuid", "config.template")
"""Properties by which a machine is found among thousands."""
LISTED = (
    *NAMED,
    "config.guestId",
    "runtime.powerState",
    "guest.guestFullName",
    "guest.hostName",
)
"""Properties of a listing: a few leaves of each, or thousands of machines cost minutes."""
DETAILS = (
    *LISTED,
    "config.version",
    "config.firmware",
    "config.bootOptions.efiSecureBootEnabled",
    "config.hardware.numCPU",
    "config.hardware.memoryMB",
    "config.hardware.device",
    CLAIM_PATH,
    VERSION_PATH,
    "runtime.connectionState",
    "runtime.consolidationNeeded",
    "snapshot",
    "network",
    "recentTask",
)
"""Properties of a machine that is worked on."""
LEAN = (
    "name",
    "config.instanceUuid",
    "config.template",
    "runtime.powerState",
    "runtime.consolidationNeeded",
    "snapshot",
)
"""What of them tells how a snapshot came out: devices cost more time than all the rest."""
DEVICES = "config.hardware.device"
TASKS = ("info.state", "info.descriptionId")
RUNNING = ("queued", "running")

_TOKEN = re.compile(r"^ferry token: ([A-Za-z0-9._-]+)$", re.MULTILINE)
_CONSISTENCY = re.compile(r"^ferry consistency: ([a-z]+)$", re.MULTILINE)
_POWER = {"poweredOn": PowerState.ON, "poweredOff": PowerState.OFF, "suspended": PowerState.PAUSED}
_BUSES = (
    (vim.vm.device.VirtualIDEController, "ide"),
    (vim.vm.device.VirtualSCSIController, "scsi"),
    (vim.vm.device.VirtualSATAController, "sata"),
    (vim.vm.device.VirtualNVMEController, "nvme"),
)
_PHYSICAL = "physicalMode"


@dataclass(frozen=True, slots=True)
class Around:
    """What is known of a machine beside its own properties."""

    endpoint: str
    networks: Mapping[str, str]
    """Names of networks by managed object id; a distributed portgroup's key is its id."""
    tasks: tuple[Props, ...] = ()
    also: tuple[str, ...] = ()


def to_ref(endpoint: str, props: Props) -> MachineRef:
    """Return the reference: the instance UUID is vCenter's own permanent id."""
    return MachineRef(endpoint=endpoint, id=props["config.instanceUuid"], name=props["name"])


def to_machine(props: Props, around: Around) -> Machine:
    """Read a machine's `DETAILS`."""
    devices = list(props.get("config.hardware.device", ()))
    return Machine(
        ref=to_ref(around.endpoint, props),
        power=power(props),
        firmware=_firmware(props),
        machine_type=props.get("config.version", ""),
        arch="x86_64" if "64" in props.get("config.guestId", "") else "i686",
        cpus=props.get("config.hardware.numCPU", 1),
        memory_bytes=props.get("config.hardware.memoryMB", 0) * 1024**2,
        disks=tuple(disks(devices)),
        nics=tuple(to_nic(card, power(props), around.networks) for card in cards(devices)),
        snapshots=tuple(to_snapshot(node, parent) for node, parent in tree(props.get("snapshot"))),
        busy=tuple(_busy(props, around.tasks)),
        claim=to_claim(props),
        guest=to_guest(props),
        also=around.also,
        notes=tuple(_notes(props)),
    )


def to_listed(props: Props, endpoint: str, path: str) -> Listed:
    """Read a machine's `LISTED`."""
    return Listed(
        ref=to_ref(endpoint, props),
        path=path,
        power=power(props),
        template=bool(props.get("config.template")),
        configured_os=props.get("config.guestId", ""),
        guest=to_guest(props),
    )


def power(props: Props) -> PowerState:
    """Return the power state."""
    return _POWER.get(str(props.get("runtime.powerState")), PowerState.OFF)


def to_claim(props: Props) -> Claim | None:
    """Read the claim. One that cannot be read still holds the machine."""
    option = props.get(CLAIM_PATH)
    if option is None or not option.value:
        return None
    try:
        return Claim.model_validate_json(str(option.value))
    except ValidationError:
        return Claim(run="unreadable", digest="", state_id=f"extraConfig {CLAIM_KEY}")


def to_guest(props: Props) -> GuestOs | None:
    """Read what VMware Tools say. Nothing of it: None."""
    name, host = props.get("guest.guestFullName") or "", props.get("guest.hostName") or ""
    if not (name or host):
        return None
    arch = "x64" if "64-bit" in name else "x86" if "32-bit" in name else ""
    option = props.get(DETAILED_PATH)
    found = re.search(r"buildNumber='(\d{1,6})'", str(option.value)) if option is not None else None
    return GuestOs(product=name, hostname=host, arch=arch, build=found.group(1) if found else "")


def devices_of(props: Props) -> list[Any]:
    """Return the machine's devices."""
    return list(props.get("config.hardware.device", ()))


def cards(devices: Iterable[Any]) -> list[Any]:
    """Return the network cards among the devices."""
    return [one for one in devices if isinstance(one, vim.vm.device.VirtualEthernetCard)]


def card_path(card: Any) -> str:
    """Return the property path of one card among its machine's devices."""
    return f"{DEVICES}[{card.key}]"


def mac(card: Any) -> str:
    """Return a card's key in the contract."""
    return str(card.macAddress or "").lower()


def to_nic(card: Any, state: PowerState, networks: Mapping[str, str]) -> Nic:
    """Read a network card. Its link is what it has now; of a stopped machine, what it would start with."""
    link = card.connectable
    up = link is not None and bool(link.startConnected if state is PowerState.OFF else link.connected)
    model = type(card).__name__.rpartition(".")[2].removeprefix("Virtual").lower()
    return Nic(key=mac(card), model=model, network=network_of(card, networks), link_up=up)


def network_of(card: Any, networks: Mapping[str, str]) -> str:
    """Return what a card is attached to, as `kind:name`."""
    backing = card.backing
    if isinstance(backing, vim.vm.device.VirtualEthernetCard.DistributedVirtualPortBackingInfo):
        key = str(backing.port.portgroupKey or "")
        return f"dvportgroup:{networks.get(key, key)}"
    if isinstance(backing, vim.vm.device.VirtualEthernetCard.OpaqueNetworkBackingInfo):
        return f"opaque:{backing.opaqueNetworkId}"
    return f"portgroup:{getattr(backing, 'deviceName', '')}"


def disks(devices: list[Any]) -> Iterator[Disk]:
    """Yield disks and CD drives."""
    controllers = {one.key: one for one in devices}
    for one in devices:
        if isinstance(one, vim.vm.device.VirtualDisk):
            yield _disk(one, controllers.get(one.controllerKey))
        elif isinstance(one, vim.vm.device.VirtualCdrom):
            file = str(getattr(one.backing, "fileName", "") or "")
            bus = _bus(controllers.get(one.controllerKey))
            yield Disk(
                key=str(one.key),
                bus=bus,
                base=file,
                format="iso",
                source=file,
                chain=(file,) if file else (),
                size_bytes=None,
                read_only=True,
                cdrom=True,
            )


def chain(backing: Any) -> tuple[str, ...]:
    """Return the files of a disk, from the one that is written now down to its base."""
    found = []
    while backing is not None:
        found.append(str(getattr(backing, "fileName", "") or ""))
        backing = getattr(backing, "parent", None)
    return tuple(found)


def _disk(disk: Any, controller: Any) -> Disk:
    backing = disk.backing
    files = chain(backing)
    sharing = str(getattr(backing, "sharing", None) or "sharingNone")
    bus = str(getattr(controller, "sharedBus", None) or "noSharing")
    return Disk(
        key=str(disk.key),
        bus=_bus(controller),
        base=files[-1],
        format="vmdk",
        source=files[0],
        chain=files,
        size_bytes=disk.capacityInBytes or (disk.capacityInKB or 0) * 1024,
        shared=sharing != "sharingNone" or bus != "noSharing",
        raw_passthrough=str(getattr(backing, "compatibilityMode", "")) == _PHYSICAL,
        independent=str(getattr(backing, "diskMode", "")).startswith("independent"),
    )


def _bus(controller: Any) -> str:
    return next((name for kind, name in _BUSES if isinstance(controller, kind)), "")


def tree(info: Any) -> Iterator[tuple[Any, str | None]]:
    """Yield the nodes of a snapshot tree (`vm.snapshot`), each with its parent's id, parents first."""
    waiting = [(node, None) for node in (info.rootSnapshotList if info is not None else ())]
    while waiting:
        node, parent = waiting.pop(0)
        yield node, parent
        waiting += [(child, node.snapshot._moId) for child in node.childSnapshotList or ()]


def describe(reason: str, token: str, consistency: Consistency) -> str:
    """Return the description of a snapshot of ours: for people, then for us."""
    return f"{reason}\nferry token: {token}\nferry consistency: {consistency.value}"


def token_of(text: str | None) -> str | None:
    """Return the token in a description or annotation."""
    found = _TOKEN.search(text or "")
    return found.group(1) if found else None


def to_snapshot(node: Any, parent: str | None) -> Snapshot:
    """Read a node of the tree."""
    return Snapshot(
        id=node.snapshot._moId,
        name=node.name,
        token=token_of(node.description),
        created_at=_aware(node.createTime),
        consistency=_got(node),
        parent=parent,
    )


def _got(node: Any) -> Consistency | None:
    """Tell what a snapshot holds. Its own state says whether it has memory; whether the machine was off, or a
    quiesced guest froze its applications, only its maker knows."""
    if str(node.state) == "poweredOn":
        return Consistency.MEMORY
    asked = _CONSISTENCY.search(node.description or "") if token_of(node.description) else None
    if asked is None:
        return Consistency.FILESYSTEM if node.quiesced else None
    if asked.group(1) in (Consistency.FILESYSTEM, Consistency.APPLICATION):
        return Consistency(asked.group(1)) if node.quiesced else Consistency.CRASH
    return Consistency.OFFLINE if asked.group(1) == Consistency.OFFLINE else Consistency.CRASH


def _aware(moment: datetime | None) -> datetime | None:
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)


def _firmware(props: Props) -> Firmware:
    if props.get("config.firmware") != "efi":
        return Firmware.BIOS
    return Firmware.UEFI_SECURE if props.get("config.bootOptions.efiSecureBootEnabled") else Firmware.UEFI


def _busy(props: Props, tasks: Iterable[Props]) -> Iterator[str]:
    for task in tasks:
        if task.get("info.state") in RUNNING:
            name = str(task.get("info.descriptionId", "a task")).rpartition(".")[2]
            yield f"{name} is {task['info.state']}"
    if props.get("runtime.consolidationNeeded"):
        yield "its disks need consolidation"


def _notes(props: Props) -> Iterator[str]:
    state = str(props.get("runtime.connectionState", "connected"))
    if state != "connected":
        yield f"vCenter calls it {state}: its host does not answer, or it lost its files"
