"""Second opinions on hives: hivex and libregf read the same bytes; all that they see is made comparable."""

from __future__ import annotations

import hashlib
import io
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyregf

from orchestrator.guest.offline.hive import Hive, HiveKey

HIVEX = """
import hashlib, sys, hivex
h = hivex.Hivex(sys.argv[1])
def walk(node, path):
    for value in h.node_values(node):
        kind, data = h.value_value(value)
        rows.append(f"{path}|{h.value_key(value)}|{kind}|{hashlib.sha256(data).hexdigest()}")
    for child in h.node_children(node):
        name = h.node_name(child)
        rows.append(f"{path}|{name}")
        walk(child, path + "/" + name)
rows = []
walk(h.root(), "")
print(hashlib.sha256("\\n".join(sorted(rows)).encode("utf-8", "replace")).hexdigest())
"""


def ours(key: HiveKey, path: str = "") -> Iterator[tuple[str, str, int, bytes]]:
    values = key.values()
    for name in key.value_names():
        value = values[name.lower()]
        yield path, name, value.type, value.data
    for child in key.subkeys():
        yield path, child.name, -1, b""
        yield from ours(child, f"{path}/{child.name}")


def libregf(key: Any, path: str = "") -> Iterator[tuple[str, str, int, bytes]]:
    for value in key.values:
        yield path, value.name or "", value.type, value.data or b""
    for child in key.sub_keys:
        yield path, child.name, -1, b""
        yield from libregf(child, f"{path}/{child.name}")


def read_by_libregf(data: bytes) -> list[tuple[str, str, int, bytes]]:
    file = pyregf.file()
    file.open_file_object(io.BytesIO(data))
    return comparable(libregf(file.get_root_key()))


def comparable(rows: Iterable[tuple[str, str, int, bytes]]) -> list[tuple[str, str, int, bytes]]:
    """Leave out content that libregf changes: it cuts texts and gives zeros for short values."""
    changed = (1, 2)
    return sorted(
        (path, name, kind, b"" if kind in changed or len(data) < 4 else data)
        for path, name, kind, data in rows
    )


def digest_by_hivex(data: bytes, folder: Path) -> str:
    path = folder / "HIVE"
    path.write_bytes(data)
    command = ["/usr/bin/python3", "-c", HIVEX, str(path)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


def our_digest(data: bytes) -> str:
    rows = (
        f"{path}|{name}" if kind < 0 else f"{path}|{name}|{kind}|{hashlib.sha256(content).hexdigest()}"
        for path, name, kind, content in ours(Hive(data).root())
    )
    return hashlib.sha256("\n".join(sorted(rows)).encode("utf-8", "replace")).hexdigest()
