"""Makes NTFS volumes and hives that hold what a test wants, with the lab's own builder."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from lab import hive, programs, regfile

FILETIME = 134_000_000_000_000_000
MIB = 1024 * 1024


def volume(files: Mapping[str, bytes], mib: int = 24) -> bytes:
    """Return an NTFS volume with these files ("Windows/x" to content)."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for path, content in files.items():
            file = folder / "tree" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        made, archive = folder / "volume", folder / "tree.wim"
        with made.open("wb") as stream:
            stream.truncate(mib * MIB)
        programs.run("mkntfs", "-F", "-Q", "-q", "-s", "512", made)
        programs.run("wimlib-imagex", "capture", folder / "tree", archive, "--compress=none", "--no-acls")
        programs.run("wimlib-imagex", "apply", archive, "1", made)
        return made.read_bytes()


def hive_file(root: regfile.Key, name: str = "HIVE") -> bytes:
    """Return the hive file of a tree of keys."""
    with tempfile.TemporaryDirectory() as scratch:
        hive.write(Path(scratch) / name, root, FILETIME)
        return (Path(scratch) / name).read_bytes()
