"""As much of DER as a certificate's facts need, in plain Python: the bytes are hostile, and the sandbox stays
quick without a large library. Nothing is verified here.
"""

from collections.abc import Iterator
from typing import NamedTuple

SEQUENCE, SET, INTEGER, OID = 0x30, 0x31, 0x02, 0x06
_MAX_LENGTH_BYTES = 4


class BadDer(Exception):
    """The bytes are no DER; the reason is fit to be shown."""


class Node(NamedTuple):
    """One element: its tag byte and its content."""

    tag: int
    data: bytes

    def children(self) -> list["Node"]:
        """Return the elements inside. Raises BadDer."""
        return list(nodes(self.data))


def nodes(data: bytes) -> Iterator[Node]:
    """Yield the elements that follow each other in `data`. Raises BadDer."""
    at = 0
    while at < len(data):
        if at + 2 > len(data) or data[at] & 0x1F == 0x1F:
            message = "it is cut short, or has a tag that certificates do not have"
            raise BadDer(message)
        tag, length = data[at], data[at + 1]
        at += 2
        if length & 0x80:
            width = length & 0x7F
            if not 0 < width <= _MAX_LENGTH_BYTES:
                message = "a length in it makes no sense"
                raise BadDer(message)
            length = int.from_bytes(data[at : at + width], "big")
            at += width
        if at + length > len(data):
            message = "a length in it leads outside"
            raise BadDer(message)
        yield Node(tag, data[at : at + length])
        at += length


def oid(node: Node) -> str:
    """Return an object identifier as "2.5.4.3"; "" for anything else."""
    if node.tag != OID or not node.data:
        return ""
    parts, value = [], 0
    for byte in node.data[:64]:
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            parts.append(value)
            value = 0
    if not parts:
        return ""
    first = min(parts[0] // 40, 2)
    return ".".join(map(str, [first, parts[0] - 40 * first, *parts[1:]]))
