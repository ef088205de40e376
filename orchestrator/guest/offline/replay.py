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
_MAX_SIZE = 256 * 1024 * 1024
_NAME, _ROOT, _MANAGER = slice(48, 112), slice(36, 40), slice(112, 128)
_WRITTEN, _TYPE = slice(12, 20), slice(28, 32)
_ENTRIES = b"\6\0\0\0"


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
    base = primary if whole else _mended(primary, logs)
    if base is None:
        return Replayed(primary, "its header is damaged and no log can mend it: values may be old or missing")
    ours = [log for log in logs if not _base_block_is_whole(log) or _same_hive(base, log)]
    note = "" if len(ours) == len(logs) else "; a log of another hive was left out"
    data = bytearray(base[:_SECTOR] + primary[_SECTOR:])
    entries = _chosen(ours, base, torn=not whole)
    if not entries:
        return Replayed(
            bytes(data), f"it was in use and no log fits it: the newest changes are missing{note}"
        )
    for entry in entries:
        _apply(data, entry)
    _close(data, entries[-1])
    count = len(entries)
    told = f"it was in use; {count} log entr{'y' if count == 1 else 'ies'} replayed{note}"
    bad = _bad_bin(data, entries[-1].hive_size)
    if bad is not None:
        told += f"; from {bad:#x} on it makes no sense: values may be wrong"
    return Replayed(bytes(data), told)


def _mended(primary: bytes, logs: Sequence[bytes]) -> bytes | None:
    """Return the base block's copy from the log in use: a base block can be torn in mid-write.

    A log of the old format is that one if it and the first bin have the same time of writing.
    """
    written = primary[BASE_BLOCK + 20 : BASE_BLOCK + 28]
    fitting = [
        log
        for log in logs
        if _base_block_is_whole(log) and (log[_TYPE] == _ENTRIES or log[_WRITTEN] == written)
    ]
    return max(fitting, key=lambda log: _sequences(log)[1], default=None)


def _same_hive(base: bytes, log: bytes) -> bool:
    """Tell whether a log's copy of the base block can be of this hive: Windows itself only trusts the file's
    name.
    """
    managers = {base[_MANAGER], log[_MANAGER]} - {bytes(16)}
    return base[_NAME] == log[_NAME] and base[_ROOT] == log[_ROOT] and len(managers) < 2


def _bad_bin(data: bytes | bytearray, size: int) -> int | None:
    """Return where the chain of bins breaks off, or None: a replay that fits leaves it whole."""
    at = 0
    while at < size:
        mark, offset, length = struct.unpack_from("<4sII", data, BASE_BLOCK + at)
        if mark != b"hbin" or offset != at or not length or length % 4096 or at + length > size:
            return at
        at += length
    return None


def _apply(data: bytearray, entry: _Entry) -> None:
    end = BASE_BLOCK + entry.hive_size
    if end > len(data):
        data.extend(bytes(end - len(data)))
    for offset, page in entry.pages:
        data[BASE_BLOCK + offset : BASE_BLOCK + offset + len(page)] = page


def _close(data: bytearray, last: _Entry) -> None:
    """Make the base block that of a clean hive, as Windows does at the end."""
    struct.pack_into("<II", data, 4, last.sequence, last.sequence)
    struct.pack_into("<I", data, 40, last.hive_size)
    struct.pack_into("<I", data, 508, _checksum(data))


def _chosen(logs: Sequence[bytes], base: bytes, *, torn: bool) -> list[_Entry]:
    """Return the entries to apply: from the lowest sequence number on that the hive lacks, without a gap.

    What it lacks, a torn base block does not say: then the newest entries that hang together.
    """
    found = {entry.sequence: entry for log in logs for entry in _entries(log)}
    first = max(found, default=0)
    if torn:
        while first - 1 in found:
            first -= 1
    else:
        least = _sequences(base)[1]
        first = min((sequence for sequence in found if sequence >= least), default=0)
    if first not in found:
        return _chosen_bitmap(logs, base)
    chosen = [found[first]]
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
    if at > len(raw) or not _possible(hive_size):
        return None
    pages: list[tuple[int, bytes]] = []
    for offset, size in struct.iter_unpack("<II", raw[40:at]):
        page = raw[at : at + size]
        if len(page) < size or offset + size > hive_size:
            return None
        pages.append((offset, page))
        at += size
    return _Entry(sequence, hive_size, tuple(pages))


def _chosen_bitmap(logs: Sequence[bytes], base: bytes) -> list[_Entry]:
    """Return the log of the old format that was written for this very change, as one entry.

    As Windows does, by the time of writing that log and hive share.
    """
    fitting = (log for log in logs if log[_WRITTEN] == base[_WRITTEN])
    least = _sequences(base)[1]
    found = [entry for entry in map(_bitmap_entry, fitting) if entry is not None and entry.sequence >= least]
    return [max(found, key=lambda entry: entry.sequence)] if found else []


def _bitmap_entry(log: bytes) -> _Entry | None:
    if not _base_block_is_whole(log) or log[_SECTOR : _SECTOR + 4] != b"DIRT":
        return None
    first, second = _sequences(log)
    hive_size = struct.unpack_from("<I", log, 40)[0]
    if first != second or not _possible(hive_size):
        return None
    bits = log[_SECTOR + 4 : _SECTOR + 4 + hive_size // 4096]
    at = -(-(_SECTOR + 4 + len(bits)) // _SECTOR) * _SECTOR
    pages: list[tuple[int, bytes]] = []
    for index in (8 * byte + bit for byte, mask in enumerate(bits) for bit in range(8) if mask >> bit & 1):
        page = log[at : at + _SECTOR]
        if len(page) < _SECTOR:
            return None
        pages.append((index * _SECTOR, page))
        at += _SECTOR
    return _Entry(first, hive_size, tuple(pages))


def _possible(hive_size: int) -> bool:
    return 0 < hive_size <= _MAX_SIZE and hive_size % 4096 == 0


def _sequences(base: bytes) -> tuple[int, int]:
    first, second = struct.unpack_from("<II", base, 4)
    return first, second


def _base_block_is_whole(data: bytes) -> bool:
    if len(data) < _SECTOR or data[:4] != b"regf":
        return False
    return bool(struct.unpack_from("<I", data, 508)[0] == _checksum(data))


def _checksum(base: bytes | bytearray) -> int:
    total = 0
    for (word,) in struct.iter_unpack("<I", base[:508]):
        total ^= word
    # Two results are reserved by the format.
    return {0: 1, _MASK: _MASK - 1}.get(total, total)


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
