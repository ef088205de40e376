"""Makes dirty hives and their transaction logs, of both formats, to the byte.

From the published formats; the hive reader is not used, only its hash, which is tested on its own.
"""

from __future__ import annotations

import struct

from orchestrator.guest.offline.replay import marvin32

PAGE = 4096


def base_block(data: bytes, first: int, second: int, kind: int = 0) -> bytes:
    block = bytearray(data[:512])
    struct.pack_into("<II", block, 4, first, second)
    struct.pack_into("<I", block, 28, kind)
    total = 0
    for (word,) in struct.iter_unpack("<I", block[:508]):
        total ^= word
    struct.pack_into("<I", block, 508, total)
    return bytes(block)


def dirty(data: bytes, first: int = 11, second: int = 10) -> bytes:
    return base_block(data, first, second) + data[512:]


def entry(sequence: int, data: bytes) -> bytes:
    hive_size = len(data) - PAGE
    pages = range(hive_size // PAGE)
    refs = b"".join(struct.pack("<II", page * PAGE, PAGE) for page in pages)
    body = refs + b"".join(data[PAGE * (page + 1) : PAGE * (page + 2)] for page in pages)
    size = -(-(40 + len(body)) // 512) * 512
    body = body.ljust(size - 40, b"\0")
    head = struct.pack("<4sIIIII", b"HvLE", size, 0, sequence, hive_size, len(pages))
    head += struct.pack("<Q", marvin32(body))
    return head + struct.pack("<Q", marvin32(head)) + body


def log(data: bytes, *entries: bytes) -> bytes:
    return base_block(data, 10, 10, kind=6) + b"".join(entries)


def bitmap_log(data: bytes, changed: bytes, first: int = 10, second: int = 10) -> bytes:
    hive_size = len(data) - PAGE
    dirty_pages = [
        n for n in range(hive_size // 512) if changed[PAGE + n * 512 :][:512] != data[PAGE + n * 512 :][:512]
    ]
    bits = bytearray(hive_size // 512 // 8)
    for n in dirty_pages:
        bits[n // 8] |= 1 << n % 8
    head = (base_block(data, first, second, kind=1) + b"DIRT" + bits).ljust(1024, b"\0")
    return head + b"".join(changed[PAGE + n * 512 :][:512] for n in dirty_pages)
