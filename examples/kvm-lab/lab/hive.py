"""Writes registry hive files: an empty one from the format, filled by hivexregedit.

No Debian package holds an empty hive, hence the first part. It must not read hives: other tools check them.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from lab import programs, regfile
from lab.security import ADMINISTRATORS, EVERYONE, SYSTEM, descriptor

if TYPE_CHECKING:
    from pathlib import Path

_BIN = 0x1000
_NONE = 0xFFFFFFFF
_ROOT_OFFSET = 0x20
_ROOT_NAME = b"CMI-CreateHive{00000000-0000-4000-8000-000000006003}"
_ROOT_FLAGS = 0x0004 | 0x0008 | 0x0020  # root of a hive, may not be deleted, name in Latin-1
_FULL, _READ = "0x000f003f", "0x00020019"
_ACCESS = "".join(
    f"(A;0x2;{rights};;;{who})"  # 0x2: keys below inherit it
    for rights, who in ((_FULL, SYSTEM), (_FULL, ADMINISTRATORS), (_READ, EVERYONE))
)


def empty(name: str, filetime: int) -> bytes:
    """An empty hive of 8 KiB: base block, one bin with root key, its security cell and the free rest.

    name is the path kept in the base block, filetime (100 ns since 1601) its time of writing.
    """
    security_offset = _ROOT_OFFSET + len(_cell(_root_key(filetime, 0)))
    root = _cell(_root_key(filetime, security_offset))
    cells = root + _cell(_security(security_offset))
    free = _BIN - 0x20 - len(cells)
    bin_header = struct.pack("<4sIIQQI", b"hbin", 0, _BIN, 0, filetime, 0)
    hive_bin = bin_header + cells + struct.pack("<i", free) + bytes(free - 4)
    return _base_block(name, filetime, len(hive_bin)) + hive_bin


def write(path: Path, root: regfile.Key, filetime: int) -> None:
    """Write the hive file at path with everything below root in it."""
    path.write_bytes(empty(rf"\SystemRoot\System32\Config\{path.name}", filetime))
    listing = path.with_name(path.name + ".reg")
    listing.write_text(regfile.dump(root), encoding="utf-8")
    programs.run("hivexregedit", "--merge", path, listing)
    listing.unlink()


def _cell(content: bytes) -> bytes:
    size = -(-(len(content) + 4) // 8) * 8
    return struct.pack("<i", -size) + content.ljust(size - 4, b"\0")


def _root_key(filetime: int, security_offset: int) -> bytes:
    header = struct.pack("<2sHQI", b"nk", _ROOT_FLAGS, filetime, 0)
    parent_and_lists = struct.pack("<IIIIIIIII", 0, 0, 0, _NONE, _NONE, 0, _NONE, security_offset, _NONE)
    lengths = struct.pack("<IIIIIHH", 0, 0, 0, 0, 0, len(_ROOT_NAME), 0)
    return header + parent_and_lists + lengths + _ROOT_NAME


def _security(own_offset: int) -> bytes:
    body = descriptor(_ACCESS)
    # The list of security cells is a ring; a single one points to itself.
    return struct.pack("<2sHIIII", b"sk", 0, own_offset, own_offset, 1, len(body)) + body


def _base_block(name: str, filetime: int, data_size: int) -> bytes:
    tail_of_name = name.encode("utf-16-le")[-62:].ljust(64, b"\0")
    fields = struct.pack("<4sIIQIIIIIII", b"regf", 1, 1, filetime, 1, 5, 0, 1, _ROOT_OFFSET, data_size, 1)
    block = (fields + tail_of_name).ljust(508, b"\0")
    checksum = 0
    for (word,) in struct.iter_unpack("<I", block):
        checksum ^= word
    # Two results are reserved by the format.
    checksum = {_NONE: _NONE - 1, 0: 1}.get(checksum, checksum)
    return (block + struct.pack("<I", checksum)).ljust(_BIN, b"\0")
