"""Log replay: real dirty hives, and logs of both formats made here to the byte."""

import struct
from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.guest.offline.hive import Hive
from orchestrator.guest.offline.replay import marvin32, replay
from orchestrator.guest.registry import number

OLD, NEW = 1, 2
PAGE = 4096


def test_marvin32_of_a_header_that_windows_wrote() -> None:
    header = bytes.fromhex("48764c45003e0000010000003b0800000030bd0003000000c4812cbea1b6704b")
    assert marvin32(header) == 0xDD88C5D7DF48F30A


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("SYSTEM_B", "it was in use; 24 log entries replayed"),
        ("UsrClass.dat", "it was in use; 14 log entries replayed"),
    ],
)
def test_a_real_dirty_hive(real_hive: Callable[[str], bytes], name: str, note: str) -> None:
    primary = real_hive(name)
    done = replay(primary, [real_hive(f"{name}.LOG1"), real_hive(f"{name}.LOG2")])
    assert done.note == note
    assert done.data != primary
    assert list(Hive(done.data).root().subkeys())


# Made hives: the primary file holds the old value, the logs the new one.


@pytest.fixture(scope="module")
def old(make_hive: Any) -> bytes:
    return bytes(make_hive({"K": {"v": OLD}}))


@pytest.fixture(scope="module")
def new(make_hive: Any) -> bytes:
    return bytes(make_hive({"K": {"v": NEW}}))


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


def value(data: bytes) -> int | None:
    return number(Hive(data).root().subkey("K"), "v")


def test_a_clean_hive_needs_no_log(old: bytes, new: bytes) -> None:
    clean = dirty(old, 10, 10)
    done = replay(clean, [log(old, entry(10, new))])
    assert (done.data, done.note) == (clean, "")


def test_entries_bring_it_up_to_date(old: bytes, new: bytes) -> None:
    done = replay(dirty(old), [log(old, entry(10, new)), b""])
    assert (value(done.data), done.note) == (NEW, "it was in use; 1 log entry replayed")


def test_entries_of_both_logs_apply_in_the_order_of_their_numbers(old: bytes, new: bytes) -> None:
    logs = [log(old, entry(12, new)), log(old, entry(10, new), entry(11, old))]
    assert value(replay(dirty(old), logs).data) == NEW
    logs = [log(old, entry(12, old)), log(old, entry(10, old), entry(11, new))]
    assert value(replay(dirty(old), logs).data) == OLD


def test_the_first_entry_may_lie_far_ahead_but_no_later_gap_is_jumped(old: bytes, new: bytes) -> None:
    done = replay(dirty(old), [log(old, entry(500, new)), log(old, entry(502, old))])
    assert (value(done.data), done.note) == (NEW, "it was in use; 1 log entry replayed")


def test_entries_older_than_the_primary_are_left_out(old: bytes, new: bytes) -> None:
    done = replay(dirty(old, 21, 20), [log(old, entry(19, new))])
    assert (value(done.data), "no log fits" in done.note) == (OLD, True)


@pytest.mark.parametrize("place", [20, 30, 41, 700])
def test_an_entry_with_a_bad_hash_ends_the_replay(old: bytes, new: bytes, place: int) -> None:
    bad = bytearray(entry(11, old))
    bad[place] ^= 1
    done = replay(dirty(old), [log(old, entry(10, new), bytes(bad), entry(12, old))])
    assert (value(done.data), done.note) == (NEW, "it was in use; 1 log entry replayed")


def test_a_hive_that_grew_is_extended(old: bytes, new: bytes) -> None:
    grown = new + new[PAGE : 2 * PAGE]
    done = replay(dirty(old), [log(old, entry(10, grown))])
    assert len(done.data) == len(grown)
    assert value(done.data) == NEW


def test_the_old_format_with_a_bitmap(old: bytes, new: bytes) -> None:
    done = replay(dirty(old), [bitmap_log(old, new)])
    assert (value(done.data), done.note) == (NEW, "it was in use; 1 log entry replayed")


def test_an_unfinished_log_of_the_old_format_is_not_used(old: bytes, new: bytes) -> None:
    assert value(replay(dirty(old), [bitmap_log(old, new, 11, 10)]).data) == OLD
    assert value(replay(dirty(old), [bitmap_log(old, new)[:-100]]).data) == OLD


def test_a_torn_base_block_is_mended_from_the_log(old: bytes, new: bytes) -> None:
    torn = bytearray(dirty(old))
    torn[36:44] = b"\xff" * 8
    done = replay(bytes(torn), [log(old, entry(10, new))])
    assert value(done.data) == NEW
    assert "no log can mend" in replay(bytes(torn), [b"", b"rubbish" * 100]).note
