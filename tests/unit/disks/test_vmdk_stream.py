"""Stream-optimised VMDKs: byte for byte what qemu-img reads; refused where anything is missing or wrong."""

import gc
import os
import random
import resource
import stat
import struct
import subprocess
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.disks.spool import spool
from orchestrator.disks.vmdk_format import MAX_TABLES
from orchestrator.disks.vmdk_stream import Decoded, decode
from tests.rigs import stream_vmdk as vmdk

MIB = 1 << 20
GRAIN = 65536


class Once:
    """A source that can do nothing but hand out what comes next, in pieces of an odd size."""

    def __init__(self, data: bytes, piece: int = 70_001) -> None:
        self._data = memoryview(bytes(data))
        self._piece = piece

    def read(self, size: int, /) -> bytes:
        piece = bytes(self._data[: min(size, self._piece)])
        self._data = self._data[len(piece) :]
        return piece


def decoded(data: bytes, *, piece: int = 70_001, size: int | None = None) -> tuple[bytes, Decoded]:
    written: list[tuple[int, bytes]] = []
    told = decode(Once(data, piece), lambda offset, part: written.append((offset, part)), size=size)
    assert written == sorted(written)
    disk = bytearray(told.size)
    for offset, part in written:
        disk[offset : offset + len(part)] = part
    assert len(disk) == told.size
    return bytes(disk), told


def refused(data: bytes, *words: str, size: int | None = None) -> None:
    with pytest.raises(ProviderError) as caught:
        decoded(data, size=size)
    assert caught.value.kind is ErrorKind.PERMANENT
    assert "at byte " in caught.value.message
    for word in words:
        assert word in caught.value.message


def qemu_img(*words: object) -> None:
    subprocess.run(["qemu-img", *map(str, words)], check=True, stdout=subprocess.DEVNULL, timeout=60)


def by_qemu(folder: Path, disk: bytes) -> bytes:
    """Return the stream that qemu-img makes of a disk."""
    raw, image = folder / "disk.raw", folder / "disk.vmdk"
    raw.write_bytes(disk)
    qemu_img("convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized", raw, image)
    return image.read_bytes()


def read_by_qemu(folder: Path, stream: bytes) -> bytes:
    image, raw = folder / "stream.vmdk", folder / "stream.raw"
    image.write_bytes(stream)
    qemu_img("convert", "-f", "vmdk", "-O", "raw", image, raw)
    return raw.read_bytes()


def patterned(size: int, *stretches: tuple[int, int]) -> bytes:
    """A disk of zeros with stretches (offset, length) that half compress."""
    chance = random.Random(size)
    disk = bytearray(size)
    for offset, length in stretches:
        half = chance.randbytes(length - length // 2)
        disk[offset : offset + length] = (half + half)[:length]
    return bytes(disk)


DISKS = {
    "empty": bytes(3 * MIB),
    "one-sector": random.Random(1).randbytes(512),
    "less-than-a-grain": patterned(30 * 512, (512, 9000)),
    "one-grain": patterned(GRAIN, (0, GRAIN)),
    "a-grain-and-a-sector": patterned(GRAIN + 512, (100, GRAIN + 412)),
    "odd-end": patterned(3 * MIB + 7 * 512, (0, 700_000), (3 * MIB - 9000, 9000 + 7 * 512)),
    "only-the-odd-end": patterned(2 * MIB + 512, (2 * MIB, 512)),
    "incompressible": random.Random(2).randbytes(2 * MIB),
    "one-byte-each": b"".join(bytes([n]) * GRAIN for n in range(40)),
    "several-tables": patterned(66 * MIB, (5000, 300), (40 * MIB, GRAIN), (65 * MIB + 77, 5)),
    "hole-of-a-table": patterned(97 * MIB, (31 * MIB, 2 * MIB), (96 * MIB, 70_000)),
}


@pytest.fixture(scope="module", params=sorted(DISKS))
def disk(request: pytest.FixtureRequest) -> bytes:
    return DISKS[request.param]


def test_qemu_imgs_own_streams_give_what_qemu_img_reads(tmp_path: Path, disk: bytes) -> None:
    stream = by_qemu(tmp_path, disk)
    found, told = decoded(stream, size=len(disk))
    assert found == read_by_qemu(tmp_path, stream) == disk
    assert told.length == len(stream)


@pytest.mark.parametrize("tables_last", [False, True])
@pytest.mark.parametrize("empty_tables", [False, True])
def test_streams_laid_out_as_vmwares_give_what_qemu_img_reads(
    tmp_path: Path, disk: bytes, tables_last: bool, empty_tables: bool
) -> None:
    stream = vmdk.write(disk, vmdk.Pieces(tables_last=tables_last, empty_tables=empty_tables)).data
    found, told = decoded(stream)
    assert found == read_by_qemu(tmp_path, stream) == disk
    assert told.grains == sum(bool(disk[at : at + GRAIN].strip(b"\0")) for at in range(0, len(disk), GRAIN))


@pytest.mark.parametrize("piece", [1, 511, 512, 4096, 1 << 20])
def test_the_size_of_the_pieces_that_arrive_makes_no_difference(piece: int) -> None:
    disk = patterned(3 * GRAIN, (0, 900), (2 * GRAIN, 900))
    assert decoded(vmdk.write(disk).data, piece=piece)[0] == disk


# -- cut and damaged streams ---------------------------------------------------------------------------------


def test_a_stream_cut_at_any_boundary_is_refused() -> None:
    stream = vmdk.write(DISKS["several-tables"])
    whole = bytes(stream.data)
    assert stream.ends[-1] == len(whole)
    for end in [0, *stream.ends[:-1]]:
        for cut in {end, end + 1, end + 12, end + 16, end + 511}:
            refused(whole[:cut])


def test_a_stream_without_the_marker_of_its_end_is_refused_although_all_grains_are_there() -> None:
    stream = vmdk.write(DISKS["odd-end"])
    refused(bytes(stream.data[: stream.ends[-2]]), "cut")
    refused(bytes(stream.data[: stream.ends[-4]]), "cut")


def test_a_stream_of_qemu_img_cut_before_its_last_grains_end_is_refused(tmp_path: Path) -> None:
    disk = patterned(5 * GRAIN, (0, 900), (3 * GRAIN, 30_000))
    whole = by_qemu(tmp_path, disk)
    for cut in range(0, len(whole), 512):
        try:
            found, _ = decoded(whole[:cut])
        except ProviderError:
            continue
        # What is left then is only the room that qemu-img reserves after the last grain.
        assert found == disk
        assert not whole[cut:].strip(b"\0")


@pytest.mark.parametrize("extra", [b"\0", bytes(512), bytes(70_000), b"more"])
def test_data_after_the_end_is_refused(extra: bytes) -> None:
    refused(bytes(vmdk.write(DISKS["one-grain"]).data) + extra, "follows its end")


def test_data_after_qemu_imgs_room_for_the_last_grain_is_refused(tmp_path: Path) -> None:
    stream = by_qemu(tmp_path, SMALL)
    refused(stream + bytes(GRAIN), "follows its end")
    refused(stream + b"more", "follows its end")


SMALL = patterned(4 * GRAIN + 512, (0, 700), (2 * GRAIN, 900), (4 * GRAIN, 512))
SMALL_STREAM = bytes(vmdk.write(SMALL).data)


@settings(max_examples=300, deadline=None)
@given(at=st.integers(0, len(SMALL_STREAM) - 1), bit=st.integers(0, 7))
def test_one_flipped_bit_is_refused_or_changes_nothing(at: int, bit: int) -> None:
    data = bytearray(SMALL_STREAM)
    data[at] ^= 1 << bit
    _equal_or_refused(data, SMALL)


@settings(max_examples=200, deadline=None)
@given(
    places=st.dictionaries(
        st.integers(0, len(SMALL_STREAM) - 1), st.integers(0, 255), min_size=1, max_size=40
    )
)
def test_many_damaged_bytes_are_refused_or_change_nothing(places: dict[int, int]) -> None:
    data = bytearray(SMALL_STREAM)
    for at, value in places.items():
        data[at] = value
    _equal_or_refused(data, SMALL)


@settings(max_examples=100, deadline=None)
@given(at=st.integers(0, len(SMALL_STREAM)), length=st.integers(1, 3000))
def test_a_missing_stretch_is_refused(at: int, length: int) -> None:
    data = SMALL_STREAM[:at] + SMALL_STREAM[at + length :]
    if data != SMALL_STREAM:
        _equal_or_refused(data, SMALL)


def test_every_flipped_byte_of_header_markers_and_tables_of_qemu_img_is_refused_or_changes_nothing(
    tmp_path: Path,
) -> None:
    whole = by_qemu(tmp_path, SMALL)
    data = bytearray(whole)
    places = [*range(79), *range(512, 1024, 7), *range(21 * 512, 32 * 512, 3), *range(GRAIN, GRAIN + 600)]
    for at in places:
        data[at] ^= 0x41
        _equal_or_refused(data, SMALL)
        data[at] = whole[at]


def _equal_or_refused(data: bytes | bytearray, disk: bytes) -> None:
    try:
        found, _ = decoded(bytes(data))
    except ProviderError:
        return
    assert found == disk


@settings(max_examples=30, deadline=None)
@given(
    sectors=st.integers(1, 1200),
    stretches=st.lists(st.tuples(st.integers(0, 1199), st.binary(min_size=1, max_size=600)), max_size=6),
    piece=st.integers(1000, 200_000),
)
def test_any_disk_comes_back(sectors: int, stretches: list[tuple[int, bytes]], piece: int) -> None:
    disk = bytearray(sectors * 512)
    for sector, data in stretches:
        at = sector % sectors * 512
        data = data[: len(disk) - at]
        disk[at : at + len(data)] = data
    assert decoded(bytes(vmdk.write(bytes(disk)).data), piece=piece)[0] == disk


# -- hostile streams -----------------------------------------------------------------------------------------

HEADERS: dict[str, tuple[dict[str, object], str]] = {
    "magic": ({"magic": b"COWD"}, "no VMDK"),
    "version": ({"version": 1}, "version 1"),
    "no-markers": ({"flags": 0x10001}, "not stream-optimised"),
    "not-compressed": ({"flags": 0x20001}, "not stream-optimised"),
    "zeroed-grains": ({"flags": 0x30005}, "unknown flags"),
    "line-ends": ({"line_ends": b"\n \n\n"}, "line ends"),
    "compression": ({"compression": 2}, "compression 2"),
    "grain-0": ({"grain": 0}, "grain of 0"),
    "grain-odd": ({"grain": 129}, "grain of 129"),
    "grain-huge": ({"grain": 1 << 40}, "a grain of"),
    "entries": ({"entries": 1 << 30}, "entries"),
    "no-size": ({"capacity": 0}, "without a size"),
    "too-large": ({"capacity": MAX_TABLES * 512 * 128 + 1}, "a disk of"),
    "absurd": ({"capacity": (1 << 64) - 1}, "a disk of"),
    "another-size": ({"capacity": 7}, "has not the header's"),
    "no-descriptor": ({"descriptor_at": 0, "descriptor_length": 0}, "descriptor of 0"),
    "descriptor-huge": ({"descriptor_length": 1 << 50}, "a descriptor of"),
    "descriptor-far": ({"descriptor_at": 1 << 50}, "a descriptor at"),
    "overhead-low": ({"overhead": 2}, "an overhead of"),
    "overhead-huge": ({"overhead": 1 << 60}, "an overhead of"),
    "overhead-far": ({"overhead": (1 << 32) - 1}, "cut"),
    "tables-back": ({"directory": 1}, "points back"),
    "tables-far": ({"directory": 1 << 60}, "cut"),
}


@pytest.mark.parametrize("case", sorted(HEADERS))
def test_a_hostile_header_is_refused(case: str) -> None:
    changes, word = HEADERS[case]
    refused(bytes(vmdk.write(SMALL, vmdk.Pieces(header=changes)).data), word)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"kind": "monolithicSparse"}, "createType"),
        ({"parent": "1234abcd"}, "difference to another disk"),
        ({"capacity": 8}, "has not the header's"),
        ({"capacity": '1 SPARSE "a"\nRW 1'}, "exactly one sparse extent"),
        ({"capacity": '2049 FLAT "/etc/shadow" 0\n#'}, "exactly one sparse extent"),
        ({"capacity": "9" * 400}, "exactly one sparse extent"),
        ({"kind": "\0"}, "createType"),
    ],
)
def test_a_descriptor_that_says_something_else_is_refused(changes: dict[str, object], word: str) -> None:
    refused(bytes(vmdk.write(SMALL, vmdk.Pieces(descriptor=changes)).data), word)


def test_a_disk_of_another_size_than_expected_is_refused() -> None:
    refused(SMALL_STREAM, f"its disk has {len(SMALL)} bytes, not {len(SMALL) + 512}", size=len(SMALL) + 512)


def grains(*pieces: bytes, sectors: int = 4 * 128) -> bytes:
    """A stream whose grains are `pieces`, and that ends after them."""
    start = vmdk.write(bytes(sectors * 512))
    out = vmdk.Stream(start.data[: 4 * 512])
    for piece in pieces:
        out.add(piece)
    return bytes(out.data)


FULL = bytes(range(256)) * 256


@pytest.mark.parametrize(
    ("pieces", "word"),
    [
        ([vmdk.grain(128, FULL), vmdk.grain(128, FULL)], "cannot come here"),
        ([vmdk.grain(256, FULL), vmdk.grain(128, FULL)], "cannot come here"),
        ([vmdk.grain(64, FULL)], "cannot come here"),
        ([vmdk.grain(512, FULL)], "cannot come here"),
        ([vmdk.grain(1 << 63, FULL)], "cannot come here"),
        ([vmdk.grain(0, FULL[:-512])], f"gives {GRAIN - 512} bytes"),
        ([vmdk.grain(0, FULL + b"x")], "not all of it"),
        ([vmdk.grain(0, bytes(8 * MIB))], "not all of it"),
        ([struct.pack("<QI", 0, 2 * GRAIN + 1) + bytes(3 * GRAIN)], "longer than any"),
        ([struct.pack("<QI", 0, (1 << 32) - 1) + bytes(4096)], "longer than any"),
        ([struct.pack("<QI", 0, 100) + bytes(100)], "cannot be decompressed"),
        ([struct.pack("<QI", 0, 200) + zlib.compress(FULL)[:200]], "not whole"),
        (
            [struct.pack("<QI", 0, len(zlib.compress(FULL)) + 3) + zlib.compress(FULL) + b"xyz"],
            "not all of it",
        ),
        ([vmdk.marker(7, 0)], "unknown kind 7"),
        ([vmdk.marker(1, 0)], "grain tables of 0 sectors"),
        ([vmdk.marker(1, 3)], "grain tables of 3 sectors"),
        ([vmdk.marker(1, 1 << 62)], "grain tables of"),
        ([vmdk.marker(2, 1 << 62)], "a grain directory of"),
        ([vmdk.marker(3, 1)], "the footer comes where the grain directory must come"),
        ([vmdk.marker(0, 0)], "the end of stream comes where the grain directory must come"),
    ],
)
def test_a_hostile_grain_or_marker_is_refused(pieces: list[bytes], word: str) -> None:
    refused(grains(*pieces), word)


def swap(_: int, entries: list[int]) -> list[int]:
    first, third = entries[0], entries[2]
    return [third, 0, first, *entries[3:]]


@pytest.mark.parametrize(
    ("pieces", "word"),
    [
        (vmdk.Pieces(table=lambda _, entries: [0, *entries[1:]]), "does not name the grains"),
        (vmdk.Pieces(table=lambda _, entries: [*entries[:-1], 4]), "does not name the grains"),
        (vmdk.Pieces(table=swap), "does not name the grains"),
        (vmdk.Pieces(directory=lambda entries: [0] * len(entries)), "does not name the grains"),
        (vmdk.Pieces(directory=lambda entries: [entries[0] + 1]), "misses the grain table"),
        (vmdk.Pieces(directory=lambda entries: [*entries, 0] * 200), "a grain directory of"),
        (vmdk.Pieces(footer={"directory": 4}), "footer does not fit"),
        (vmdk.Pieces(footer={"capacity": 4}), "footer does not fit"),
        (vmdk.Pieces(footer={"magic": b"xxxx"}), "header is not usable"),
    ],
)
def test_tables_that_do_not_fit_the_grains_are_refused(pieces: vmdk.Pieces, word: str) -> None:
    refused(bytes(vmdk.write(SMALL, pieces).data), word)


def test_a_table_that_the_directory_does_not_name_is_refused() -> None:
    pieces = vmdk.Pieces(empty_tables=True, directory=lambda entries: [*entries[:-1], 0])
    refused(bytes(vmdk.write(patterned(33 * MIB, (0, 700)), pieces).data), "does not name all grain tables")


def test_tables_in_front_that_name_one_grain_more_are_refused(tmp_path: Path) -> None:
    stream = bytearray(by_qemu(tmp_path, SMALL))
    (directory,) = struct.unpack_from("<Q", stream, 56)
    (table,) = struct.unpack_from("<I", stream, directory * 512)
    struct.pack_into("<I", stream, table * 512 + 4, 200)
    refused(bytes(stream), "does not name the grains")


# -- memory and the spool ------------------------------------------------------------------------------------


def test_the_memory_needed_does_not_grow_with_the_disk() -> None:
    stream = bytes(vmdk.write(random.Random(3).randbytes(16 * MIB)).data)
    gc.collect()
    tracemalloc.start()
    try:
        told = decode(Once(stream, 1 << 20), lambda *_: None)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert told.grains == 256
    assert peak - len(stream) < 4 * MIB  # the source of this test holds one copy


def test_a_bomb_costs_no_memory() -> None:
    bomb = grains(vmdk.grain(0, bytes(100 * MIB), level=9))
    gc.collect()
    tracemalloc.start()
    try:
        with pytest.raises(ProviderError):
            decode(Once(bomb), lambda *_: None)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * MIB


def test_the_spool_is_a_frozen_disk_with_its_zeros_known(tmp_path: Path) -> None:
    disk = DISKS["several-tables"]
    with spool(Once(vmdk.write(disk).data), tmp_path, key="scsi0:0", size=len(disk)) as frozen:
        assert (frozen.key, frozen.size) == ("scsi0:0", len(disk))
        assert frozen.read(0, len(disk)) == disk
        assert frozen.read(40 * MIB - 3, 9) == disk[40 * MIB - 3 : 40 * MIB + 6]
        with pytest.raises(ProviderError):
            frozen.read(len(disk) - 1, 2)
        at = data = 0
        for extent in frozen.extents():
            assert extent.offset == at
            if extent.zero:
                assert not disk[at : at + extent.length].strip(b"\0")
            else:
                data += extent.length
            at += extent.length
        assert at == len(disk)
        assert data <= 4 * GRAIN


def test_a_spool_has_no_name_and_is_gone_at_the_end(tmp_path: Path) -> None:
    with spool(Once(SMALL_STREAM), tmp_path, key="a"):
        assert list(tmp_path.iterdir()) == []
        held = [entry for entry in map(_open_file, Path("/proc/self/fd").iterdir()) if entry]
        (mode,) = [st_mode for target, st_mode in held if target.startswith(str(tmp_path))]
        assert stat.S_IMODE(mode) == 0o600
    held = [entry for entry in map(_open_file, Path("/proc/self/fd").iterdir()) if entry]
    assert not [target for target, _ in held if target.startswith(str(tmp_path))]


def _open_file(link: Path) -> tuple[str, int] | None:
    try:
        return str(link.readlink()), os.fstat(int(link.name)).st_mode
    except OSError:
        return None


def test_a_damaged_stream_gives_no_disk_and_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(ProviderError),
        spool(Once(SMALL_STREAM[:-512]), tmp_path, key="a", name="disk a of srv"),
    ):
        pytest.fail("a short disk came out")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_room_is_named(tmp_path: Path) -> None:
    stream = vmdk.write(DISKS["incompressible"]).data
    with file_limit(MIB), pytest.raises(ProviderError) as caught, spool(Once(stream), tmp_path, key="a"):
        pass
    assert str(tmp_path) in caught.value.message
    with pytest.raises(ProviderError) as caught, spool(Once(stream), tmp_path / "none", key="a"):
        pass
    assert str(tmp_path / "none") in caught.value.message


@contextmanager
def file_limit(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_the_source_raises_passes(tmp_path: Path) -> None:
    class Broken(Once):
        def read(self, size: int, /) -> bytes:
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError), spool(Broken(b""), tmp_path, key="a"):
        pass
