"""Finds what lies on a set of disks, and the Windows installation among it.

It refuses rather than guesses where there are several installations or none.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from orchestrator.diagnostics import FerryError
from orchestrator.disks.partitions import Partition, PartitionTable, Scheme, partition_table
from orchestrator.guest.clean import clean
from orchestrator.guest.offline.blocks import RemoteDisk, Window
from orchestrator.guest.offline.ntfs import DamagedVolume, Volume

_DYNAMIC = frozenset({"42", "af9b60a0-1431-4f62-bc68-3311714a69ad", "5808c8aa-7e8f-42e0-85d2-e1e90434cfb3"})
_MAX_TOP_FOLDERS = 200
_FAT32_AT, _OEM_AT = 82, 3
_SYSTEMS = {b"NTFS    ": "NTFS", b"-FVE-FS-": "BitLocker", b"ReFS\0\0\0\0": "ReFS", b"EXFAT   ": "exFAT"}


class NoSystem(FerryError):
    """There is not exactly one Windows to read."""

    code = "no-single-system"


@dataclass(frozen=True, slots=True)
class Place:
    """One partition, or a whole disk without partitions. `number` counts from 1.

    `filesystem` is "" for one we do not know; `volume` is there for readable NTFS; `fault` says why it is not
    readable.
    """

    disk: RemoteDisk
    number: int
    part: Partition
    filesystem: str
    volume: Volume | None = None
    fault: str = ""

    @property
    def dynamic(self) -> bool:
        """Tell whether it belongs to the Logical Disk Manager."""
        return self.part.type in _DYNAMIC

    def __str__(self) -> str:
        return f"disk {self.disk.index + 1}, partition {self.number}"


@dataclass(frozen=True, slots=True)
class System:
    """One installation: its volume and its folder ("\\\\Windows")."""

    place: Place
    volume: Volume
    folder: str

    def path(self, below: str) -> str:
        """Return the path of something below the System32 folder."""
        return f"{self.folder}\\System32\\{below}"


def all_places(disks: Sequence[RemoteDisk]) -> tuple[tuple[PartitionTable, ...], tuple[Place, ...]]:
    """Return each disk's partition table, and every partition there is."""
    tables = tuple(partition_table(disk) for disk in disks)
    pairs = zip(disks, tables, strict=True)
    return tables, tuple(place for disk, table in pairs for place in _places(disk, table))


def the_system(places: Sequence[Place]) -> System:
    """Return the one installation there is. Raises NoSystem, saying what was seen instead."""
    seen: list[str] = []
    found: list[System] = []
    for place in places:
        try:
            found += _systems(place)
            seen.append(f"{place}: {_kind(place)}")
        except DamagedVolume as fault:
            seen.append(f"{place}: {fault.message}")
    if len(found) == 1:
        return found[0]
    if found:
        named = "; ".join(f"{system.place}, {system.folder}" for system in found)
        message = f"there are several Windows installations: {named}"
        raise NoSystem(message, hint="take the disk of the one that starts, alone")
    message = "no Windows installation was found (" + ("; ".join(seen) or "no partitions") + ")"
    raise NoSystem(message, hint="give all disks of the machine, decrypted")


def _places(disk: RemoteDisk, table: PartitionTable) -> Iterator[Place]:
    whole = (Partition(0, disk.size, "", False),)
    for number, part in enumerate(whole if table.scheme is Scheme.NONE else table.partitions, start=1):
        filesystem = _filesystem(disk, part)
        volume, fault = None, ""
        if filesystem == "NTFS":
            try:
                volume = Volume(Window(disk, part.offset, part.length))
            except DamagedVolume as damage:
                fault = damage.message
        yield Place(disk, number, part, filesystem, volume, fault)


def _filesystem(disk: RemoteDisk, part: Partition) -> str:
    head = disk.read(part.offset, 512)
    known = _SYSTEMS.get(head[_OEM_AT : _OEM_AT + 8], "")
    return known or ("FAT32" if head[_FAT32_AT : _FAT32_AT + 5] == b"FAT32" else "")


def _kind(place: Place) -> str:
    if place.fault:
        return place.fault
    if place.filesystem == "BitLocker":
        return "encrypted with BitLocker"
    if place.dynamic:
        return "a dynamic disk, which is not read"
    return "NTFS without Windows" if place.volume else "another file system"


def _systems(place: Place) -> Iterator[System]:
    volume = place.volume
    for index, name in enumerate(volume.folders("") if volume else ()):
        folder = f"\\{name}"
        if (
            volume
            and index < _MAX_TOP_FOLDERS
            and volume.find(rf"{folder}\System32\config\SYSTEM") is not None
        ):
            yield System(place, volume, clean(folder))
