"""A frozen flat disk read at random, with ranges of its file in the datastore: nothing is copied that nobody
reads. It must not be pointed at a file that a machine writes."""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.provider import Extent
from orchestrator.disks.raw import checked_range
from orchestrator.disks.vmdk_format import MAX_DESCRIPTOR, SECTOR, read_descriptor
from orchestrator.model.text import printable
from providers.vsphere.faults import permanent
from providers.vsphere.files import Files, Place
from providers.vsphere.link import Link

_BLOCK = 256 * 1024
_KEPT = 64
"""Blocks kept of a disk: 16 MiB."""
_AHEAD = 16
"""Blocks asked for at once, at most, where reading goes straight on."""


class RangedDisk:
    """A FrozenDisk over the flat extent of a disk without a parent."""

    def __init__(self, link: Link, descriptor: Place, key: str, size: int) -> None:
        """Find the extent and see that ranges of it are served. Raises ProviderError."""
        self._files = Files(link)
        self._key = key
        self._size = size
        self._guard = threading.Lock()
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._next = 0
        self._window = 1
        try:
            self._extent = descriptor.beside(
                _extent(self._files.whole(descriptor, MAX_DESCRIPTOR * SECTOR), descriptor, size)
            )
            first = self._files.part(self._extent, 0, min(_BLOCK, size))
            if first.total != size:
                what = f"{self._extent} has {first.total} bytes, its disk {size}"
                raise permanent(what, "its file is not a flat one; say `disk_access: lease`")
        except BaseException:
            self._files.close()
            raise
        self._mark = first.mark
        self._keep(0, first.data)

    @property
    def key(self) -> str:
        return self._key

    @property
    def size(self) -> int:
        return self._size

    def read(self, offset: int, length: int) -> bytes:
        checked_range(Path(str(self._extent)), self._size, offset, length)
        parts = []
        with self._guard:
            while length:
                number, start = divmod(offset, _BLOCK)
                part = self._block(number, start + length)[start : start + length]
                parts.append(part)
                offset, length = offset + len(part), length - len(part)
        return b"".join(parts)

    def extents(self) -> Iterator[Extent]:
        """Yield the disk as one: a flat file does not say where it is zero."""
        yield Extent(offset=0, length=self._size, zero=False)

    def close(self) -> None:
        """Close the connection."""
        with self._guard:
            self._files.close()

    def _block(self, number: int, length: int) -> bytes:
        """Return a block, fetched if need be with the following ones that hold `length` bytes from its start,
        and with more of them the longer reading goes straight on."""
        found = self._blocks.get(number)
        if found is not None:
            self._blocks.move_to_end(number)
            return found
        self._window = min(2 * self._window, _AHEAD) if number == self._next else 1
        count = min(max(self._window, -(-length // _BLOCK)), _AHEAD)
        at = number * _BLOCK
        part = self._files.part(self._extent, at, min(count * _BLOCK, self._size - at))
        if part.total != self._size or part.mark != self._mark:
            message = f"{self._extent} was changed while it was read"
            raise permanent(message, "something writes the frozen disk: is its snapshot being removed?")
        self._next = number + count
        for index in reversed(range(count)):  # the wanted one is the newest
            self._keep(number + index, part.data[index * _BLOCK : (index + 1) * _BLOCK])
        return self._blocks[number]

    def _keep(self, number: int, data: bytes) -> None:
        if data:
            self._blocks[number] = data
            self._blocks.move_to_end(number)
        while len(self._blocks) > _KEPT:
            self._blocks.popitem(last=False)


def _extent(text: bytes, descriptor: Place, size: int) -> str:
    """Return the name of the one flat extent that a descriptor names. Raises ProviderError (UNSUPPORTED)."""
    found = read_descriptor(text)
    extent = found.extent
    checks = (
        # Deltas are of other kinds: vmfsSparse, seSparse.
        (found.kind == "vmfs", f"it is no flat disk ({printable(found.kind, 40)})"),
        (extent is not None and extent.kind == "VMFS" and extent.start == 0, "it has not one flat extent"),
        (extent is not None and extent.sectors * SECTOR == size, "its extent has another size than the disk"),
        (extent is not None and _plain(extent.name), "its extent lies elsewhere"),
    )
    for fine, why in checks:
        if not fine or extent is None:
            message = f"{descriptor} cannot be read from the datastore: {why}"
            raise ProviderError(ErrorKind.UNSUPPORTED, message, hint="say `disk_access: lease`")
    assert extent is not None  # noqa: S101  # checked above
    return extent.name


def _plain(name: str) -> bool:
    return name.endswith(".vmdk") and "/" not in name and "\\" not in name and name.isprintable()
