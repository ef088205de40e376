"""What a stream-optimised VMDK says about itself: header, embedded descriptor, grain tables.

Everything here comes from a hostile stream: no size of it is used before it was checked. It must not read the
stream itself; `vmdk_stream` does that. Offsets and lengths in the format are sectors of 512 bytes, numbers
are little-endian.
"""

import re
import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from itertools import zip_longest

from orchestrator.disks.forward import DamagedError

SECTOR = 512
MAX_DESCRIPTOR = 128  # sectors; real ones fit into 20
MAX_TABLES = 1 << 21  # 64 TiB at the usual grain of 64 KiB; the longest VMDK has 62 TiB
_MAGIC = b"KDMV"
_VERSION = 3
_HEADER = struct.Struct("<4sIIQQQQIQQQB4sH")
_LINES, _REDUNDANT, _COMPRESSED, _MARKERS = 1 << 0, 1 << 1, 1 << 16, 1 << 17
_LINE_ENDS = b"\n \r\n"
_DEFLATE = 1
_AT_END = (1 << 64) - 1
_GRAINS = (8, 16, 32, 64, 128, 256, 512, 1024, 2048)  # sectors: 4 KiB .. 1 MiB
_ENTRIES = 512
_UNUSED = blake2b(bytes(4 * _ENTRIES), digest_size=8).digest()
_SETTING = re.compile(r'(\w+)\s*=\s*"?([^"\s]*)"?\s*')
_EXTENT = re.compile(r'(?:RW|RDONLY)\s+(\d{1,19})\s+(\w+)(?:\s+"([^"]*)"(?:\s+(\d{1,19}))?)?')
_ANY_EXTENT = re.compile(r"(?:RW|RDONLY|NOACCESS)\b")
_NO_PARENT = "ffffffff"


@dataclass(frozen=True, slots=True)
class Header:
    """A checked header. In sectors: `capacity`, `grain`, `descriptor_at`, `descriptor_length`, `overhead`
    (where grains may begin), `directory_at` (None: at the end, the footer says where)."""

    capacity: int
    grain: int
    descriptor_at: int
    descriptor_length: int
    directory_at: int | None
    overhead: int

    @property
    def tables(self) -> int:
        """How many grain tables cover the disk."""
        return -(-self.capacity // (self.grain * _ENTRIES))


def read_header(data: bytes | memoryview, at: int) -> Header:
    """Check a header's (or footer's) sector found at byte `at`. Raises DamagedError."""
    (
        magic, version, flags, capacity, grain, descriptor_at, descriptor_length, entries, _, directory_at,
        overhead, _, line_ends, compression,
    ) = _HEADER.unpack_from(data)  # fmt: skip
    wanted = _COMPRESSED | _MARKERS
    checks = (
        (magic == _MAGIC, "this is no VMDK with a sparse header"),
        (version == _VERSION, f"version {version}, but a stream-optimised VMDK has version {_VERSION}"),
        (flags & wanted == wanted, "not stream-optimised: no compressed grains with markers"),
        (not flags & ~(wanted | _LINES | _REDUNDANT), f"unknown flags {flags:#x}"),
        (not flags & _LINES or line_ends == _LINE_ENDS, "its line ends were changed on the way"),
        (compression == _DEFLATE, f"unknown compression {compression}"),
        (grain in _GRAINS, f"a grain of {grain} sectors"),
        (entries == _ENTRIES, f"{entries} entries in a grain table, not {_ENTRIES}"),
        (capacity > 0, "a disk without a size"),
        (capacity <= MAX_TABLES * _ENTRIES * grain, f"a disk of {capacity} sectors"),
        (0 < descriptor_length <= MAX_DESCRIPTOR, f"a descriptor of {descriptor_length} sectors"),
        (0 < descriptor_at < 1 << 32, f"a descriptor at sector {descriptor_at}"),
        (descriptor_at + descriptor_length <= overhead < 1 << 32, f"an overhead of {overhead} sectors"),
    )
    for fine, why in checks:
        if not fine:
            raise DamagedError(at, f"its header is not usable: {why}")
    place = None if directory_at == _AT_END else directory_at
    return Header(capacity, grain, descriptor_at, descriptor_length, place, overhead)


@dataclass(frozen=True, slots=True)
class FileExtent:
    """One extent line of a descriptor: `sectors` long, of a `kind` ("SPARSE", "VMFS", ...), in the file
    `name` from sector `start` on."""

    sectors: int
    kind: str
    name: str
    start: int


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A disk's descriptor. `delta`: it holds the difference to another disk. `extent` None: not exactly one
    that can be read."""

    kind: str
    delta: bool
    extent: FileExtent | None


def read_descriptor(data: bytes | memoryview) -> Descriptor:
    """Read a descriptor, embedded or a file of its own; the caller has limited its length."""
    text = bytes(data).partition(b"\0")[0].decode("utf-8", "replace")
    lines = [line.strip() for line in text.splitlines()]
    settings = {found[1]: found[2] for line in lines if (found := _SETTING.fullmatch(line))}
    extents = [line for line in lines if _ANY_EXTENT.match(line)]
    only = _EXTENT.fullmatch(extents[0]) if len(extents) == 1 else None
    return Descriptor(
        kind=settings.get("createType", ""),
        delta=settings.get("parentCID", "").lower() != _NO_PARENT,
        extent=None if only is None else FileExtent(int(only[1]), only[2], only[3] or "", int(only[4] or 0)),
    )


def check_descriptor(data: bytes | memoryview, capacity: int, at: int) -> None:
    """Check the embedded descriptor: a whole disk of one extent that is this stream. Raises DamagedError."""
    found = read_descriptor(data)
    extent = found.extent
    checks = (
        (found.kind == "streamOptimized", "it does not say createType streamOptimized"),
        (not found.delta, "it is the difference to another disk"),
        (extent is not None and extent.kind == "SPARSE", "it does not name exactly one sparse extent"),
        (extent and extent.sectors == capacity, f"its extent has not the header's {capacity} sectors"),
    )
    for fine, why in checks:
        if not fine:
            raise DamagedError(at, f"its descriptor is not usable: {why}")


class GrainTables:
    """Where the grains were seen, held against what the stream's grain directory and tables say.

    Keeps 20 bytes for each table (32 MiB of disk) that has a grain, and the directory's 4 for each table.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._row = bytearray(4 * _ENTRIES)
        self._current = 0
        self._seen = array("I")
        self._seen_digests = bytearray()
        self._stored = array("I")
        self._stored_digests = bytearray()
        self._directory = array("I")

    def seen(self, grain: int, sector: int) -> None:
        """Note that a grain's marker was met at `sector`. Grains come in ascending order."""
        number, slot = divmod(grain, _ENTRIES)
        if number != self._current:
            self._close()
            self._current = number
        struct.pack_into("<I", self._row, 4 * slot, sector)

    @property
    def stored_sectors(self) -> int:
        """Sectors of one stored table."""
        return 4 * _ENTRIES // SECTOR

    @property
    def directory_sectors(self) -> int:
        """Sectors of the stored directory."""
        return -(-4 * self._count // SECTOR)

    def table(self, sector: int, data: bytes | memoryview) -> None:
        """Note a stored table that begins at `sector`."""
        self._stored.append(sector)
        self._stored_digests += _digest(data)

    def directory(self, data: bytes | memoryview) -> list[int]:
        """Note the stored directory; return the sectors of the tables that it names, in its order."""
        self._directory = array("I", struct.unpack_from(f"<{self._count}I", data))
        return [sector for sector in self._directory if sector]

    def compare(self, at: int) -> None:
        """Raise DamagedError, found at byte `at`, unless exactly the grains that are stored were seen."""
        self._close()
        seen = zip(self._seen, _digests(self._seen_digests), strict=True)
        stored = zip_longest(self._stored, _digests(self._stored_digests))
        number, wanted = next(seen, (None, _UNUSED))
        for index, sector in enumerate(self._directory):
            where, found = next(stored, (None, _UNUSED)) if sector else (sector, _UNUSED)
            if where != sector:
                raise DamagedError(at, f"its grain directory misses the grain table of entry {index}")
            if found != (wanted if index == number else _UNUSED):
                raise DamagedError(
                    at, f"grain table {index} does not name the grains that were in the stream"
                )
            if index == number:
                number, wanted = next(seen, (None, _UNUSED))
        if next(stored, None) is not None:
            raise DamagedError(at, "its grain directory does not name all grain tables")

    def _close(self) -> None:
        if any(self._row):
            self._seen.append(self._current)
            self._seen_digests += _digest(self._row)
            self._row = bytearray(4 * _ENTRIES)


def _digest(table: bytes | bytearray | memoryview) -> bytes:
    return blake2b(table, digest_size=8).digest()


def _digests(joined: bytearray) -> Iterator[bytes]:
    return (bytes(joined[at : at + 8]) for at in range(0, len(joined), 8))
