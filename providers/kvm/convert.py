"""libvirt's XML and statistics as the contract's values. Pure: no call, no file; what lies below an image is
asked through `Below`."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from orchestrator.model.machine import (
    Claim,
    Consistency,
    Disk,
    Firmware,
    GuestOs,
    Listed,
    Machine,
    MachineRef,
    PowerState,
    Snapshot,
)
from providers.kvm.cards import card, parse
from providers.kvm.chain import Below, Layer, walk

Stats = Mapping[str, Any]

TOKEN_LINE = "ferry token: "  # noqa: S105  # a label, not a secret
_TOKEN = re.compile(rf"^{TOKEN_LINE}([A-Za-z0-9._-]+)$", re.MULTILINE)
_POWER = {1: PowerState.ON, 2: PowerState.ON, 3: PowerState.PAUSED, 4: PowerState.ON, 7: PowerState.PAUSED}
_CONSISTENCY = {
    "disk-snapshot": Consistency.CRASH,
    "shutoff": Consistency.OFFLINE,
    "running": Consistency.MEMORY,
    "paused": Consistency.MEMORY,
}
_OSINFO = "http://libosinfo.org/xmlns/libvirt/domain/1.0"
_UNITS = {"b": 1, "bytes": 1, "KB": 1000, "k": 1024, "KiB": 1024, "MB": 10**6, "M": 2**20, "MiB": 2**20}
_UNITS |= {"GB": 10**9, "G": 2**30, "GiB": 2**30, "TB": 10**12, "T": 2**40, "TiB": 2**40}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_TEXT_LIMIT = 200


@dataclass(frozen=True, slots=True)
class SnapshotView:
    """A snapshot as libvirt describes it. `overlays`: per disk the file that is written since; `pinned`: the
    disks whose backing chain the definition spelled out when it was taken."""

    snapshot: Snapshot
    overlays: Mapping[str, str]
    pinned: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Around:
    """What is known of a domain beside its XML."""

    stats: Stats
    snapshots: tuple[Snapshot, ...] = ()
    claim: Claim | None = None
    guest: GuestOs | None = None


def to_machine(endpoint: str, text: str, around: Around, below: Below) -> Machine:
    """Read a domain: the live XML of a running one, else the persistent one."""
    root = parse(text)
    os_type = root.find("os/type")
    attributes: Mapping[str, str] = {} if os_type is None else os_type.attrib
    name = root.findtext("name", "")
    return Machine(
        ref=MachineRef(endpoint=endpoint, id=root.findtext("uuid", ""), name=name),
        power=_POWER.get(int(around.stats.get("state.state", 0)), PowerState.OFF),
        firmware=firmware(root),
        machine_type=attributes.get("machine", ""),
        arch=attributes.get("arch", ""),
        cpus=int(root.findtext("vcpu", "1")),
        memory_bytes=_bytes(root.find("memory")),
        disks=tuple(_disks(root, around.stats, below)),
        nics=tuple(card(element).nic() for element in root.findall("devices/interface")),
        snapshots=around.snapshots,
        busy=tuple(_mirrors(root)),
        claim=around.claim,
        guest=around.guest,
        notes=tuple(_notes(root)),
    )


def to_listed(endpoint: str, text: str, stats: Stats, guest: GuestOs | None = None) -> Listed:
    """Read a domain for a listing. libosinfo's id is what whoever defined the domain wrote there."""
    root = parse(text)
    name = root.findtext("name", "")
    system = next((e.get("id", "") for e in root.iterfind(f"metadata//{{{_OSINFO}}}os")), "")
    return Listed(
        ref=MachineRef(endpoint=endpoint, id=root.findtext("uuid", ""), name=name),
        path=name,
        power=_POWER.get(int(stats.get("state.state", 0)), PowerState.OFF),
        configured_os=_clean(system),
        guest=guest,
    )


def layers(text: str, below: Below) -> dict[str, tuple[Layer, ...]]:
    """Return the image chain of every disk that has a source, by its key, from what is written now to the
    base."""
    return {_key(e): _chain(e, below) for e in parse(text).findall("devices/disk") if _source(e)}


def to_snapshot(text: str) -> SnapshotView:
    """Read a snapshot's XML."""
    root = parse(text)
    token = _TOKEN.search(root.findtext("description", ""))
    created = root.findtext("creationTime")
    name = root.findtext("name", "")
    snapshot = Snapshot(
        id=name,
        name=name,
        token=token.group(1) if token else None,
        created_at=datetime.fromtimestamp(int(created), UTC) if created else None,
        consistency=_CONSISTENCY.get(root.findtext("state", "")),
        parent=root.findtext("parent/name"),
    )
    external = [e for e in root.findall("disks/disk") if e.get("snapshot") == "external"]
    domain = root.find("inactiveDomain")
    pinned = _pinned(root.find("domain") if domain is None else domain)
    return SnapshotView(snapshot, {e.get("name", ""): _source(e) for e in external}, frozenset(pinned))


def pinned_disks(text: str) -> dict[str, str]:
    """Return, by key, the XML of each disk whose backing chain a definition spells out: without that
    chain."""
    return _pinned(parse(text))


def firmware(root: ET.Element) -> Firmware:
    """Tell what a domain boots with."""
    loader = root.find("os/loader")
    pflash = loader is not None and loader.get("type") == "pflash"
    if not pflash and _attribute(root, "os", "firmware") != "efi":
        return Firmware.BIOS
    features = root.findall("os/firmware/feature")
    demanded = any(f.get("name") == "secure-boot" and f.get("enabled") == "yes" for f in features)
    secure = demanded or (loader is not None and loader.get("secure") == "yes")
    return Firmware.UEFI_SECURE if secure else Firmware.UEFI


def agent_connected(text: str) -> bool:
    """Tell whether a guest agent has opened its channel."""
    targets = parse(text).findall("devices/channel/target")
    return any(t.get("name") == "org.qemu.guest_agent.0" and t.get("state") == "connected" for t in targets)


def to_guest(info: Mapping[str, Any]) -> GuestOs:
    """Read what libvirt's guestInfo returned. The guest wrote it: cleaned and cut here."""
    return GuestOs(
        product=_clean(info.get("os.pretty-name", "")),
        version=_clean(info.get("os.kernel-version", "")),
        build=_clean(info.get("os.kernel-release", "")),
        variant=_clean(info.get("os.variant", "")),
        arch=_clean(info.get("os.machine", "")),
        hostname=_clean(info.get("hostname", "")),
    )


def _disks(root: ET.Element, stats: Stats, below: Below) -> Iterator[Disk]:
    counted = {stats.get(f"block.{n}.name"): n for n in reversed(range(int(stats.get("block.count", 0))))}
    for element in root.findall("devices/disk"):
        yield _disk(element, stats, counted.get(_key(element)), below)
    for number, element in enumerate(root.findall("devices/hostdev[@type='scsi']")):
        base = f"hostdev:{_attribute(element, 'source/adapter', 'name') or 'scsi'}"
        yield Disk(
            key=f"hostdev{number}", bus="scsi", base=base, format="raw", source=base, chain=(base,),
            size_bytes=None, raw_passthrough=True,
        )  # fmt: skip


def _disk(element: ET.Element, stats: Stats, number: int | None, below: Below) -> Disk:
    source = _source(element)
    chain = tuple(layer.path for layer in _chain(element, below)) if source else ("",)
    device = element.get("device", "disk")
    return Disk(
        key=_key(element),
        bus=_attribute(element, "target", "bus"),
        base=chain[-1],
        format=_format(element),
        source=source,
        chain=chain,
        size_bytes=_number(stats, number, "capacity"),
        used_bytes=_number(stats, number, "allocation") or _number(stats, number, "physical"),
        read_only=element.find("readonly") is not None,
        shared=element.find("shareable") is not None,
        raw_passthrough=device == "lun" or element.get("type") == "block",
        cdrom=device in ("cdrom", "floppy"),
    )


def _chain(element: ET.Element, below: Below) -> tuple[Layer, ...]:
    """The chain of one disk. An empty `<backingStore/>` is libvirt's word that there is nothing below."""
    known: list[Layer] = []
    following = element.find("backingStore")
    while following is not None and _source(following):
        known.append(Layer(_source(following), _attribute(following, "format", "type")))
        following = following.find("backingStore")
    top = Layer(_source(element), _format(element))
    return walk(top, known, complete=following is not None, below=below)


def _source(element: ET.Element) -> str:
    """Where a disk or backing store lies: a path, or `type:name` for what is no file."""
    source = element.find("source")
    if source is None:
        return ""
    path = source.get("file") or source.get("dev") or source.get("dir")
    if path:
        return path
    kind = element.get("type", "")
    if kind == "volume":
        return f"volume:{source.get('pool', '')}/{source.get('volume', '')}"
    # An empty drive of a running machine keeps a source that names nothing.
    return "" if kind == "file" else f"{source.get('protocol') or kind}:{source.get('name', '')}"


def _pinned(domain: ET.Element | None) -> dict[str, str]:
    found = {}
    for disk in [] if domain is None else domain.findall("devices/disk"):
        store = disk.find("backingStore")
        if store is not None:
            disk.remove(store)
            found[_key(disk)] = ET.tostring(disk, encoding="unicode")
    return found


def _mirrors(root: ET.Element) -> Iterator[str]:
    for element in root.findall("devices/disk"):
        mirror = element.find("mirror")
        if mirror is not None:
            yield f"block job on {_key(element)}: {mirror.get('job') or 'copy'}"


def _notes(root: ET.Element) -> Iterator[str]:
    for tag in ("title", "description"):
        text = _clean(root.findtext(tag, ""))
        if text:
            yield text


def _key(disk: ET.Element) -> str:
    return _attribute(disk, "target", "dev")


def _format(disk: ET.Element) -> str:
    """The driver's format; libvirt takes a disk without one for raw."""
    return _attribute(disk, "driver", "type") or "raw"


def _attribute(element: ET.Element, path: str, name: str) -> str:
    child = element.find(path)
    return "" if child is None else child.get(name, "")


def _number(stats: Stats, number: int | None, name: str) -> int | None:
    value = None if number is None else stats.get(f"block.{number}.{name}")
    return None if value is None else int(value)


def _bytes(element: ET.Element | None) -> int:
    if element is None:
        return 0
    return int(element.text or 0) * _UNITS.get(element.get("unit", "KiB"), 1024)


def _clean(value: object) -> str:
    return _CONTROL.sub(" ", str(value)).strip()[:_TEXT_LIMIT]
