"""Brings a dirty hive up to date from its transaction logs, in memory. The files are never written.

A running Windows writes changes to .LOG1 and .LOG2 first; a snapshot then holds a primary file whose two
sequence numbers differ. Two log formats exist: "HvLE" entries since Windows 8.1 (many, each with two Marvin32
hashes) and "DIRT" before (one bitmap of 512-byte pages, then the pages).
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from orchestrator.guest.offline.hive import BASE_BLOCK

_SECTOR = 512
_SEED = 0x82EF4D887A4E55C5
_MASK = 0xFFFFFFFF
_MAX_PAGES = 1 << 20


@dataclass(frozen=True, slots=True)
class Replayed:
    """The hive's bytes to read, and what had to be done, in words ("" if it was clean)."""

    data: bytes
    note: str


@dataclass(frozen=True, slots=True)
class _Entry:
    sequence: int
    hive_size: int
    pages: tuple[tuple[int, bytes], ...]


def replay(primary: bytes, logs: Sequence[bytes]) -> Replayed:
    """Apply what the logs hold beyond the primary file. Never raises on damaged logs: they end the replay."""
    whole = _base_block_is_whole(primary)
    if whole and _sequences(primary)[0] == _sequences(primary)[1]:
        return Replayed(primary, "")
    # A base block torn in mid-write is recovered from the copy that each log starts with.
    base = primary if whole else next((log for log in logs if _base_block_is_whole(log)), None)
    if base is None:
        return Replayed(primary, "its header is damaged and no log can mend it: values may be old or missing")
    entries = _chosen(logs, _sequences(base)[1])
    if not entries:
        return Replayed(
            base[:_SECTOR] + primary[_SECTOR:],
            "it was in use and no log fits it: the newest changes are missing",
        )
    data = bytearray(base[:_SECTOR] + primary[_SECTOR:])
    for entry in entries:
        _apply(data, entry)
    count = len(entries)
    return Replayed(bytes(data), f"it was in use; {count} log entr{'y' if count == 1 else 'ies'} replayed")


def _apply(data: bytearray, entry: _Entry) -> None:
    end = BASE_BLOCK + entry.hive_size
    if end > len(data):
        data.extend(bytes(end - len(data)))
    for offset, page in entry.pages:
        data[BASE_BLOCK + offset : BASE_BLOCK + offset + len(page)] = page


def _chosen(logs: Sequence[bytes], least: int) -> list[_Entry]:
    """Return the entries to apply: from the lowest sequence number not below `least`, without a gap."""
    found = {entry.sequence: entry for log in logs for entry in _entries(log) if entry.sequence >= least}
    if not found:
        return _chosen_bitmap(logs, least)
    chosen = [found[min(found)]]
    while chosen[-1].sequence + 1 in found:
        chosen.append(found[chosen[-1].sequence + 1])
    return chosen


def _entries(log: bytes) -> Iterator[_Entry]:
    """Yield the valid HvLE entries from the start of a log on; the first bad one ends it."""
    at, last = _SECTOR, None
    while log[at : at + 4] == b"HvLE" and at + 40 <= len(log):
        size, _, sequence, hive_size, count = struct.unpack_from("<IIIII", log, at + 4)
        raw = log[at : at + size]
        if size < 40 or size % _SECTOR or len(raw) < size or (last is not None and sequence != last + 1):
            return
        content_hash, header_hash = struct.unpack_from("<QQ", raw, 24)
        if marvin32(raw[:32]) != header_hash or marvin32(raw[40:]) != content_hash:
            return
        entry = _entry(raw, sequence, hive_size, count)
        if entry is None:
            return
        yield entry
        at, last = at + size, sequence


def _entry(raw: bytes, sequence: int, hive_size: int, count: int) -> _Entry | None:
    at = 40 + 8 * count
    if at > len(raw) or hive_size > 1 << 30:
        return None
    pages: list[tuple[int, bytes]] = []
    for offset, size in struct.iter_unpack("<II", raw[40:at]):
        page = raw[at : at + size]
        if len(page) < size or offset + size > hive_size:
            return None
        pages.append((offset, page))
        at += size
    return _Entry(sequence, hive_size, tuple(pages))


def _chosen_bitmap(logs: Sequence[bytes], least: int) -> list[_Entry]:
    """Return the newest valid log of the old format as one entry."""
    found = [entry for entry in map(_bitmap_entry, logs) if entry is not None and entry.sequence >= least]
    return [max(found, key=lambda entry: entry.sequence)] if found else []


def _bitmap_entry(log: bytes) -> _Entry | None:
    if not _base_block_is_whole(log) or log[_SECTOR : _SECTOR + 4] != b"DIRT":
        return None
    first, second = _sequences(log)
    hive_size = struct.unpack_from("<I", log, 40)[0]
    if first != second or hive_size % 4096 or hive_size > 1 << 30:
        return None
    bits = log[_SECTOR + 4 : _SECTOR + 4 + hive_size // 4096]
    at = -(-(_SECTOR + 4 + len(bits)) // _SECTOR) * _SECTOR
    pages: list[tuple[int, bytes]] = []
    for index in (8 * byte + bit for byte, mask in enumerate(bits) for bit in range(8) if mask >> bit & 1):
        page = log[at : at + _SECTOR]
        if len(page) < _SECTOR or len(pages) > _MAX_PAGES:
            return None
        pages.append((index * _SECTOR, page))
        at += _SECTOR
    return _Entry(first, hive_size, tuple(pages))


def _sequences(base: bytes) -> tuple[int, int]:
    first, second = struct.unpack_from("<II", base, 4)
    return first, second


def _base_block_is_whole(data: bytes) -> bool:
    if len(data) < _SECTOR or data[:4] != b"regf":
        return False
    total = 0
    for (word,) in struct.iter_unpack("<I", data[:508]):
        total ^= word
    wanted = {0: 1, _MASK: _MASK - 1}.get(total, total)
    return bool(struct.unpack_from("<I", data, 508)[0] == wanted)


def marvin32(data: bytes) -> int:
    """Return the Marvin32 hash of `data` (a multiple of 4 bytes) under the log format's seed, as 64 bits."""
    low, high = _SEED & _MASK, _SEED >> 32
    # The end mark is one byte 0x80; a last round without input follows.
    for (word,) in struct.iter_unpack("<I", data + b"\x80\0\0\0" + bytes(4)):
        low = (low + word) & _MASK
        high ^= low
        low = ((low << 20 | low >> 12) + high) & _MASK
        high = (high << 9 | high >> 23) & _MASK ^ low
        low = ((low << 27 | low >> 5) + high) & _MASK
        high = (high << 19 | high >> 13) & _MASK
    return high << 32 | low
