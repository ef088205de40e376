"""Log replay: real dirty hives, and logs of both formats made here to the byte."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.guest.offline.hive import Hive
from orchestrator.guest.offline.replay import Replayed, marvin32, replay
from orchestrator.guest.registry import number
from tests.rigs.hivelogs import PAGE, base_block, bitmap_log, dirty, entry, log
from tests.unit.guest.oracles import comparable, digest_by_hivex, our_digest, ours, read_by_libregf

OLD, NEW = 1, 2


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
def test_a_real_dirty_hive(real_hive: Callable[[str], bytes], tmp_path: Path, name: str, note: str) -> None:
    primary = real_hive(name)
    done = replay(primary, [real_hive(f"{name}.LOG1"), real_hive(f"{name}.LOG2")])
    assert done.note == note
    assert done.data != primary
    # What no wrong replay leaves: a hive that two other readers read in full, and as we do.
    assert comparable(ours(Hive(done.data).root())) == read_by_libregf(done.data)
    assert our_digest(done.data) == digest_by_hivex(done.data, tmp_path)
    assert replay(done.data, []) == Replayed(done.data, "")


def test_a_log_of_another_real_hive_is_left_out(real_hive: Callable[[str], bytes]) -> None:
    primary = real_hive("SYSTEM_B")
    done = replay(primary, [real_hive("UsrClass.dat.LOG1"), real_hive("SYSTEM_B.LOG2")])
    # LOG2 goes on where LOG1 ends: without it, it is a start like any other.
    assert done.note == "it was in use; 20 log entries replayed; a log of another hive was left out"
    done = replay(primary, [real_hive("UsrClass.dat.LOG1"), real_hive("UsrClass.dat.LOG2")])
    assert (done.data, "no log fits it" in done.note) == (primary, True)


# Made hives: the primary file holds the old value, the logs the new one.


@pytest.fixture(scope="module")
def old(make_hive: Any) -> bytes:
    return bytes(make_hive({"K": {"v": OLD}}))


@pytest.fixture(scope="module")
def new(make_hive: Any) -> bytes:
    return bytes(make_hive({"K": {"v": NEW}}))


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


# What does not belong together.


def named(data: bytes, name: str = "", written: int = 0, manager: int = 0) -> bytes:
    """With another name, time of writing or resource manager in the base block, its checksum to fit."""
    block = bytearray(data[:512])
    block[48:112] = name.encode("utf-16-le").ljust(64, b"\0") if name else block[48:112]
    block[12:20] = written.to_bytes(8, "little") if written else block[12:20]
    block[112:128] = bytes([manager] * 16) if manager else block[112:128]
    first, second, kind = (int.from_bytes(block[at : at + 4], "little") for at in (4, 8, 28))
    return base_block(bytes(block), first, second, kind) + data[512:]


def test_a_log_of_another_hive_is_left_out_and_told(old: bytes, new: bytes) -> None:
    stranger = named(log(old, entry(10, new)), name="SOFTWARE")
    done = replay(dirty(old), [stranger])
    assert value(done.data) == OLD
    assert done.note.endswith("the newest changes are missing; a log of another hive was left out")
    done = replay(dirty(old), [stranger, log(old, entry(10, new))])
    assert (value(done.data), "another hive" in done.note) == (NEW, True)


def test_a_log_of_the_same_hive_of_another_machine_is_left_out(old: bytes, new: bytes) -> None:
    ours_, stranger = named(dirty(old), manager=7), named(log(old, entry(10, new)), manager=8)
    assert value(replay(ours_, [stranger]).data) == OLD
    assert value(replay(ours_, [named(stranger, manager=7)]).data) == NEW


def test_an_old_format_log_of_another_time_is_not_used(old: bytes, new: bytes) -> None:
    done = replay(dirty(old), [named(bitmap_log(old, new), written=5)])
    assert (value(done.data), "no log fits" in done.note) == (OLD, True)


def test_of_two_old_format_logs_the_one_of_this_change_is_used(old: bytes, new: bytes) -> None:
    logs = [named(bitmap_log(old, old, 99, 99), written=5), bitmap_log(old, new)]
    assert value(replay(dirty(old), logs).data) == NEW


@pytest.mark.parametrize("size", [0, 4095, 1 << 29])
def test_an_entry_of_an_impossible_size_ends_the_replay(old: bytes, new: bytes, size: int) -> None:
    bad = bytearray(entry(11, old))
    bad[16:20] = size.to_bytes(4, "little")
    bad[32:40] = marvin32(bytes(bad[:32])).to_bytes(8, "little")
    done = replay(dirty(old), [log(old, entry(10, new), bytes(bad))])
    assert (value(done.data), done.note) == (NEW, "it was in use; 1 log entry replayed")


def test_a_replay_that_does_not_fit_says_so(old: bytes, new: bytes) -> None:
    torn = new[:PAGE] + bytes(512) + new[PAGE + 512 :]
    done = replay(dirty(old), [log(old, entry(10, torn))])
    assert done.note.endswith("1 log entry replayed; from 0x0 on it makes no sense: values may be wrong")


# A base block torn in mid-write.


def torn(data: bytes) -> bytes:
    return data[:36] + b"\xff" * 8 + data[44:]


def test_a_torn_base_block_takes_the_newest_entries_that_hang_together(old: bytes, new: bytes) -> None:
    stale, split = log(old, entry(90, old)), log(old, entry(100, new), entry(101, old))
    done = replay(torn(dirty(old)), [stale, split])
    assert (value(done.data), done.note) == (OLD, "it was in use; 2 log entries replayed")
    done = replay(torn(dirty(old)), [log(old, entry(102, new)), split])
    assert (value(done.data), done.note) == (NEW, "it was in use; 3 log entries replayed")


def test_a_torn_base_block_takes_the_old_format_log_of_the_first_bins_time(old: bytes, new: bytes) -> None:
    stale = named(bitmap_log(old, old, 99, 99), written=5)
    assert value(replay(torn(dirty(old)), [stale, bitmap_log(old, new)]).data) == NEW
    assert "no log can mend it" in replay(torn(dirty(old)), [stale]).note
