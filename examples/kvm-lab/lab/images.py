"""Builds the lab's disk images: a server's recipe becomes hives, files, NTFS, partition table, image file.

No root, no mount, no Windows media. An image is written beside its final name and renamed; what it was built
from stands in NAME.recipe.json beside it, so that an unchanged one is not built again. The images are for
reading and for VMs that do not boot Windows: no part of Windows is in them.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lab import accounts, hive, programs, recipe
from lab.disklayout import MIB, SECTOR

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from lab.disklayout import Partition

names = recipe.names

_CODE = Path(__file__).resolve().parent
_CODE_FILES = (
    "accounts",
    "disklayout",
    "hive",
    "images",
    "programs",
    "recipe",
    "regfile",
    "security",
    "tree",
)
_SUFFIXES = {"qcow2": "qcow2", "raw": "img", "vpc": "vhd", "vmdk": "vmdk"}
_CONFIG = "Windows/System32/config"
_SECONDS_1601_TO_1970 = 11_644_473_600


def image_path(name: str, out: Path) -> Path:
    """Where build() puts the image of this name."""
    return out / f"{name}.{_SUFFIXES[recipe.load(name).disk.format]}"


def recipe_digest(name: str) -> str:
    """SHA-256 (hex) over all that decides the content of this image."""
    return recipe.load(name).digest([_CODE / f"{module}.py" for module in _CODE_FILES])


def is_current(name: str, out: Path) -> bool:
    """Whether the image is there and was built from the recipe as it is now."""
    try:
        stamp = json.loads(_stamp_path(name, out).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return False
    return image_path(name, out).is_file() and stamp.get("recipe") == recipe_digest(name)


def build(name: str, out: Path) -> Path:
    """Build the image of this name in folder out, unless one of the same recipe is there; return its path.

    LabError for an unknown name, a missing program or an unreadable recipe; nothing is left half-written.
    A VM that writes to the image makes it differ from its recipe unseen: give VMs a copy or an overlay.
    """
    image = image_path(name, out)
    if is_current(name, out):
        return image
    programs.require()
    out.mkdir(parents=True, exist_ok=True)
    wanted, digest = recipe.load(name), recipe_digest(name)
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=out) as scratch:
        built = _assemble(wanted, Path(scratch))
        stamp = Path(scratch) / "stamp.json"
        content = {"name": name, "about": wanted.about, "recipe": digest}
        stamp.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        # In this order: stopped in between, it leaves an image without a stamp, never one with a false one.
        _stamp_path(name, out).unlink(missing_ok=True)
        built.replace(image)
        stamp.replace(_stamp_path(name, out))
    return image


def _assemble(wanted: recipe.Recipe, scratch: Path) -> Path:
    disk = wanted.disk
    raw = scratch / "disk.raw"
    with raw.open("wb") as whole:
        whole.truncate(disk.sectors * SECTOR)
        for offset, content in disk.table_writes():
            whole.seek(offset)
            whole.write(content)
        trees = wanted.trees()
        for partition, start in zip(disk.partitions, disk.starts(), strict=True):
            if partition.kind != "ntfs":
                continue
            folder = scratch / partition.name
            folder.mkdir()
            if partition.letter == "C":
                _write_hives(wanted, folder / _CONFIG)
            trees[partition.name].write(folder, wanted.written.timestamp())
            _copy_data(_ntfs(partition, start, folder, scratch), whole.fileno(), start * SECTOR)
    if disk.format == "raw":
        return raw
    image = scratch / "disk.image"
    programs.run("qemu-img", "convert", "-f", "raw", "-O", disk.format, raw, image)
    return image


def _write_hives(wanted: recipe.Recipe, config: Path) -> None:
    filetime = _filetime(wanted.written)
    roots = wanted.hives()
    for name, where in wanted.disk.mounted_devices().items():
        roots["SYSTEM"].at("MountedDevices").set(name, accounts.BINARY, where)
    accounts.fill_sam(roots["SAM"], wanted.accounts, filetime)
    accounts.fill_security(roots["SECURITY"], wanted.accounts)
    (config / "RegBack").mkdir(parents=True)
    for name, root in roots.items():
        hive.write(config / name, root, filetime)
        # A hive that was closed properly has logs with nothing to replay.
        for log in ("LOG1", "LOG2"):
            (config / f"{name}.{log}").touch()


def _ntfs(partition: Partition, start: int, folder: Path, scratch: Path) -> Path:
    """A file with the NTFS of one partition, holding what is in folder."""
    volume = scratch / f"{partition.name}.ntfs"
    with volume.open("wb") as file:
        file.truncate(partition.mib * MIB)
    geometry = ["-s", str(SECTOR), "-p", str(start), "-H", "255", "-S", "63"]
    programs.run("mkntfs", "-F", "-Q", "-q", *geometry, "-L", partition.label, volume)
    archive = scratch / f"{partition.name}.wim"
    programs.run("wimlib-imagex", "capture", folder, archive, "--compress=none", "--no-acls")
    programs.run("wimlib-imagex", "apply", archive, "1", volume)
    return volume


def _copy_data(source: Path, target: int, offset: int) -> None:
    """Copy the parts of source that hold data to offset in target, leaving its holes as holes."""
    with source.open("rb") as file:
        for start, end in _data_ranges(file.fileno()):
            position = start
            while position < end:
                block = os.pread(file.fileno(), min(MIB, end - position), position)
                os.pwrite(target, block, offset + position)
                position += len(block)


def _data_ranges(file: int) -> Iterator[tuple[int, int]]:
    size, position = os.fstat(file).st_size, 0
    while position < size:
        try:
            start = os.lseek(file, position, os.SEEK_DATA)
        except OSError:  # ENXIO: only a hole is left
            return
        position = os.lseek(file, start, os.SEEK_HOLE)
        yield start, position


def _filetime(time: datetime) -> int:
    """100 ns since 1601."""
    return (int(time.timestamp()) + _SECONDS_1601_TO_1970) * 10_000_000


def _stamp_path(name: str, out: Path) -> Path:
    return out / f"{name}.recipe.json"
