"""A small NBD client: reads and zero extents from a server on a unix socket.

It never writes and never connects to a network.

Fixed newstyle handshake, structured replies, the meta context base:allocation. One connection serves one
request at a time.
"""

import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from orchestrator.contract.provider import Extent

_OPTION_MAGIC = 0x49484156454F5054
_OPTION_REPLY_MAGIC = 0x3E889045565A9
_REQUEST_MAGIC = 0x25609513
_STRUCTURED_MAGIC = 0x668E33EF
_OPT_GO, _OPT_STRUCTURED, _OPT_META = 7, 8, 10
_REP_ACK, _REP_INFO, _REP_META = 1, 3, 4
_CMD_READ, _CMD_DISC, _CMD_BLOCK_STATUS = 0, 2, 7
_CHUNK_DATA, _CHUNK_HOLE, _CHUNK_STATUS = 1, 2, 5
_CHUNK_ERROR = 1 << 15
_READS_AS_ZERO = 2
_CONTEXT = b"base:allocation"
_MAX_READ = 8 * 1024 * 1024
_MAX_STATUS = 1 << 30
_MAX_CHUNK = _MAX_READ + 64


class NbdError(Exception):
    """The server refused, failed or broke off."""


class NbdConnection:
    """One connection to the default export. `size` is the export's size in bytes. A context manager."""

    def __init__(self, path: Path, timeout: float) -> None:
        """Connect and shake hands. `timeout` is seconds for each answer. Raises OSError or NbdError."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._handle = 0
        self._context: int | None = None
        self.size = 0
        try:
            self._socket.settimeout(timeout)
            self._socket.connect(str(path))
            self._handshake()
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Say goodbye and close. Repeatable."""
        try:
            self._socket.sendall(struct.pack(">IHHQQI", _REQUEST_MAGIC, 0, _CMD_DISC, 0, 0, 0))
        except OSError:
            pass  # already gone, which is what was wanted
        finally:
            self._socket.close()

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes. Raises NbdError or OSError."""
        buffer = bytearray(length)
        for start in range(0, length, _MAX_READ):
            size = min(_MAX_READ, length - start)
            self._read_into(memoryview(buffer)[start : start + size], offset + start)
        return bytes(buffer)

    def extents(self, offset: int, length: int) -> Iterator[Extent]:
        """Yield extents in order from `offset` on; all data where the server does not know."""
        end = offset + length
        while offset < end:
            ask = min(_MAX_STATUS, end - offset)
            if self._context is None:
                yield Extent(offset=offset, length=ask, zero=False)
                offset += ask
                continue
            for size, flags in self._status(offset, ask):
                part = min(size, end - offset)
                yield Extent(offset=offset, length=part, zero=bool(flags & _READS_AS_ZERO))
                offset += part

    def _read_into(self, view: memoryview, offset: int) -> None:
        filled = 0
        for kind, payload in self._request(_CMD_READ, offset, len(view)):
            if kind not in (_CHUNK_DATA, _CHUNK_HOLE) or len(payload) < 8:
                message = f"unexpected answer {kind} to a read"
                raise NbdError(message)
            at = int.from_bytes(payload[:8], "big") - offset
            data: bytes | memoryview = memoryview(payload)[8:]
            size = len(data)
            if kind == _CHUNK_HOLE:
                size = int.from_bytes(data[:4], "big")
                data = bytes(min(size, len(view)))
            if at < 0 or at + size > len(view):
                message = "the server sent bytes that were not asked for"
                raise NbdError(message)
            view[at : at + size] = data
            filled += size
        if filled != len(view):
            message = f"the server sent {filled} of {len(view)} bytes"
            raise NbdError(message)

    def _status(self, offset: int, length: int) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        for kind, payload in self._request(_CMD_BLOCK_STATUS, offset, length):
            if kind == _CHUNK_STATUS and int.from_bytes(payload[:4], "big") == self._context:
                found += struct.iter_unpack(">II", payload[4 : 4 + (len(payload) - 4) // 8 * 8])
        if not found or not all(size for size, _ in found):
            message = "the server knows no extents"
            raise NbdError(message)
        return found

    def _request(self, command: int, offset: int, length: int) -> Iterator[tuple[int, bytes]]:
        """Send one request and yield (chunk type, payload) until it is done."""
        self._handle += 1
        self._socket.sendall(struct.pack(">IHHQQI", _REQUEST_MAGIC, 0, command, self._handle, offset, length))
        done = False
        while not done:
            magic, flags, kind, handle, size = struct.unpack(">IHHQI", self._receive(20))
            if magic != _STRUCTURED_MAGIC or handle != self._handle or size > _MAX_CHUNK:
                message = "the server's answer makes no sense"
                raise NbdError(message)
            payload = self._receive(size)
            if kind & _CHUNK_ERROR:
                message = f"the server failed: error {int.from_bytes(payload[:4], 'big')}"
                raise NbdError(message)
            done = bool(flags & 1)
            if kind:
                yield kind, payload

    def _handshake(self) -> None:
        if self._receive(16) != b"NBDMAGICIHAVEOPT":
            message = "this is not an NBD server"
            raise NbdError(message)
        if not int.from_bytes(self._receive(2), "big") & 1:
            message = "the server is too old (no fixed newstyle)"
            raise NbdError(message)
        self._socket.sendall(struct.pack(">I", 1))
        self._option(_OPT_STRUCTURED, b"")
        query = struct.pack(">III", 0, 1, len(_CONTEXT)) + _CONTEXT
        for kind, payload in self._option(_OPT_META, query, required=False):
            if kind == _REP_META and payload[4:] == _CONTEXT:
                self._context = int.from_bytes(payload[:4], "big")
        for kind, payload in self._option(_OPT_GO, struct.pack(">IH", 0, 0)):
            if kind == _REP_INFO and payload[:2] == b"\0\0":
                self.size = int.from_bytes(payload[2:10], "big")

    def _option(self, option: int, data: bytes, *, required: bool = True) -> list[tuple[int, bytes]]:
        self._socket.sendall(struct.pack(">QII", _OPTION_MAGIC, option, len(data)) + data)
        replies: list[tuple[int, bytes]] = []
        while True:
            magic, _, kind, size = struct.unpack(">QIII", self._receive(20))
            if magic != _OPTION_REPLY_MAGIC or size > 4096:
                message = "the server's handshake makes no sense"
                raise NbdError(message)
            payload = self._receive(size)
            if kind == _REP_ACK:
                return replies
            if kind & (1 << 31):
                if not required:
                    return []
                message = f"the server refused option {option}"
                raise NbdError(message)
            replies.append((kind, payload))

    def _receive(self, length: int) -> bytes:
        parts = bytearray(length)
        view = memoryview(parts)
        while view:
            got = self._socket.recv_into(view)
            if not got:
                message = "the server closed the connection"
                raise NbdError(message)
            view = view[got:]
        return bytes(parts)
