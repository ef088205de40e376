"""Chains of disk images: which image lies below which, by the qcow2 headers of local files.

Reads a few hundred bytes of a header and nothing else; it must not open an image's data, nor follow what a
header names beyond
looking at the next header. Whether a file may be opened is decided by whoever opens it.
"""

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_MAGIC = b"QFI\xfb"
_BACKING_FORMAT = 0xE2792ACA
_PROTOCOL = re.compile(r"[^/]*:")
MAX_LAYERS = 64


@dataclass(frozen=True, slots=True)
class Layer:
    """One image of a chain. `format` is empty where nobody says it."""

    path: str
    format: str


Below = Callable[[Layer], Layer | None]
"""Returns the image below one, None when there is none or when it cannot be told."""


def below(layer: Layer) -> Layer | None:
    """Read the local image's header. An image that cannot be read ends the chain."""
    if layer.format != "qcow2":
        return None
    try:
        with Path(layer.path).open("rb") as image:
            head = image.read(65536)
    except OSError:
        return None
    return _backing(head, Path(layer.path).parent)


def walk(top: Layer, known: list[Layer], *, complete: bool, below: Below) -> tuple[Layer, ...]:
    """Return the chain from `top` down: first the layers that libvirt knows, then, unless it said `complete`,
    those below."""
    layers = [top, *known]
    while not complete and len(layers) < MAX_LAYERS:
        following = below(layers[-1])
        if following is None or following.path in {layer.path for layer in layers}:
            break
        layers.append(following)
    return tuple(layers)


def _backing(head: bytes, folder: Path) -> Layer | None:
    if len(head) < 72 or head[:4] != _MAGIC:
        return None
    version, offset, length = struct.unpack_from(">IQI", head, 4)
    if not offset or not 0 < length < 1024 or offset + length > len(head):
        return None
    name = head[offset : offset + length].decode("utf-8", "replace")
    path = name if _PROTOCOL.match(name) else str(folder / name)
    return Layer(path, _backing_format(head, version))


def _backing_format(head: bytes, version: int) -> str:
    """Walk the header extensions, which follow the header itself."""
    at = 72 if version < 3 or len(head) < 104 else int.from_bytes(head[100:104], "big")
    while at + 8 <= len(head):
        kind, length = struct.unpack_from(">II", head, at)
        if kind == _BACKING_FORMAT:
            return head[at + 8 : at + 8 + length].decode("ascii", "replace")
        if kind == 0:
            break
        at += 8 + (length + 7) // 8 * 8
    return ""
