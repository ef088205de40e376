"""The files of one volume: gathered from layers, then written to a folder that wimlib copies into NTFS."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

from lab.programs import LabError

if TYPE_CHECKING:
    from pathlib import Path

_MACHINES = {"x64": 0x8664, "x86": 0x014C}
_TASKS = ("Windows", "System32", "Tasks")


class Tree:
    """Files and folders by path with forward slashes; a later file replaces an earlier one of the same path.

    One path in two spellings is an error: Windows would see one file where the host's file system has two.
    """

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}
        self._folders: set[str] = set()
        self._spelled: dict[str, str] = {}

    def add(self, path: str, content: bytes) -> None:
        """Put a file at path."""
        self._spell(path)
        self._files[path] = content

    def add_folder(self, path: str) -> None:
        """Make a folder (and those above it), for one that holds no file."""
        self._spell(path)
        self._folders.add(path)

    def add_text_files(self, folder: Path) -> None:
        """Put every file below folder, its text turned into what Windows would have (see windows_text)."""
        for file in sorted(folder.rglob("*")):
            if not file.is_file():
                continue
            path = file.relative_to(folder)
            try:
                self.add(path.as_posix(), windows_text(path.parts, file.read_text(encoding="utf-8")))
            except UnicodeDecodeError as problem:
                msg = (
                    f"{file}: the files of a layer are text in UTF-8; programs go under programs in its toml"
                )
                raise LabError(msg) from problem

    def write(self, folder: Path, time: float) -> None:
        """Write everything below folder; time (seconds since 1970) is the time of change of it all."""
        for path in sorted(self._folders):
            (folder / path).mkdir(parents=True, exist_ok=True)
        for path, content in sorted(self._files.items()):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        for written in [*folder.rglob("*"), folder]:
            os.utime(written, (time, time))

    def _spell(self, path: str) -> None:
        parts = path.split("/")
        for depth in range(1, len(parts) + 1):
            spelled = "/".join(parts[:depth])
            known = self._spelled.setdefault(spelled.casefold(), spelled)
            if known != spelled:
                msg = f"two spellings of one path: {known} and {spelled}; use one"
                raise LabError(msg)


def windows_text(path: tuple[str, ...], content: str) -> bytes:
    """Text with CR LF; task files in UTF-16 with a byte order mark, as the task scheduler writes them."""
    lines = content.replace("\n", "\r\n")
    if path[:3] == _TASKS:
        return b"\xff\xfe" + lines.encode("utf-16-le")
    return lines.encode("utf-8")


def program(path: str, arch: str) -> bytes:
    """A program file with correct headers for its machine and no code but "return 0".

    On x64 what lies in SysWOW64 or Program Files (x86) is a 32-bit program, as on a real server.
    """
    wow = "SysWOW64" in path or "(x86)" in path
    machine = _MACHINES["x86" if wow else arch]
    wide = machine == _MACHINES["x64"]
    dos = struct.pack("<2s58xI", b"MZ", 64)
    optional = _optional_header(wide=wide)
    file_header = struct.pack(
        "<4sHHIIIHH", b"PE\0\0", machine, 1, 0, 0, 0, len(optional), 0x0022 if wide else 0x0102
    )
    section = struct.pack("<8sIIII12xI", b".text", 3, 0x1000, 512, 512, 0x60000020)
    headers = (dos + file_header + optional + section).ljust(512, b"\0")
    return headers + b"\x31\xc0\xc3".ljust(512, b"\xcc")


def _optional_header(*, wide: bool) -> bytes:
    sizes = struct.pack("<HBBIIIII", 0x20B if wide else 0x10B, 9, 0, 512, 0, 0, 0x1000, 0x1000)
    base = struct.pack("<Q", 0x140000000) if wide else struct.pack("<II", 0x2000, 0x400000)
    layout = struct.pack("<IIHHHHHHIIIIHH", 0x1000, 512, 6, 0, 6, 0, 6, 0, 0, 0x2000, 512, 0, 3, 0)
    stack_and_heap = struct.pack("<4Q" if wide else "<4I", 0x100000, 0x1000, 0x100000, 0x1000)
    return sizes + base + layout + stack_and_heap + struct.pack("<II", 0, 16) + bytes(16 * 8)
