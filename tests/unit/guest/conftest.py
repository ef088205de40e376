"""Makes hives and NTFS disks for the tests of guest facts, with the lab's own builder where it can."""

import lzma
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.contract.provider import Extent
from orchestrator.guest.registry import REG_BINARY, REG_DWORD, REG_MULTI_SZ, REG_SZ, RegistryValue

ROOT = Path(__file__).parents[3]
LAB = ROOT / "examples" / "kvm-lab"
if str(LAB) not in sys.path:
    sys.path.insert(0, str(LAB))

from lab import hive, images, programs, regfile  # noqa: E402

FILETIME = 134_000_000_000_000_000
MIB = 1024 * 1024
Plain = int | str | bytes | list[str]
Values = dict[str, Plain]
"""Values of one key: an int is a REG_DWORD, a text a REG_SZ, bytes a REG_BINARY, a list a REG_MULTI_SZ."""


def stored(value: Plain) -> RegistryValue:
    if isinstance(value, int):
        return RegistryValue(REG_DWORD, value.to_bytes(4, "little"))
    if isinstance(value, bytes):
        return RegistryValue(REG_BINARY, value)
    if isinstance(value, list):
        return RegistryValue(REG_MULTI_SZ, "".join(f"{text}\0" for text in [*value, ""]).encode("utf-16-le"))
    return RegistryValue(REG_SZ, f"{value}\0".encode("utf-16-le"))


class FakeKey:
    """A registry key from a dictionary of paths."""

    def __init__(self, tree: dict[str, Values], path: str = "") -> None:
        self._tree, self._path = tree, path
        self.name = path.rsplit("\\", 1)[-1]

    def subkey(self, path: str) -> "FakeKey | None":
        full = f"{self._path}\\{path}".strip("\\").lower()
        found = next((key for key in self._tree if (key.lower() + "\\").startswith(full + "\\")), None)
        return FakeKey(self._tree, found[: len(full)]) if found else None

    def subkeys(self) -> Iterator["FakeKey"]:
        prefix = self._path + "\\" if self._path else ""
        below = [
            key[len(prefix) :].split("\\")[0]
            for key in self._tree
            if key.startswith(prefix) and key != prefix
        ]
        return (FakeKey(self._tree, prefix + name) for name in dict.fromkeys(below) if name)

    def values(self) -> dict[str, RegistryValue]:
        return {name.lower(): stored(value) for name, value in self._tree.get(self._path, {}).items()}

    def value_names(self) -> tuple[str, ...]:
        return tuple(self._tree.get(self._path, {}))


class MemoryDisk:
    """A FrozenDisk in memory."""

    key = "memory"

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read(self, offset: int, length: int) -> bytes:
        assert 0 <= offset <= offset + length <= self.size
        return self._data[offset : offset + length]

    def extents(self) -> Iterator[Extent]:
        yield Extent(offset=0, length=self.size, zero=False)


@pytest.fixture(scope="session")
def key() -> Callable[[dict[str, Values]], FakeKey]:
    """Make a registry key from {path: {name: value}}."""
    return FakeKey


@pytest.fixture(scope="session")
def make_hive(tmp_path_factory: pytest.TempPathFactory) -> Callable[[dict[str, Values]], bytes]:
    """Make a real hive file from {path: {name: value}}, through hivexregedit."""
    folder = tmp_path_factory.mktemp("hives")

    def make(tree: dict[str, Values]) -> bytes:
        root = regfile.Key("")
        for path, values in tree.items():
            at = root.at(path)
            for name, value in values.items():
                at.set(name, *stored(value))
        hive.write(folder / "HIVE", root, FILETIME)
        return (folder / "HIVE").read_bytes()

    return make


@pytest.fixture(scope="session")
def make_disk(tmp_path_factory: pytest.TempPathFactory) -> Callable[[dict[str, bytes]], MemoryDisk]:
    """Make a disk without a partition table: one NTFS volume that holds {path: content}."""

    def make(files: dict[str, bytes]) -> MemoryDisk:
        folder = tmp_path_factory.mktemp("disk")
        for path, content in files.items():
            file = folder / "tree" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        volume, archive = folder / "volume", folder / "tree.wim"
        with volume.open("wb") as stream:
            stream.truncate(24 * MIB)
        programs.run("mkntfs", "-F", "-Q", "-q", "-s", "512", volume)
        programs.run("wimlib-imagex", "capture", folder / "tree", archive, "--compress=none", "--no-acls")
        programs.run("wimlib-imagex", "apply", archive, "1", volume)
        return MemoryDisk(volume.read_bytes())

    return make


@pytest.fixture(scope="session")
def memory_disk() -> type[MemoryDisk]:
    """The class of in-memory disks."""
    return MemoryDisk


@pytest.fixture(scope="session")
def lab_image(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Build a server of the lab, once for all tests."""
    folder = tmp_path_factory.mktemp("lab")

    def build(name: str) -> Path:
        return (
            images.image_path(name, folder) if images.is_current(name, folder) else images.build(name, folder)
        )

    return build


@pytest.fixture(scope="session")
def real_hive() -> Callable[[str], bytes]:
    """Read one of the real hives that are kept beside the project; skip by name without them."""
    folder = Path(os.environ.get("FERRY_TEST_HIVES", ROOT.parent / "shared" / "hives"))

    def read(name: str) -> bytes:
        path = folder / f"{name}.xz"
        if not path.is_file():
            pytest.skip(
                f"the real hive {name} is not here: FERRY_TEST_HIVES names the folder that holds {name}.xz"
            )
        return lzma.decompress(path.read_bytes())

    return read
