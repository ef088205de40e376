"""The addresses on this host's devices, asked of the kernel itself (rtnetlink): what `ip addr` shows, without
starting a program for every proof. Reads only, in this process's network namespace.
"""

import socket
import struct
from collections.abc import Iterator
from ipaddress import ip_address

from orchestrator.contract.errors import ErrorKind, ProviderError

_GET_ADDRESSES, _NEW_ADDRESS, _ERROR, _DONE = 22, 20, 2, 3
_REQUEST_DUMP = 0x301
_INTERRUPTED = 0x10
_HEADER = struct.Struct("=IHHII")
_ASKED = struct.Struct("=BBBBI")
_ATTRIBUTE = struct.Struct("=HH")
_ADDRESS, _LOCAL = 1, 2
_LARGEST = 1 << 20
_ATTEMPTS, _SECONDS = 5, 20


def device_addresses() -> dict[str, tuple[str, ...]]:
    """Return the addresses with their prefix length by device. Raises ProviderError (TRANSIENT)."""
    try:
        for _ in range(_ATTEMPTS):
            found = _dump()
            if found is not None:
                return found
    except (OSError, ValueError, struct.error) as error:
        message = f"cannot ask the kernel for this host's addresses: {error}"
        raise ProviderError(ErrorKind.TRANSIENT, message) from error
    message = "this host's addresses change all the time: they cannot be read as they are at one moment"
    raise ProviderError(ErrorKind.TRANSIENT, message)


def read_addresses(dump: bytes) -> Iterator[tuple[int, str]]:
    """Yield device number and address of every message of an answer. Raises ValueError, struct.error."""
    for kind, _, body in _messages(dump):
        if kind == _NEW_ADDRESS:
            _, prefix, _, _, device = _ASKED.unpack_from(body)
            attributes = dict(_attributes(body[_ASKED.size :]))
            # Of a point-to-point link the other is the far end's. IPv6 has no "local" elsewhere.
            raw = attributes.get(_LOCAL) or attributes.get(_ADDRESS)
            if raw is not None:
                yield device, f"{ip_address(raw)}/{prefix}"


def _dump() -> dict[str, tuple[str, ...]] | None:
    """Ask once; None where something changed while the kernel told."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
        kernel.settimeout(_SECONDS)
        body = _ASKED.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
        kernel.send(_HEADER.pack(_HEADER.size + len(body), _GET_ADDRESSES, _REQUEST_DUMP, 1, 0) + body)
        names = dict(socket.if_nameindex())
        found: dict[str, list[str]] = {}
        while True:
            part = kernel.recv(_LARGEST)
            kinds = [(kind, flags) for kind, flags, _ in _messages(part)]
            if any(kind == _ERROR or flags & _INTERRUPTED for kind, flags in kinds):
                return None
            for device, address in read_addresses(part):
                if device not in names:
                    return None
                found.setdefault(names[device], []).append(address)
            if any(kind == _DONE for kind, _ in kinds):
                return {name: tuple(told) for name, told in found.items()}


def _messages(dump: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield kind, flags and body."""
    while dump:
        length, kind, flags, _, _ = _HEADER.unpack_from(dump)
        if not _HEADER.size <= length <= len(dump):
            message = "a message is cut short"
            raise ValueError(message)
        yield kind, flags, dump[_HEADER.size : length]
        dump = dump[_aligned(length) :]


def _attributes(body: bytes) -> Iterator[tuple[int, bytes]]:
    while len(body) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(body)
        if not _ATTRIBUTE.size <= length <= len(body):
            message = "an attribute is cut short"
            raise ValueError(message)
        yield kind, body[_ATTRIBUTE.size : length]
        body = body[_aligned(length) :]


def _aligned(length: int) -> int:
    return (length + 3) & ~3
