"""Frames on the one socket between the parent and its child: a kind (one byte), a length, a payload."""

import socket
import struct
from typing import Final

ASK: Final = b"?"
RESULT: Final = b"="
FAILURE: Final = b"!"
_HEADER = struct.Struct(">cI")


class ChannelError(Exception):
    """The peer is gone, or sent more than it may."""


def send(peer: socket.socket, kind: bytes, payload: bytes) -> None:
    """Send one frame. Raises as `receive` does."""
    try:
        peer.sendall(_HEADER.pack(kind, len(payload)) + payload)
    except ConnectionError as gone:
        raise ChannelError from gone


def receive(peer: socket.socket, limits: dict[bytes, int]) -> tuple[bytes, bytes]:
    """Return (kind, payload) of the next frame; `limits` gives the kinds expected and their longest payload.

    Raises ChannelError (with an empty text where the peer is gone), and OSError (TimeoutError included).
    """
    kind, size = _HEADER.unpack(_exactly(peer, _HEADER.size))
    if kind not in limits:
        message = "the other side broke the protocol"
        raise ChannelError(message)
    if size > limits[kind]:
        message = f"it sent {size} bytes where {limits[kind]} are allowed"
        raise ChannelError(message)
    return kind, _exactly(peer, size)


def _exactly(peer: socket.socket, length: int) -> bytes:
    data = bytearray(length)
    view = memoryview(data)
    while view:
        try:
            got = peer.recv_into(view)
        except ConnectionError as gone:
            # Not an end but a reset: the peer ended before it read all that it was sent.
            raise ChannelError from gone
        if not got:
            raise ChannelError
        view = view[got:]
    return bytes(data)
