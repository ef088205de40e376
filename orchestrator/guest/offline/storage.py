"""Disks and volumes: partition tables, drive letters, and how much of each volume is in use."""

import struct
import uuid
from collections.abc import Mapping, Sequence

from orchestrator.disks.partitions import PartitionTable
from orchestrator.guest.clean import NAME, clean
from orchestrator.guest.offline.blocks import RemoteDisk
from orchestrator.guest.offline.ntfs import DamagedVolume
from orchestrator.guest.offline.sections import Sections
from orchestrator.guest.offline.systems import Place
from orchestrator.guest.registry import RegistryKey, binary
from orchestrator.model.facts import DiskLayout, Volume

_DOS = "\\DosDevices\\"
_GPT_MARK = b"DMIO:ID:"
_SIGNATURE_AT = 440
_MAX_BITMAP = 64 * 1024 * 1024
_CHUNK = 1024 * 1024
Letters = Mapping[int, str]
"""Drive letters ("C:") by a place's index among all places."""


def disk_layouts(
    disks: Sequence[RemoteDisk], tables: Sequence[PartitionTable], places: Sequence[Place]
) -> tuple[DiskLayout, ...]:
    """Return the disks in their given order."""
    dynamic = {place.disk.index for place in places if place.dynamic}
    return tuple(
        DiskLayout(index=disk.index, size=disk.size, scheme=table.scheme.value, dynamic=disk.index in dynamic)
        for disk, table in zip(disks, tables, strict=True)
    )


def drive_letters(system: RegistryKey | None, places: Sequence[Place]) -> dict[int, str]:
    """Return the letters that MountedDevices gives: it names a partition by its disk's MBR signature and its
    offset, or by its own GUID. `system`: root of SYSTEM.
    """
    mounted = system.subkey("MountedDevices") if system else None
    names = [name for name in (mounted.value_names() if mounted else ()) if name.startswith(_DOS)]
    by_mark = {binary(mounted, name): clean(name[len(_DOS) :], NAME) for name in names}
    letters = {index: by_mark.get(_mark(place), "") for index, place in enumerate(places)}
    return {index: letter for index, letter in letters.items() if letter}


def _mark(place: Place) -> bytes:
    if place.part.guid:
        return _GPT_MARK + uuid.UUID(place.part.guid).bytes_le
    return place.disk.read(_SIGNATURE_AT, 4) + struct.pack("<Q", place.part.offset)


def volumes(places: Sequence[Place], letters: Letters, notes: Sections) -> tuple[Volume, ...]:
    """Return all volumes of file systems that Windows uses, in the order of the disks; not the EFI system
    partition.
    """
    found = []
    for index, place in enumerate(places):
        if place.filesystem and not place.part.esp:
            found.append(_volume(place, letters.get(index, ""), notes))
        elif place.dynamic and not place.filesystem:
            notes.missing("volumes.dynamic", f"{place}: the volumes of a dynamic disk are not read")
    return tuple(found)


def _volume(place: Place, letter: str, notes: Sections) -> Volume:
    if place.fault:
        notes.missing("volumes.damaged", f"{place}: {place.fault}")
    label = notes.guarded(lambda: place.volume.label() if place.volume else "", "")
    return Volume(
        letter=letter,
        label=clean(label, NAME),
        filesystem=place.filesystem,
        size=place.part.length,
        used=notes.guarded(lambda: _used(place), None, str(place)),
        disk=place.disk.index,
        encrypted=place.filesystem == "BitLocker",
    )


def _used(place: Place) -> int | None:
    """Return the bytes in use: the bits that are set in $Bitmap. Bits behind the last cluster are set, too,
    and do not count. None for volumes so large that this would cost too much.
    """
    if place.volume is None:
        return None
    head = place.disk.read(place.part.offset, 512)
    sector, per_cluster = struct.unpack_from("<HB", head, 11)
    sectors: int = struct.unpack_from("<Q", head, 40)[0]
    # Above 128 it is the negative of an exponent: clusters of more than 64 KiB.
    cluster: int = sector * (per_cluster if per_cluster <= 128 else 1 << 256 - per_cluster)
    clusters = sectors * sector // cluster if cluster else 0
    if not clusters or clusters > 8 * _MAX_BITMAP or clusters * cluster > place.part.length:
        return None
    read = place.volume.bitmap()
    whole, rest = divmod(clusters, 8)
    used = sum(
        int.from_bytes(_exactly(read(at, size), size), "little").bit_count()
        for at in range(0, whole, _CHUNK)
        for size in (min(_CHUNK, whole - at),)
    )
    if rest:
        used += (_exactly(read(whole, 1), 1)[0] & (1 << rest) - 1).bit_count()
    return used * cluster


def _exactly(data: bytes, size: int) -> bytes:
    if len(data) != size:
        message = "its bitmap of clusters is cut short"
        raise DamagedVolume(message)
    return data
