"""Decodes a stream-optimised VMDK as it arrives, from a source that can only be read forward.

It must not give out a disk that may be wrong: a stream that is cut, damaged or not consistent with its own
grain tables raises, at the latest at its end. What the sink got until then is worth nothing.

Both layouts are read: VMware's own, whose grain tables, directory and footer follow the grains; and the one
of qemu-img, whose tables come first and which may end without an end-of-stream marker.
"""

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.disks.forward import DamagedError, Forward, Source
from orchestrator.disks.vmdk_format import (
    SECTOR,
    GrainTables,
    Header,
    check_descriptor,
    read_header,
)
from orchestrator.model.text import printable

_MARKER = struct.Struct("<QII")
_END, _TABLE, _DIRECTORY, _FOOTER = range(4)
_GRAIN_MARKER = 12  # sector and size; the data follows at once
_NAMES = {_END: "end of stream", _TABLE: "grain table", _DIRECTORY: "grain directory", _FOOTER: "footer"}

Sink = Callable[[int, bytes], object]
"""Takes (byte offset in the disk, data). Called in ascending order; what it is not given reads as zeros."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A stream that was decoded to its end: the disk's `size` in bytes, the number of `grains` that were
    stored, and the `length` of the stream in bytes."""

    size: int
    grains: int
    length: int


def decode(source: Source, sink: Sink, *, name: str = "VMDK stream", size: int | None = None) -> Decoded:
    """Give every grain that is not zero to `sink`; a last grain is cut at the disk's end.

    `size`: what the disk must have, in bytes. Needs about 3 MiB, and 24 bytes for each 32 MiB of disk. Raises
    ProviderError (PERMANENT) naming the byte where the stream is damaged or cut; what `source` or `sink`
    raises, passes.
    """
    stream = Forward(source)
    try:
        return _decode(stream, sink, size)
    except DamagedError as fault:
        hint = "nothing of it was used; read it again"
        raise ProviderError(ErrorKind.PERMANENT, f"{printable(name)}: {fault}", hint=hint) from fault


class _Marker(NamedTuple):
    """A metadata marker met at byte `at`; `sectors` of its data follow. `kind` None: the data ended here."""

    at: int
    kind: int | None
    sectors: int


def _decode(stream: Forward, sink: Sink, size: int | None) -> Decoded:
    head = read_header(stream.take(SECTOR), 0)
    if size is not None and head.capacity * SECTOR != size:
        raise DamagedError(0, f"its disk has {head.capacity * SECTOR} bytes, not {size}")
    stream.skip_to(head.descriptor_at * SECTOR)
    at = stream.at
    check_descriptor(stream.take(head.descriptor_length * SECTOR), head.capacity, at)
    tables = GrainTables(head.tables)
    if head.directory_at is not None:
        _read_tables(stream, head.directory_at, tables)
    stream.skip_to(head.overhead * SECTOR)
    grains = _Grains(stream, head, tables, sink)
    marker = grains.copy()
    if head.directory_at is None:
        _read_tail(stream, head, tables, marker)
    elif marker.kind is not None:
        _expect(marker, _END, 0)
        _pass_padding(stream, head)
    tables.compare(stream.at)
    if stream.look(1):
        raise DamagedError(stream.at, "something follows its end")
    return Decoded(head.capacity * SECTOR, grains.count, stream.at)


def _read_tables(stream: Forward, directory_at: int, tables: GrainTables) -> None:
    """Read the directory and tables that come before the grains."""
    stream.skip_to(directory_at * SECTOR)
    for sector in tables.directory(stream.take(tables.directory_sectors * SECTOR)):
        stream.skip_to(sector * SECTOR)
        tables.table(sector, stream.take(tables.stored_sectors * SECTOR))


def _pass_padding(stream: Forward, head: Header) -> None:
    """Pass over what is left of the whole grain that qemu-img reserves for its last, shorter one."""
    padding = stream.look(head.grain * SECTOR)
    if not any(padding):
        stream.take(len(padding))


def _read_tail(stream: Forward, head: Header, tables: GrainTables, marker: _Marker) -> None:
    """Read directory, footer and end; `marker` is the directory's."""
    _expect(marker, _DIRECTORY, tables.directory_sectors)
    directory_at = stream.at // SECTOR
    tables.directory(stream.take(marker.sectors * SECTOR))
    _expect(_marker(stream), _FOOTER, 1)
    at = stream.at
    footer = read_header(stream.take(SECTOR), at)
    if footer != replace(head, directory_at=directory_at):
        raise DamagedError(at, "its footer does not fit its header and grain directory")
    _expect(_marker(stream), _END, 0)


def _marker(stream: Forward) -> _Marker:
    at = stream.at
    sectors, size, kind = _MARKER.unpack_from(stream.take(SECTOR))
    if size or kind not in _NAMES:
        raise DamagedError(at, f"a marker of unknown kind {kind} where metadata must come")
    return _Marker(at, kind, sectors)


def _expect(marker: _Marker, kind: int, sectors: int) -> None:
    if marker.kind != kind:
        found = "its end" if marker.kind is None else f"the {_NAMES[marker.kind]}"
        raise DamagedError(
            marker.at, f"{found} comes where the {_NAMES[kind]} must come: it is cut or damaged"
        )
    if marker.sectors != sectors:
        raise DamagedError(marker.at, f"a {_NAMES[kind]} of {marker.sectors} sectors, not {sectors}")


class _Grains:
    """The part of the stream that holds the grains, with the tables between them."""

    def __init__(self, stream: Forward, head: Header, tables: GrainTables, sink: Sink) -> None:
        self._stream = stream
        self._head = head
        self._tables = tables
        self._sink = sink
        self._zeros = bytes(head.grain * SECTOR)
        self.count = 0

    def copy(self) -> _Marker:
        """Give all grains out; return the marker that ends them."""
        stream, last = self._stream, -1
        while start := stream.look(_MARKER.size):
            if len(start) < _MARKER.size:
                raise DamagedError(stream.at, "it is cut")
            sector, size, _ = _MARKER.unpack(start)
            if size:
                self._grain(sector, size, last)
                last = sector
                continue
            marker = _marker(stream)
            if marker.kind != _TABLE or self._head.directory_at is not None:
                return marker
            self._read_tables(marker)
        return _Marker(stream.at, None, 0)

    def _grain(self, sector: int, size: int, last: int) -> None:
        """Give one grain out, marked with its first `sector` in the disk and the `size` of its data."""
        at, grain, left = self._stream.at, self._head.grain, self._head.capacity - sector
        if sector % grain or sector <= last or left <= 0 or at >= SECTOR << 32:
            raise DamagedError(at, f"a grain for sector {sector} cannot come here")
        if size > 2 * len(self._zeros):
            raise DamagedError(at, f"a grain of {size} bytes is longer than any")
        length = _GRAIN_MARKER + size
        packed = self._stream.take(-(-length // SECTOR) * SECTOR)[_GRAIN_MARKER:length]
        data = _inflated(packed, len(self._zeros), at)
        if left < grain and len(data) >= left * SECTOR:
            data = data[: left * SECTOR]
        elif len(data) != len(self._zeros):
            raise DamagedError(at, f"a grain gives {len(data)} bytes, not {len(self._zeros)}")
        self._tables.seen(sector // grain, at // SECTOR)
        self.count += 1
        if not self._zeros.startswith(data):
            self._sink(sector * SECTOR, data)

    def _read_tables(self, marker: _Marker) -> None:
        step = self._tables.stored_sectors
        if marker.sectors == 0 or marker.sectors % step or marker.sectors > step * self._head.tables:
            raise DamagedError(marker.at, f"grain tables of {marker.sectors} sectors")
        for _ in range(0, marker.sectors, step):
            self._tables.table(self._stream.at // SECTOR, self._stream.take(step * SECTOR))


def _inflated(packed: memoryview, limit: int, at: int) -> bytes:
    """Return what `packed` holds, at most `limit` bytes."""
    engine = zlib.decompressobj()
    try:
        data: bytes = engine.decompress(packed, limit + 1)
    except zlib.error as fault:
        raise DamagedError(at, f"a grain cannot be decompressed: {fault}") from fault
    if not engine.eof or engine.unused_data or len(data) > limit:
        raise DamagedError(at, "a grain's compressed data is not whole, or not all of it")
    return data
