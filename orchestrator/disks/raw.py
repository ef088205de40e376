"""A plain file as a FrozenDisk, and the small checks that every FrozenDisk shares. It never writes."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.provider import Extent, FrozenDisk


@contextmanager
def open_raw(path: Path, *, key: str = "") -> Iterator[FrozenDisk]:
    """Open a raw image that the caller trusts to be raw; its holes are its zero extents.

    Raises ProviderError (PERMANENT).
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as fault:
        message = f"disk image {path}: cannot be opened: {fault.strerror}"
        raise ProviderError(ErrorKind.PERMANENT, message) from fault
    try:
        yield RawDisk(path, key or str(path), handle)
    finally:
        os.close(handle)


class RawDisk:
    """A FrozenDisk over an open file; `path` only names it in messages. The caller closes the handle."""

    def __init__(self, path: Path, key: str, handle: int) -> None:
        self._path = path
        self._key = key
        self._handle = handle
        self._size = os.lseek(handle, 0, os.SEEK_END)

    @property
    def key(self) -> str:
        return self._key

    @property
    def size(self) -> int:
        return self._size

    def read(self, offset: int, length: int) -> bytes:
        checked_range(self._path, self._size, offset, length)
        parts = []
        while length:
            try:
                part = os.pread(self._handle, length, offset)
            except OSError as fault:
                message = f"disk image {self._path}: reading at {offset} failed: {fault.strerror}"
                raise ProviderError(ErrorKind.PERMANENT, message) from fault
            if not part:
                message = f"disk image {self._path}: it became shorter while it was read"
                raise ProviderError(ErrorKind.PERMANENT, message)
            parts.append(part)
            offset, length = offset + len(part), length - len(part)
        return b"".join(parts)

    def extents(self) -> Iterator[Extent]:
        return merged(self._stretches())

    def _stretches(self) -> Iterator[Extent]:
        at = 0
        while at < self._size:
            data = self._seek(at, os.SEEK_DATA)
            if data > at:
                yield Extent(offset=at, length=data - at, zero=True)
            at = data
            if at < self._size:
                hole = self._seek(at, os.SEEK_HOLE)
                yield Extent(offset=at, length=hole - at, zero=False)
                at = hole

    def _seek(self, offset: int, whence: int) -> int:
        try:
            return os.lseek(self._handle, offset, whence)
        except OSError as fault:
            if fault.errno == errno.ENXIO:  # nothing but a hole up to the end
                return self._size
            message = f"disk image {self._path}: {fault.strerror}"
            raise ProviderError(ErrorKind.PERMANENT, message) from fault


def checked_range(path: Path, size: int, offset: int, length: int) -> None:
    """Raise ProviderError (PERMANENT) unless the range lies inside the disk."""
    if offset < 0 or length < 0 or offset + length > size:
        message = f"disk image {path}: {length} bytes at {offset} lie outside its {size} bytes"
        raise ProviderError(ErrorKind.PERMANENT, message)


def merged(extents: Iterator[Extent]) -> Iterator[Extent]:
    """Join neighbours of the same kind."""
    last: Extent | None = None
    for extent in extents:
        if last is not None and last.zero == extent.zero:
            last = Extent(offset=last.offset, length=last.length + extent.length, zero=last.zero)
            continue
        if last is not None:
            yield last
        last = extent
    if last is not None:
        yield last
