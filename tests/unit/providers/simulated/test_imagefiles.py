"""Raw images: copies are equal and sparse, extents cover, and an open frozen disk is not disturbed by what
happens to the file."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.contract.conformance.support import refused
from orchestrator.contract.errors import ErrorKind
from providers.simulated.imagefiles import FrozenFile, copy_sparse, create_sparse, data_map, leftovers

BLOCK = 64 * 1024


@given(st.lists(st.booleans(), max_size=12), st.integers(0, BLOCK - 1))
def test_copy_is_equal_and_extents_cover(tmp_path_factory, blocks, tail):
    folder = tmp_path_factory.mktemp("images")
    source, target = folder / "source", folder / "target"
    size = len(blocks) * BLOCK + tail
    create_sparse(source, size)
    with source.open("r+b") as file:
        for number, data in enumerate(blocks):
            if data:
                file.seek(number * BLOCK)
                file.write(os.urandom(BLOCK))
    copy_sparse(source, target)
    assert target.read_bytes() == source.read_bytes()
    assert target.stat().st_blocks <= source.stat().st_blocks
    with target.open("rb") as file:
        extents = list(data_map(file.fileno(), size))
    assert sum(extent.length for extent in extents) == size
    assert [e.offset for e in extents] == [sum(x.length for x in extents[:n]) for n in range(len(extents))]
    assert leftovers(target) == [str(target)]


def test_create_does_not_overwrite(tmp_path):
    create_sparse(tmp_path / "image", 512)
    with pytest.raises(FileExistsError):
        create_sparse(tmp_path / "image", 512)


def test_open_disk_shows_the_same_bytes_after_its_file_was_replaced(tmp_path):
    image = tmp_path / "image"
    image.write_bytes(b"old" * 512)
    with image.open("rb") as file:
        disk = FrozenFile("hda", file.fileno(), 2048)
        (tmp_path / "new").write_bytes(b"new" * 512)
        (tmp_path / "new").replace(image)
        assert disk.read(0, 3) == b"old"
        assert disk.read(1530, 518) == b"old" * 2 + bytes(512)
        assert sum(extent.length for extent in disk.extents()) == disk.size == 2048


@pytest.mark.parametrize(("offset", "length"), [(0, 513), (512, 1), (-1, 1), (0, -1)])
def test_reading_outside_is_refused(tmp_path, offset, length):
    (tmp_path / "image").write_bytes(bytes(512))
    with (tmp_path / "image").open("rb") as file, refused(ErrorKind.PERMANENT):
        FrozenFile("hda", file.fileno(), 512).read(offset, length)
