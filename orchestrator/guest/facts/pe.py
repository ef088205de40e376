"""What an executable file is built for, from its headers. Nothing of it is ever run.

Every read is small and bounded; what makes no sense is OTHER.
"""

import struct
from collections.abc import Callable

from orchestrator.guest.clean import clean
from orchestrator.model.facts import ProgramKind

Read = Callable[[int, int], bytes]
"""Returns up to `length` bytes of the file at `offset`."""

HEAD = 4096
MACHINES = {0x014C: "x86", 0x8664: "x64", 0x0200: "ia64", 0xAA64: "arm64"}
_KINDS = {0x014C: ProgramKind.X86, 0x8664: ProgramKind.X64, 0x0200: ProgramKind.IA64}
_CLR_DIRECTORY = 14
_MAX_SECTIONS = 96
_WINDOWS_3 = frozenset({0, 2})
"""Target system in an NE header: 2 is Windows, 0 is unknown and taken for it, as Windows does."""


def machine(head: bytes) -> str | None:
    """Return the architecture of a PE file from its first bytes; None if it is none or not known."""
    at = _new_header(head)
    if at is None or head[at : at + 4] != b"PE\0\0" or at + 6 > len(head):
        return None
    return MACHINES.get(struct.unpack_from("<H", head, at + 4)[0])


def program_kind(read: Read) -> tuple[ProgramKind, str] | None:
    """Return the kind, and the version of the common language runtime ("v2.0.50727", "" for none).

    None for a file that is no program at all.
    """
    head = read(0, HEAD)
    if head[:2] != b"MZ":
        return None
    at = _new_header(head)
    mark = head[at : at + 4] if at is not None else b""
    if at is not None and mark == b"PE\0\0" and at + 6 <= len(head):
        kind = _KINDS.get(struct.unpack_from("<H", head, at + 4)[0], ProgramKind.OTHER)
        return kind, _clr(head, at, read)
    if at is not None and mark[:2] == b"NE":
        windows = at + 55 <= len(head) and head[at + 54] in _WINDOWS_3
        return (ProgramKind.WIN16 if windows else ProgramKind.OTHER), ""
    # A header that lies behind the head of the file, or none of those we know (LE, LX).
    return (ProgramKind.DOS if not mark[:2].isalpha() else ProgramKind.OTHER), ""


def _new_header(head: bytes) -> int | None:
    if len(head) < 64 or head[:2] != b"MZ":
        return None
    at: int = struct.unpack_from("<I", head, 60)[0]
    return at if 64 <= at <= len(head) - 4 else None


def _clr(head: bytes, at: int, read: Read) -> str:
    """Return the version text in the metadata that directory 14 leads to; "" where there is none."""
    count, size = struct.unpack_from("<H12xH", head, at + 6) if at + 24 <= len(head) else (0, 0)
    optional = head[at + 24 : at + 24 + size]
    directories = {b"\x0b\x01": 96, b"\x0b\x02": 112}.get(optional[:2])
    place = (directories or 0) + 8 * _CLR_DIRECTORY
    if directories is None or place + 8 > len(optional):
        return ""
    address = struct.unpack_from("<I", optional, place)[0]
    table = head[at + 24 + size : at + 24 + size + 40 * min(count, _MAX_SECTIONS)]
    sections = [struct.unpack_from("<III", table, 40 * n + 12) for n in range(len(table) // 40)]
    header = _at(read, sections, address, 16) if address else b""
    if len(header) < 16:
        return ""
    metadata = _at(read, sections, struct.unpack_from("<I", header, 8)[0], 16 + 255)
    if metadata[:4] != b"BSJB" or len(metadata) < 16:
        return ""
    length = min(struct.unpack_from("<I", metadata, 12)[0], 255)
    return clean(metadata[16 : 16 + length].split(b"\0", 1)[0].decode("ascii", "replace"), 32)


def _at(read: Read, sections: list[tuple[int, int, int]], address: int, length: int) -> bytes:
    """Read at a virtual address; a section is (address, size in the file, place in the file)."""
    for start, size, place in sections:
        if start <= address < start + size:
            return read(place + address - start, min(length, start + size - address))
    return b""
