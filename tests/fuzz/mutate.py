"""Mutators of disks, hives, logs and image headers. All chance comes from the generator that is passed in.

A mutation is a patch: (offset, new bytes). They aim at structures: random places mostly hit nothing.
"""

from __future__ import annotations

import mmap
import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from orchestrator.guest.offline.replay import marvin32

SECTOR, PAGE = 512, 4096
Patch = tuple[int, bytes]
Data = bytes | mmap.mmap
Mutator = Callable[[random.Random, "Terrain"], Iterator[Patch]]

_EDGES = (0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
_CELLS = (b"nk", b"vk", b"lf", b"lh", b"li", b"ri", b"sk", b"db")
_TABLES = (0, 440, 446, 450, 454, 458, 462, 510)


@dataclass(frozen=True)
class Terrain:
    """A disk's bytes, and where on it the structures lie."""

    data: Data
    records: tuple[int, ...]
    indexes: tuple[int, ...]
    boots: tuple[int, ...]
    bins: tuple[int, ...]
    hives: tuple[int, ...]
    entries: tuple[int, ...]
    cells: tuple[int, ...]


def terrain(data: Data) -> Terrain:
    """Find the structures of a disk that holds NTFS and hives."""
    found: dict[bytes, list[int]] = {b"FILE": [], b"INDX": [], b"regf": [], b"hbin": [], b"HvLE": []}
    boots = []
    for at in range(0, len(data), SECTOR):
        mark = data[at : at + 4]
        if mark in found:
            found[mark].append(at)
        elif data[at + 3 : at + 11] == b"NTFS    ":
            boots.append(at)
    bins = found[b"hbin"]
    cells = [at for start in bins for at in _cells(data, start)]
    order = (b"FILE", b"INDX")
    records, indexes = (tuple(found[mark]) for mark in order)
    return Terrain(
        data, records, indexes, tuple(boots), tuple(bins),
        tuple(found[b"regf"]), tuple(found[b"HvLE"]), tuple(cells),
    )  # fmt: skip


def _cells(data: Data, start: int) -> Iterator[int]:
    """Yield where the cells of a bin begin that hold keys, values and lists."""
    at, end = start + 32, start + struct.unpack_from("<I", data, start + 8)[0]
    while at + 8 <= min(end, len(data)):
        size = abs(struct.unpack_from("<i", data, at)[0])
        if size < 8:
            return
        if data[at + 4 : at + 6] in _CELLS:
            yield at
        at += size


def edge(chance: random.Random, width: int) -> bytes:
    """Return a number of `width` bytes that code tends to forget: the ends of ranges, or any."""
    value = chance.choice([*_EDGES, chance.getrandbits(8 * width), chance.getrandbits(16)])
    return (value & ((1 << 8 * width) - 1)).to_bytes(width, "little")


def random_bytes(chance: random.Random, land: Terrain) -> Iterator[Patch]:
    """Single bytes anywhere in structures."""
    places = [0, *land.boots, *land.records, *land.indexes, *land.bins, *land.hives]
    for _ in range(chance.randint(1, 40)):
        yield chance.choice(places) + chance.randrange(SECTOR), chance.randbytes(1)


def partition_table(chance: random.Random, land: Terrain) -> Iterator[Patch]:
    """The first sectors: MBR entries, GPT header and entries."""
    for _ in range(chance.randint(1, 4)):
        base = chance.choice([0, 0, SECTOR, 2 * SECTOR])
        at = base + (chance.choice(_TABLES) if base == 0 else chance.randrange(0, 128, 4))
        yield at, edge(chance, chance.choice([1, 2, 4, 8]))
    yield 510, b"\x55\xaa"


def boot_sector(chance: random.Random, land: Terrain) -> Iterator[Patch]:
    """Sector, cluster and record sizes, the place of the file table."""
    start = chance.choice(land.boots)
    for _ in range(chance.randint(1, 3)):
        place, width = chance.choice([(11, 2), (13, 1), (14, 2), (40, 8), (48, 8), (56, 8), (64, 1), (68, 1)])
        yield start + place, edge(chance, width)


def file_record(chance: random.Random, land: Terrain) -> Iterator[Patch]:
    """Headers of attributes in file records: lengths, offsets, data runs."""
    for _ in range(chance.randint(1, 6)):
        start = chance.choice(land.records)
        spots = [start + field for field in (4, 6, 16, 20, 22, 24, 28, 32)]
        at = start + struct.unpack_from("<H", land.data, start + 20)[0]
        while at + 16 < start + 1024 and land.data[at : at + 4] != b"\xff\xff\xff\xff":
            spots += [at + field for field in (0, 4, 8, 9, 10, 12, 16, 20, 32, 34, 40, 48, 56, 64, 66, 68)]
            length = struct.unpack_from("<I", land.data, at + 4)[0]
            if not 16 <= length <= 1024:
                break
            at += length
        yield chance.choice(spots), edge(chance, chance.choice([1, 2, 4, 8]))


def index_record(chance: random.Random, land: Terrain) -> Iterator[Patch]:
    """Folders: entry lengths, references, flags."""
    for _ in range(chance.randint(1, 6)):
        start = chance.choice(land.indexes or land.records)
        yield start + chance.randrange(16, 1020, 2), edge(chance, chance.choice([2, 4, 8]))


def record_swap(chance: random.Random, land: Terrain) -> Iterator[Patch]:
    """One file record in another's place: loops, folders that are files."""
    for _ in range(chance.randint(1, 4)):
        source, target = chance.choice(land.records), chance.choice(land.records)
        yield target, land.data[source : source + 1024]


def hive_cell(chance: random.Random, land: Terrain) -> Iterator[Patch]:
    """Fields of keys, values and lists: counts, offsets, sizes; offsets also to other cells."""
    for _ in range(chance.randint(1, 25)):
        at = chance.choice(land.cells)
        other = chance.choice(land.cells) - chance.choice(land.bins) + 32
        value = edge(chance, 4) if chance.random() < 0.6 else (other & 0xFFFFFFFF).to_bytes(4, "little")
        yield at + chance.choice([0, 4, 6, 8, 12, 16, 24, 28, 32, 40, 44, 76]), value


def hive_cell_swap(chance: random.Random, land: Terrain) -> Iterator[Patch]:
    """One cell's content in another: a list where a key was."""
    for _ in range(chance.randint(1, 10)):
        source, target = chance.choice(land.cells), chance.choice(land.cells)
        yield target + 4, land.data[source + 4 : source + 4 + chance.choice([2, 20, 76])]


def hive_bytes(chance: random.Random, land: Terrain) -> Iterator[Patch]:
    """Whole stretches of a hive overwritten, as a torn write leaves them."""
    for _ in range(chance.randint(1, 4)):
        length = chance.choice([SECTOR, PAGE])
        filler = chance.choice([bytes(length), b"\xff" * length, chance.randbytes(length)])
        yield chance.choice([*land.bins, *land.hives]) + chance.choice([0, SECTOR, 2 * SECTOR]), filler


def hive_header(chance: random.Random, land: Terrain) -> Iterator[Patch]:
    """Base blocks, of hives and logs alike, with the checksum made right."""
    for _ in range(chance.randint(1, 3)):
        start = chance.choice(land.hives)
        block = bytearray(land.data[start : start + SECTOR])
        for _ in range(chance.randint(1, 3)):
            at = chance.choice([4, 8, 12, 20, 24, 28, 32, 36, 40, 48, 112])
            block[at : at + 4] = edge(chance, 4)
        total = 0
        for (word,) in struct.iter_unpack("<I", block[:508]):
            total ^= word
        block[508:512] = total.to_bytes(4, "little")
        yield start, bytes(block)


def log_entry(chance: random.Random, land: Terrain) -> Iterator[Patch]:
    """Log entries with their hashes made right, so that what is in them is believed."""
    at = chance.choice(land.entries)
    size = struct.unpack_from("<I", land.data, at + 4)[0]
    raw = bytearray(land.data[at : at + size])
    for _ in range(chance.randint(1, 4)):
        place = chance.choice([12, 16, 20, 40, 44, 48, 52, *range(40, min(len(raw) - 4, 400), 8)])
        raw[place : place + 4] = edge(chance, 4)
    raw[24:32] = marvin32(bytes(raw[40:])).to_bytes(8, "little")
    raw[32:40] = marvin32(bytes(raw[:32])).to_bytes(8, "little")
    yield at, bytes(raw)


def log_bytes(chance: random.Random, land: Terrain) -> Iterator[Patch]:
    """Log entries as they come from a torn write: hashes wrong, lengths anything."""
    for _ in range(chance.randint(1, 6)):
        at = chance.choice(land.entries) + chance.choice([0, 4, 12, 16, 20, 24, 40, chance.randrange(SECTOR)])
        yield at, edge(chance, 4)


DISK_MUTATORS: tuple[Mutator, ...] = (
    random_bytes, partition_table, boot_sector, file_record, index_record, record_swap,
    hive_cell, hive_cell_swap, hive_bytes, hive_header, log_entry, log_bytes,
)  # fmt: skip


def container(chance: random.Random, data: bytearray) -> None:
    """Change an image file's own structures in place: header, tables, descriptor, footer; or cut it."""
    for _ in range(chance.randint(1, 8)):
        how = chance.random()
        if how < 0.55:
            at = chance.choice([chance.randrange(0, 128, 4), chance.randrange(0, 2048)])
        elif how < 0.8:
            at = chance.randrange(0, min(len(data), 8 * 65536), 8)
        else:
            at = max(0, len(data) - 1024 + chance.randrange(1020))
        width = chance.choice([1, 2, 4, 8])
        value = edge(chance, width)
        data[at : at + width] = value if chance.random() < 0.5 else value[::-1]
    if chance.random() < 0.15:
        del data[chance.randrange(len(data)) :]


def descriptor(chance: random.Random, data: bytearray) -> None:
    """Change the text of a VMDK descriptor: its words and lines, what they name, how long they are."""
    begin = data.find(b"# Disk DescriptorFile")
    if begin < 0:
        return container(chance, data)
    end = data.find(b"\0", begin) if b"\0" in data[begin:] else len(data)
    lines = bytes(data[begin:end]).split(b"\n")
    words = [b"RW", b"0", b"-1", b"99999999999999999999", b'"/etc/passwd"', b'"nbd://127.0.0.1:9/x"', b"FLAT"]
    words += [
        b"SPARSE",
        b"ZERO",
        b"NOACCESS",
        b'""',
        b"A" * 5000,
        b"\xff\xfe",
        b'"../../etc/passwd"',
        b"VMFS",
    ]
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(lines))
        parts = lines[at].split(b" ")
        parts[chance.randrange(len(parts))] = chance.choice(words)
        lines[at] = chance.choice([b" ".join(parts), lines[at] * 2, b"", lines[chance.randrange(len(lines))]])
    text = b"\n".join(lines)
    data[begin : begin + len(text)] = text
    return None
