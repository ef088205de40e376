"""The fuzzer's cases: what is mutated, how one case is run, and what counts as a good end.

A good end is facts, or a FerryError with words for a person. Not good: any other exception, a parser of ours
that raised what it did not mean to, more time or memory than the sandbox allows.
"""

from __future__ import annotations

import mmap
import random
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from lab import images, recipe, regfile

from orchestrator.contract.provider import Extent
from orchestrator.diagnostics import FerryError
from orchestrator.guest.offline import collect_from_image, collect_offline
from orchestrator.model.facts import ServerFacts
from tests.fuzz import mutate
from tests.rigs.hivelogs import bitmap_log, dirty, entry, log
from tests.rigs.windows_disk import hive_file, volume

SLOWEST = 60.0
"""Seconds; the sandbox would allow 180."""
WORKERS = 2
CONTAINERS = {
    "qcow2": ("qcow2", "qcow2", ()),
    "qcow2 compressed": ("qcow2", "qcow2", ("-c",)),
    "vmdk": ("vmdk", "vmdk", ()),
    "vmdk stream": ("vmdk", "vmdk", ("-o", "subformat=streamOptimized")),
    "vmdk flat": ("vmdk", "vmdk", ("-o", "subformat=monolithicFlat")),
    "vhd": ("vpc", "vhd", ()),
    "vhdx": ("vhdx", "vhdx", ()),
    "vdi": ("vdi", "vdi", ()),
}


class PatchedDisk:
    """A FrozenDisk: bytes with patches laid over them, perhaps cut short."""

    key = "fuzz"

    def __init__(self, data: mutate.Data, patches: list[mutate.Patch], size: int) -> None:
        self._data, self._patches = data, patches
        self.size = size

    def read(self, offset: int, length: int) -> bytes:
        found = bytearray(self._data[offset : offset + length])
        for at, new in self._patches:
            low, high = max(at, offset), min(at + len(new), offset + length)
            if low < high:
                found[low - offset : high - offset] = new[low - at : high - at]
        return bytes(found[: self.size - offset])

    def extents(self) -> Iterator[Extent]:
        yield Extent(offset=0, length=self.size, zero=False)


@dataclass(frozen=True)
class End:
    """How a case ended ("facts" or an error's code), what is wrong with that ("": nothing), its time."""

    case: str
    how: str
    wrong: str
    seconds: float


@dataclass(frozen=True)
class Material:
    """What is mutated: disks with their structures, and image files by container."""

    disks: tuple[mutate.Terrain, ...]
    images: dict[str, tuple[Path, ...]]


def material(folder: Path) -> Material:
    """Build a server (MBR), a target (GPT) and a volume with dirty hives and logs of both formats."""
    disks = []
    for name in ("app02", "win2025-golden"):
        raw = folder / f"{name}.img"
        _convert(images.build(name, folder), "qcow2", "raw", raw)
        with raw.open("rb") as stream:  # mapped: the sparse disks need no memory
            disks.append(mutate.terrain(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)))
    disks.append(mutate.terrain(_dirty_volume()))
    return Material(tuple(disks), {name: _container(folder, name) for name in CONTAINERS})


def _dirty_volume() -> bytes:
    files: dict[str, bytes] = {}
    for name, root in recipe.load("app02").hives().items():
        if name not in ("SYSTEM", "SOFTWARE"):
            continue
        path, old = f"Windows/System32/config/{name}", hive_file(root, name)
        for key in [*root.children.values()]:
            if key.name.startswith("ControlSet"):
                key.at(r"Services\Newest").set("Start", regfile.DWORD, b"\2\0\0\0")
                key.at(r"Services\Newest").set("Type", regfile.DWORD, b"\x10\0\0\0")
        new = hive_file(root, name)
        old = old.ljust(len(new), b"\0")
        files[path] = dirty(old)
        if name == "SYSTEM":
            files |= {
                f"{path}.LOG1": log(old, entry(10, old), entry(11, new)),
                f"{path}.LOG2": log(old, entry(12, new)),
            }
        else:
            files[f"{path}.LOG1"] = bitmap_log(old, new)
    return volume(files)


def _container(folder: Path, name: str) -> tuple[Path, ...]:
    """Make the files of an image. The first one is the image."""
    fmt, suffix, options = CONTAINERS[name]
    image = folder / name / f"disk.{suffix}"
    image.parent.mkdir()
    _convert(folder / "app02.img", "raw", fmt, image, *options)
    return image, *sorted(path for path in image.parent.iterdir() if path != image)


def _convert(source: Path, old: str, new: str, target: Path, *options: str) -> None:
    command = ["qemu-img", "convert", "-f", old, "-O", new, *options, source, target]
    subprocess.run(command, check=True, timeout=60)


def run(one: Material, seed: int) -> End:
    """Run the case of this number: three of four mutate a disk's content, the fourth an image file."""
    chance = random.Random(seed)
    begun = time.monotonic()
    name, how, wrong = (_image_case if seed % 4 == 3 else _disk_case)(one, seed, chance)
    seconds = time.monotonic() - begun
    if seconds > SLOWEST and not wrong:
        wrong = f"it took {seconds:.0f} seconds"
    return End(f"seed {seed}, {name}", how, wrong, seconds)


def run_all(one: Material, seeds: range) -> list[End]:
    """Run many cases, two at a time."""
    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(lambda seed: run(one, seed), seeds))


def _disk_case(one: Material, seed: int, chance: random.Random) -> tuple[str, str, str]:
    mutators = mutate.DISK_MUTATORS
    mutator = mutators[seed // 4 % len(mutators)]
    # Logs are on the last disk only.
    land = one.disks[-1] if mutator in (mutate.log_entry, mutate.log_bytes) else chance.choice(one.disks)
    patches = list(mutator(chance, land))
    size = len(land.data)
    if chance.random() < 0.08:
        size = chance.randrange(0, size, mutate.SECTOR)
    return (mutator.__name__, *ended(lambda: collect_offline([PatchedDisk(land.data, patches, size)])))


def _image_case(one: Material, seed: int, chance: random.Random) -> tuple[str, str, str]:
    name = list(CONTAINERS)[seed // 4 % len(CONTAINERS)]
    fmt = CONTAINERS[name][0]
    image, *others = one.images[name]
    with tempfile.TemporaryDirectory(dir=image.parent) as scratch:
        mutated = Path(scratch) / image.name
        data = bytearray(image.read_bytes())
        how = mutate.descriptor if fmt == "vmdk" and chance.random() < 0.6 else mutate.container
        how(chance, data)
        mutated.write_bytes(data)
        for other in others:  # large, and nobody writes them
            (Path(scratch) / other.name).hardlink_to(other)
        given = fmt if chance.random() < 0.7 else None
        return (name, *ended(lambda: collect_from_image(mutated, given)))


def ended(call: Callable[[], object]) -> tuple[str, str]:
    """Return how it ended and what is wrong with that."""
    try:
        found = call()
    except FerryError as fault:
        return fault.code or type(fault).__name__, _fault_of(fault)
    except Exception as fault:  # what must never happen, whatever it is
        return "escaped", f"{type(fault).__name__}: {fault}"
    return "facts", "" if isinstance(found, ServerFacts) else "no facts"


def _fault_of(fault: FerryError) -> str:
    text = str(fault)
    if not fault.message or "Traceback" in text or "root:" in text:
        return f"its words are not fit for a person: {text!r}"
    if "it failed: " in fault.message:
        return f"a parser of ours raised what it did not mean to: {fault.message}"
    return ""
