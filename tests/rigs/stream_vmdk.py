"""Writes stream-optimised VMDKs as VMware's own exports are laid out; damaged where a test asks for it."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

SECTOR = 512
GRAIN = 128
ENTRIES = 512
AT_END = (1 << 64) - 1

DESCRIPTOR = """# Disk DescriptorFile
version=1 
CID=1234abcd 
parentCID={parent} 
createType="{kind}" 

# Extent description
RDONLY {capacity} SPARSE "generated-stream.vmdk"

# The Disk Data Base 
#DDB
ddb.adapterType = "lsilogic"
"""  # noqa: W291 - the blanks at the ends of lines are the format's


@dataclass
class Stream:
    """A stream as it grows, and the places in it at which something ends."""

    data: bytearray = field(default_factory=bytearray)
    ends: list[int] = field(default_factory=list)

    def add(self, piece: bytes) -> int:
        """Append a piece, padded to whole sectors; return the sector where it begins."""
        sector = len(self.data) // SECTOR
        self.data += piece + bytes(-len(piece) % SECTOR)
        self.ends.append(len(self.data))
        return sector


def header(capacity: int, directory: int = AT_END, changes: Mapping[str, object] | None = None) -> bytes:
    """Return a header's sector; `changes` replaces fields by name."""
    fields: dict[str, object] = {
        "magic": b"KDMV", "version": 3, "flags": 0x30001, "capacity": capacity, "grain": GRAIN,
        "descriptor_at": 1, "descriptor_length": 2, "entries": ENTRIES, "redundant": 0,
        "directory": directory, "overhead": 4, "unclean": 0, "line_ends": b"\n \r\n", "compression": 1,
    }  # fmt: skip
    fields |= changes or {}
    return struct.pack("<4sIIQQQQIQQQB4sH", *fields.values()).ljust(SECTOR, b"\0")


def grain(sector: int, data: bytes, *, level: int = 1) -> bytes:
    """Return a grain with its marker, not yet padded."""
    packed = zlib.compress(data, level)
    return struct.pack("<QI", sector, len(packed)) + packed


def marker(kind: int, sectors: int) -> bytes:
    """Return a metadata marker: 0 end of stream, 1 grain table, 2 grain directory, 3 footer."""
    return struct.pack("<QII", sectors, 0, kind).ljust(SECTOR, b"\0")


@dataclass(frozen=True)
class Pieces:
    """What a test may replace. `table`, `directory`: called with the entries, `footer` with the header."""

    header: Mapping[str, object] = field(default_factory=dict)
    descriptor: Mapping[str, object] = field(default_factory=dict)
    table: Callable[[int, list[int]], list[int]] = lambda _, entries: entries
    directory: Callable[[list[int]], list[int]] = lambda entries: entries
    footer: Mapping[str, object] = field(default_factory=dict)
    tables_last: bool = False
    empty_tables: bool = False


def write(disk: bytes, pieces: Pieces | None = None) -> Stream:
    """Write a disk; grains of zeros are left out."""
    how = pieces or Pieces()
    capacity = len(disk) // SECTOR
    out = Stream()
    out.add(header(capacity, changes=how.header))
    words = {"kind": "streamOptimized", "parent": "ffffffff", "capacity": capacity} | how.descriptor
    out.add(DESCRIPTOR.format(**words).encode().ljust(2 * SECTOR, b"\0"))
    out.add(bytes(SECTOR))
    count = -(-capacity // (GRAIN * ENTRIES))
    tables = [[0] * ENTRIES for _ in range(count)]
    directory = [0] * count

    def table(number: int) -> None:
        if any(tables[number]) or how.empty_tables:
            entries = how.table(number, tables[number])
            out.add(marker(1, 4))
            directory[number] = out.add(struct.pack(f"<{ENTRIES}I", *entries))

    for number in range(count):
        _grains(disk, number, out, tables[number])
        if not how.tables_last:
            table(number)
    for number in range(count if how.tables_last else 0):
        table(number)
    entries = how.directory(directory)
    out.add(marker(2, -(-4 * len(entries) // SECTOR)))
    at = out.add(struct.pack(f"<{len(entries)}I", *entries))
    out.add(marker(3, 1))
    out.add(header(capacity, at, dict(how.header) | dict(how.footer)))
    out.add(marker(0, 0))
    return out


def _grains(disk: bytes, number: int, out: Stream, table: list[int]) -> None:
    for slot in range(ENTRIES):
        sector = (number * ENTRIES + slot) * GRAIN
        data = disk[sector * SECTOR : (sector + GRAIN) * SECTOR]
        if data.strip(b"\0"):
            table[slot] = out.add(grain(sector, data.ljust(GRAIN * SECTOR, b"\0")))
