"""Reads MBR and GPT partition tables from a FrozenDisk.

Needs no tool and mounts nothing; a damaged table gives what is certain.
"""

import struct
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

_ESP_GPT = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
_ESP_MBR = 0xEF
_EXTENDED = frozenset({0x05, 0x0F, 0x85})
_PROTECTIVE = 0xEE
_MAX_ENTRIES = 256
_MAX_LOGICAL = 64


class Readable(Protocol):
    """As much of a FrozenDisk as a partition table needs."""

    @property
    def size(self) -> int: ...
    def read(self, offset: int, length: int) -> bytes: ...


class Scheme(StrEnum):
    """Kind of partition table."""

    MBR = "mbr"
    GPT = "gpt"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition: bytes, and its type (an MBR type "07" or a GPT type GUID, lower case)."""

    offset: int
    length: int
    type: str
    esp: bool
    guid: str = ""
    """Its own GUID in a GPT, lower case; "" in an MBR."""


@dataclass(frozen=True, slots=True)
class PartitionTable:
    """The table. Partitions keep the table's order; those that lie outside the disk are left out."""

    scheme: Scheme
    partitions: tuple[Partition, ...]

    @property
    def has_esp(self) -> bool:
        """Tell whether there is an EFI system partition: such a disk boots by UEFI."""
        return any(partition.esp for partition in self.partitions)


def partition_table(disk: Readable) -> PartitionTable:
    """Read the partition table. No valid table: scheme NONE. Raises what `disk.read` raises."""
    first = disk.read(0, 512) if disk.size >= 512 else b""
    if first[510:512] != b"\x55\xaa":
        return PartitionTable(Scheme.NONE, ())
    entries = list(_entries(first))
    if any(kind == _PROTECTIVE for kind, _, _ in entries):
        for sector in (512, 4096):
            found = _gpt(disk, sector)
            if found is not None:
                return PartitionTable(Scheme.GPT, _inside(disk, found))
        return PartitionTable(Scheme.NONE, ())
    found = list(_mbr(disk, entries))
    # A file system's own boot sector bears the same signature; its "entries" are program code.
    return PartitionTable(Scheme.MBR, _inside(disk, found)) if found else PartitionTable(Scheme.NONE, ())


def _inside(disk: Readable, found: list[Partition]) -> tuple[Partition, ...]:
    return tuple(p for p in found if p.offset > 0 and p.length > 0 and p.offset + p.length <= disk.size)


def _entries(sector: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield (type, first sector, sectors) of the used entries; none at all if a status byte is impossible."""
    rows = [struct.unpack_from("<B3xB3xII", sector, 446 + 16 * index) for index in range(4)]
    if all(status in (0x00, 0x80) for status, *_ in rows):
        yield from ((kind, start, count) for _, kind, start, count in rows if kind and count)


def _mbr(disk: Readable, entries: list[tuple[int, int, int]]) -> Iterator[Partition]:
    for kind, start, count in entries:
        if kind in _EXTENDED:
            yield from _logical(disk, start)
        else:
            yield _mbr_partition(kind, start, count)


def _mbr_partition(kind: int, start: int, count: int) -> Partition:
    return Partition(start * 512, count * 512, f"{kind:02x}", kind == _ESP_MBR)


def _logical(disk: Readable, base: int) -> Iterator[Partition]:
    """Follow the chain of extended boot records; a loop ends at the limit."""
    at = base
    for _ in range(_MAX_LOGICAL):
        if (at + 1) * 512 > disk.size:
            return
        sector = disk.read(at * 512, 512)
        if sector[510:512] != b"\x55\xaa":
            return
        following = 0
        for kind, start, count in _entries(sector):
            if kind in _EXTENDED:
                following = base + start
            else:
                yield _mbr_partition(kind, at + start, count)
        if following <= at:
            return
        at = following


def _gpt(disk: Readable, sector: int) -> list[Partition] | None:
    """Read the primary table; None if there is none for this sector size."""
    if disk.size < 3 * sector:
        return None
    header = disk.read(sector, 92)
    if header[:8] != b"EFI PART":
        return None
    where, count, size = struct.unpack_from("<QII", header, 72)
    if size < 128 or size > 4096 or count > _MAX_ENTRIES or where * sector + count * size > disk.size:
        return None
    table = disk.read(where * sector, count * size)
    return list(_gpt_entries(table, size, sector))


def _gpt_entries(table: bytes, size: int, sector: int) -> Iterator[Partition]:
    for at in range(0, len(table), size):
        kind = uuid.UUID(bytes_le=table[at : at + 16])
        first, last = struct.unpack_from("<QQ", table, at + 32)
        if kind.int and last >= first:
            own = uuid.UUID(bytes_le=table[at + 16 : at + 32])
            length = (last - first + 1) * sector
            yield Partition(first * sector, length, str(kind), kind == _ESP_GPT, str(own))
