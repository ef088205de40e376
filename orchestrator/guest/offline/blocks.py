"""The child's view of the parent's disks: reads by question and answer, with a small cache.

No file is opened here.
"""

import io
import struct
from collections import OrderedDict
from collections.abc import Callable

Ask = Callable[[bytes], bytes]

REQUEST = struct.Struct(">BQI")
BLOCK = 64 * 1024
_CACHED = 256


class RemoteDisk:
    """Disk number `index` of the parent; `size` in bytes."""

    def __init__(self, index: int, size: int, ask: Ask) -> None:
        self.index = index
        self.size = size
        self._ask = ask
        self._cache: OrderedDict[int, bytes] = OrderedDict()

    def read(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes; fewer only at the disk's end."""
        end = min(offset + length, self.size)
        parts = []
        while offset < end:
            block, within = divmod(offset, BLOCK)
            part = self._block(block)[within : within + end - offset]
            parts.append(part)
            offset += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _block(self, number: int) -> bytes:
        found = self._cache.get(number)
        if found is None:
            start = number * BLOCK
            found = self._ask(REQUEST.pack(self.index, start, min(BLOCK, self.size - start)))
            if not found:
                message = "the parent sent no bytes"
                raise OSError(message)
            self._cache[number] = found
            if len(self._cache) > _CACHED:
                self._cache.popitem(last=False)
        else:
            self._cache.move_to_end(number)
        return found


class Window:
    """A part of a disk as the file-like object that libfsntfs wants."""

    def __init__(self, disk: RemoteDisk, offset: int, length: int) -> None:
        self._disk = disk
        self._offset = offset
        self._length = length
        self._at = 0

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes from the current place."""
        left = max(self._length - self._at, 0)
        size = left if size < 0 else min(size, left)
        data = self._disk.read(self._offset + self._at, size) if size else b""
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a place, as a file does."""
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._length}[whence]
        return self._at

    def tell(self) -> int:
        """Return the current place."""
        return self._at

    def get_size(self) -> int:
        """Return the length in bytes."""
        return self._length
