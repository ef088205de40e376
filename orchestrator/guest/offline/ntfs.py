"""Files of one NTFS volume by path, without regard to case, through libfsntfs. Links are never followed."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pyfsntfs

from orchestrator.diagnostics import FerryError
from orchestrator.guest.offline.blocks import Window

_REPARSE_POINT = 0x400
_BITMAP_ENTRY = 6
_MAX_ENTRIES = 100_000
# What libfsntfs raises on damage: OSError mostly, the others where a size or a name makes no sense.
_FAULTS = (OSError, ValueError, OverflowError, UnicodeError)


Read = Callable[[int, int], bytes]
"""Returns up to `length` bytes of a file at `offset`; fewer at its end."""


@dataclass(slots=True)
class Budget:
    """How many entries a walk may still look at."""

    left: int


class DamagedVolume(FerryError):
    """The file system's structure makes no sense at some point."""

    code = "damaged-volume"


class Volume:
    """An open volume. Every method can raise DamagedVolume."""

    def __init__(self, window: Window) -> None:
        self._volume: Any = pyfsntfs.volume()
        try:
            self._volume.open_file_object(window)
            self._root: Any = self._volume.get_root_directory()
        except _FAULTS as fault:
            message = "its NTFS cannot be read"
            raise DamagedVolume(message) from fault

    def find(self, path: str) -> Any | None:
        """Return the entry at `path` ("\\\\Windows\\\\System32"), or None; a link counts as absent."""
        try:
            entry = self._volume.get_file_entry_by_path("\\" + path.strip("\\"))
        except _FAULTS as fault:
            message = f"{path} cannot be looked up"
            raise DamagedVolume(message) from fault
        return None if entry is None or _is_link(entry) else entry

    def read(self, path: str, limit: int) -> bytes | None:
        """Return a file's content; None if it is not there. Larger than `limit`: DamagedVolume."""
        entry = self.find(path)
        if entry is None or _is_folder(entry):
            return None
        return self._content(entry, path, limit)

    def reader(self, path: str) -> Read | None:
        """Return a function that reads parts of a file; None if the file is not there."""
        entry = self.find(path)
        return None if entry is None or _is_folder(entry) else _reader(entry, path)

    def bitmap(self) -> Read:
        """Return a function that reads the bitmap of clusters in use."""
        try:
            return _reader(self._volume.get_file_entry(_BITMAP_ENTRY), "$Bitmap")
        except _FAULTS as fault:
            message = "its bitmap of clusters cannot be read"
            raise DamagedVolume(message) from fault

    def label(self) -> str:
        """Return the volume's name, "" for none."""
        try:
            return str(self._volume.get_name() or "")
        except _FAULTS as fault:
            message = "its label cannot be read"
            raise DamagedVolume(message) from fault

    def files(self, path: str) -> Iterator[str]:
        """Yield the names of the files right below `path`."""
        entry = self.find(path)
        for name, child in self._children(entry) if entry else ():
            if not _is_folder(child) and not _is_link(child):
                yield name

    def walk(self, path: str, budget: Budget, skip: Callable[[str], bool]) -> Iterator[tuple[str, int, Read]]:
        """Yield (path, size in bytes, read) of the files below `path`, those near the top first.

        It ends when the budget is used up. Folders for which `skip` says so, links and damaged folders are
        passed over.
        """
        start = self.find(path) if path.strip("\\") else self._root
        folders = deque([(path.rstrip("\\"), start)] if start is not None else [])
        while folders and budget.left > 0:
            above, folder = folders.popleft()
            for name, child in self._some_children(folder, budget):
                below = f"{above}\\{name}"
                try:
                    link, deeper = _is_link(child), _is_folder(child)
                except DamagedVolume:
                    continue
                if deeper and not link and not skip(below):
                    folders.append((below, child))
                elif not deeper and not link:
                    yield below, _size(child), _reader(child, below)

    def _some_children(self, folder: Any, budget: Budget) -> list[tuple[str, Any]]:
        try:
            pairs = zip(range(budget.left), self._children(folder), strict=False)
            found = [pair for _, pair in pairs]
        except DamagedVolume:
            return []
        budget.left -= len(found)
        return sorted(found, key=lambda pair: (pair[0].casefold(), pair[0]))

    def folders(self, path: str) -> Iterator[str]:
        """Yield the names of the folders right below `path`."""
        entry = self.find(path) if path.strip("\\") else self._root
        for name, child in self._children(entry) if entry else ():
            if _is_folder(child) and not _is_link(child):
                yield name

    def files_below(self, path: str, limit: int, depth: int = 16) -> Iterator[tuple[str, bytes | None]]:
        """Yield (path below `path`, content) of every file, in order; None for one that is damaged or over
        `limit`.
        """
        entry = self.find(path)
        if entry is not None:
            yield from self._files(entry, "", limit, depth)

    def _files(self, folder: Any, below: str, limit: int, depth: int) -> Iterator[tuple[str, bytes | None]]:
        for name, child in sorted(self._children(folder), key=lambda pair: pair[0].casefold()):
            path = f"{below}\\{name}"
            if _is_link(child):
                continue
            if _is_folder(child):
                if depth:
                    yield from self._files(child, path, limit, depth - 1)
                continue
            try:
                yield path, self._content(child, path, limit)
            except DamagedVolume:
                yield path, None

    def _children(self, folder: Any) -> Iterator[tuple[str, Any]]:
        try:
            for index, child in enumerate(folder.sub_file_entries):
                if index == _MAX_ENTRIES:
                    break
                if child.name:
                    yield str(child.name), child
        except _FAULTS as fault:
            message = "a folder cannot be read"
            raise DamagedVolume(message) from fault

    def _content(self, entry: Any, path: str, limit: int) -> bytes:
        try:
            size = entry.get_size()
            data = bytes(entry.read_buffer_at_offset(size, 0)) if 0 < size <= limit else b""
        except _FAULTS as fault:
            message = f"{path} cannot be read"
            raise DamagedVolume(message) from fault
        if size > limit or len(data) != size:
            message = f"{path} has {size} bytes: more than {limit}, or more than could be read"
            raise DamagedVolume(message)
        return data


def _size(entry: Any) -> int:
    """Return a file's size; 0 where it makes no sense."""
    try:
        return int(entry.get_size())
    except _FAULTS:
        return 0


def _reader(entry: Any, path: str) -> Read:
    def read(offset: int, length: int) -> bytes:
        try:
            inside = length > 0 and 0 <= offset < entry.get_size()
            return bytes(entry.read_buffer_at_offset(length, offset)) if inside else b""
        except _FAULTS as fault:
            message = f"{path} cannot be read"
            raise DamagedVolume(message) from fault

    return read


def _is_folder(entry: Any) -> bool:
    return _told(entry.has_directory_entries_index)


def _is_link(entry: Any) -> bool:
    # None: the record that says so is gone. What the entry is then, nobody knows: not followed either.
    return _told(lambda: (flags := entry.file_attribute_flags) is None or flags & _REPARSE_POINT)


def _told(ask: Callable[[], Any]) -> bool:
    try:
        return bool(ask())
    except _FAULTS as fault:
        message = "an entry of a folder cannot be read"
        raise DamagedVolume(message) from fault
