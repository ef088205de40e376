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
_OPTIONAL = 24
"""Where the optional header starts behind the mark "PE"."""
_NEAR = 1024
_NE_TARGET = 54
_MAX_SECTIONS = 96
_WINDOWS_3 = frozenset({0, 2})
"""Target system in an NE header: 2 is Windows, 0 is unknown and taken for it, as Windows does."""


def machine(head: bytes) -> str | None:
    """Return the architecture of a PE file from its first bytes; None if it is none or not known."""
    at = _new_header(head)
    return MACHINES.get(_machine_number(head[at : at + 6]) or 0) if at else None


def program_kind(read: Read) -> tuple[ProgramKind, str] | None:
    """Return the kind, and the version of the common language runtime ("v2.0.50727", "" for none).

    None for a file that is no program at all.
    """
    head = read(0, HEAD)
    if head[:2] != b"MZ":
        return None
    at = _new_header(head)
    near = at is not None and at + _NEAR <= len(head)
    header = b"" if at is None else head[at:] if near else read(at, HEAD)
    number = _machine_number(header)
    if number is not None:
        return _KINDS.get(number, ProgramKind.OTHER), _clr(header, read)
    if header[:2] == b"NE":
        windows = len(header) > _NE_TARGET and header[_NE_TARGET] in _WINDOWS_3
        return (ProgramKind.WIN16 if windows else ProgramKind.OTHER), ""
    # LE and LX are drivers of Windows 3 and 9x, and OS/2; without any new header it is a program for DOS.
    return (ProgramKind.OTHER if header[:2] in (b"LE", b"LX") else ProgramKind.DOS), ""


def _new_header(head: bytes) -> int | None:
    if len(head) < 64 or head[:2] != b"MZ":
        return None
    at: int = struct.unpack_from("<I", head, 60)[0]
    return at if at >= 64 else None


def _machine_number(header: bytes) -> int | None:
    if len(header) < 6 or header[:4] != b"PE\0\0":
        return None
    number: int = struct.unpack_from("<H", header, 4)[0]
    return number


def _clr(header: bytes, read: Read) -> str:
    """Return the version text in the metadata that directory 14 leads to; "" where there is none."""
    if len(header) < _OPTIONAL:
        return ""
    count, size = struct.unpack_from("<H12xH", header, 6)
    optional = header[_OPTIONAL : _OPTIONAL + size]
    directories = {b"\x0b\x01": 96, b"\x0b\x02": 112}.get(optional[:2])
    place = (directories or 0) + 8 * _CLR_DIRECTORY
    if directories is None or place + 8 > len(optional):
        return ""
    address = struct.unpack_from("<I", optional, place)[0]
    table = header[_OPTIONAL + size : _OPTIONAL + size + 40 * min(count, _MAX_SECTIONS)]
    sections = [struct.unpack_from("<III", table, 40 * n + 12) for n in range(len(table) // 40)]
    cor = _at(read, sections, address, 16) if address else b""
    if len(cor) < 16:
        return ""
    metadata = _at(read, sections, struct.unpack_from("<I", cor, 8)[0], 16 + 255)
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
