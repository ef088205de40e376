"""Raw image files: sparse copies, extents, and a frozen disk over one. Knows nothing of machines."""

import os
from collections.abc import Iterator
from pathlib import Path

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.provider import Extent

COPY_CHUNK = 4 * 1024 * 1024


def create_sparse(path: Path, size: int) -> None:
    """Create a file that reads as `size` zeros. Raises FileExistsError."""
    with path.open("xb") as file:
        file.truncate(size)


def unfinished(target: Path) -> Path:
    """Return the name under which `target` is written until it is whole."""
    return target.with_name(f".{target.name}.part")


def leftovers(target: Path) -> list[str]:
    """Return what there is of a file, whole or not."""
    return [str(path) for path in (target, unfinished(target)) if path.exists()]


def copy_sparse(source: Path, target: Path) -> None:
    """Copy, holes kept: written beside and renamed, so that `target` is whole or not there. An existing
    target is replaced."""
    beside = unfinished(target)
    with source.open("rb") as reading, beside.open("wb") as writing:
        size = os.fstat(reading.fileno()).st_size
        writing.truncate(size)
        for extent in data_map(reading.fileno(), size):
            if not extent.zero:
                _copy_range(reading.fileno(), writing.fileno(), extent)
    beside.replace(target)


def _copy_range(source: int, target: int, extent: Extent) -> None:
    position, end = extent.offset, extent.offset + extent.length
    while position < end:
        chunk = os.pread(source, min(COPY_CHUNK, end - position), position)
        if not chunk:
            return
        os.pwrite(target, chunk, position)
        position += len(chunk)


def data_map(descriptor: int, size: int) -> Iterator[Extent]:
    """Yield data and holes of an open file in order, covering it."""
    position = 0
    while position < size:
        try:
            start = min(os.lseek(descriptor, position, os.SEEK_DATA), size)
        except OSError:  # ENXIO: nothing but a hole up to the end
            start = size
        if start > position:
            yield Extent(offset=position, length=start - position, zero=True)
        if start < size:
            end = min(os.lseek(descriptor, start, os.SEEK_HOLE), size)
            yield Extent(offset=start, length=end - start, zero=False)
            start = end
        position = start


class FrozenFile:
    """A `FrozenDisk` over an open descriptor: a later rename or deletion of the file does not disturb it."""

    def __init__(self, key: str, descriptor: int, size: int) -> None:
        self._key = key
        self._descriptor = descriptor
        self._size = size

    @property
    def key(self) -> str:
        """The disk's key on its machine."""
        return self._key

    @property
    def size(self) -> int:
        """Virtual size in bytes; a shorter file reads as zeros behind its end."""
        return self._size

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes. Raises ProviderError (PERMANENT) past the end or on a read error."""
        if offset < 0 or length < 0 or offset + length > self._size:
            message = f"disk {self._key}: bytes {offset}..{offset + length} are outside of its {self._size}"
            raise ProviderError(ErrorKind.PERMANENT, message)
        try:
            parts = list(self._parts(offset, length))
        except OSError as error:
            message = f"disk {self._key}: cannot be read at {offset}: {error.strerror}"
            raise ProviderError(ErrorKind.PERMANENT, message) from error
        return b"".join(parts).ljust(length, b"\0")

    def _parts(self, offset: int, length: int) -> Iterator[bytes]:
        while length:
            part = os.pread(self._descriptor, length, offset)
            if not part:
                return
            yield part
            offset, length = offset + len(part), length - len(part)

    def extents(self) -> Iterator[Extent]:
        """Yield extents in order, covering the whole disk."""
        stored = min(os.fstat(self._descriptor).st_size, self._size)
        yield from data_map(self._descriptor, stored)
        if stored < self._size:
            yield Extent(offset=stored, length=self._size - stored, zero=True)
