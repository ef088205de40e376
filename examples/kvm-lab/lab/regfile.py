"""Reads registry text (.reg) layer upon layer and writes it out so that hivexregedit takes every byte of it.

The text is REGEDIT5 in UTF-8 with three forms more, so that a person can read what a server has:
  str(N):"text"        text of type N (2 = REG_EXPAND_SZ); hivexregedit knows it too
  str(7):"one","two"   REG_MULTI_SZ
  sd:"(A;;0x..;;;S-1-..)"   a security descriptor as REG_BINARY (see security.py)
hivexregedit by itself garbles text beyond ASCII, cannot write REG_MULTI_SZ as text, and wants each parent key
spelled out; hence values go to it as hex and keys as a tree. This module runs no program and touches no hive.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lab.programs import LabError
from lab.security import descriptor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BINARY, DWORD, SZ, EXPAND_SZ, MULTI_SZ = 3, 4, 1, 2, 7

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_KEY = re.compile(r"\[(?P<minus>-?)(?P<path>[^\[\]].*)\]")
_LINE = re.compile(rf"(?P<name>@|{_QUOTED})=(?P<data>.*)")
_STR = re.compile(rf"(?:str\((?P<kind>[0-9a-f]+)\):)?(?P<items>{_QUOTED}(?:,{_QUOTED})*)")
_HEX = re.compile(
    r"hex(?:\((?P<kind>[0-9a-f]+)\))?:(?P<digits>(?:[0-9a-f]{2}(?:,[0-9a-f]{2})*)?)", re.IGNORECASE
)


@dataclass(frozen=True)
class Value:
    """One registry value: its name as spelled ("" is the default value), type number and raw data."""

    name: str
    type: int
    data: bytes


@dataclass
class Key:
    """One key; children and values are found regardless of case, as Windows does."""

    name: str
    children: dict[str, Key] = field(default_factory=dict)
    values: dict[str, Value] = field(default_factory=dict)

    def at(self, path: str) -> Key:
        """The key below this one at path (parts divided by backslashes), made where it is missing."""
        key = self
        for part in filter(None, path.split("\\")):
            key = key.children.setdefault(part.casefold(), Key(part))
        return key

    def set(self, name: str, kind: int, data: bytes) -> None:
        """Set a value, replacing one of the same name."""
        self.values[name.casefold()] = Value(name, kind, data)

    def drop(self, path: str) -> None:
        """Remove the key at path with all below it; no error if it is not there."""
        parent, _, last = path.rpartition("\\")
        self.at(parent).children.pop(last.casefold(), None)

    def walk(self, path: str = "") -> Iterator[tuple[str, Key]]:
        """Every key below this one with its path, parents first, siblings in order of name."""
        for _, child in sorted(self.children.items()):
            below = f"{path}\\{child.name}"
            yield below, child
            yield from child.walk(below)


def text(value: str) -> bytes:
    """A string as Windows stores it: UTF-16 with its terminating zero."""
    return f"{value}\0".encode("utf-16-le")


def multi(values: list[str]) -> bytes:
    """REG_MULTI_SZ data."""
    return "".join(f"{value}\0" for value in [*values, ""]).encode("utf-16-le")


def merge(path: Path, prefix: str, root: Key) -> None:
    """Merge one .reg file onto root, later lines winning; its keys must all lie below prefix.

    "[-KEY]" removes a key, "NAME"=- a value. LabError with file and line for whatever cannot be read.
    """
    key: Key | None = None
    for number, line in _logical_lines(path):
        try:
            key = _apply(line, prefix, root, key)
        except ValueError as problem:
            msg = f"{path}:{number}: {problem}"
            raise LabError(msg) from problem


def dump(root: Key) -> str:
    """The whole tree as text for hivexregedit --merge."""
    blocks = ["Windows Registry Editor Version 5.00\n"]
    for path, key in root.walk():
        values = [_dump_value(value) for _, value in sorted(key.values.items())]
        blocks.append("".join(line + "\n" for line in [f"[{path}]", *values]))
    return "\n".join(blocks) + "\n"


def _dump_value(value: Value) -> str:
    escaped = value.name.replace("\\", "\\\\").replace('"', '\\"')
    name = f'"{escaped}"' if value.name else "@"
    return f"{name}=hex({value.type:x}):{value.data.hex(',')}"


def _logical_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines without comments and blanks, continued ones joined, each with the number of its first line."""
    held, start = "", 0
    for number, raw in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        line = raw.strip()
        if not held and (not line or line.startswith(";") or line.startswith("Windows Registry Editor")):
            continue
        start = start if held else number
        if line.endswith(",\\"):
            held += line[:-1]
            continue
        yield start, held + line
        held = ""
    if held:
        msg = f"{path}:{start}: the line ends in a backslash but the file ends after it"
        raise LabError(msg)


def _apply(line: str, prefix: str, root: Key, key: Key | None) -> Key | None:
    if header := _KEY.fullmatch(line):
        below = _below(header["path"], prefix)
        if header["minus"]:
            root.drop(below)
            return None
        return root.at(below)
    match = _LINE.fullmatch(line)
    if match is None:
        msg = f'expected [KEY], "NAME"=VALUE or a comment with ; but found {line[:60]!r}'
        raise ValueError(msg)
    if key is None:
        msg = "a value stands before any [KEY]"
        raise ValueError(msg)
    name = "" if match["name"] == "@" else _unquote(match["name"])
    if match["data"] == "-":
        key.values.pop(name.casefold(), None)
    else:
        key.set(name, *_value(match["data"]))
    return key


def _below(path: str, prefix: str) -> str:
    if path.casefold() != prefix.casefold() and not path.casefold().startswith(prefix.casefold() + "\\"):
        msg = f"this file may only hold keys below {prefix}, not {path}"
        raise ValueError(msg)
    return path[len(prefix) + 1 :]


def _value(data: str) -> tuple[int, bytes]:
    if re.fullmatch(r"dword:[0-9a-fA-F]{8}", data):
        return DWORD, int(data[6:], 16).to_bytes(4, "little")
    if match := _HEX.fullmatch(data):
        return int(match["kind"] or "3", 16), bytes.fromhex(match["digits"].replace(",", ""))
    if match := re.fullmatch(rf"sd:(?P<aces>{_QUOTED})", data):
        return BINARY, descriptor(_unquote(match["aces"]))
    if match := _STR.fullmatch(data):
        items = [_unquote(item) for item in re.findall(_QUOTED, match["items"])]
        kind = int(match["kind"] or "1", 16)
        if kind == MULTI_SZ:
            return kind, multi(items)
        if len(items) == 1:
            return kind, text(items[0])
    msg = f"cannot read the value {data[:60]!r}"
    raise ValueError(msg)


def _unquote(quoted: str) -> str:
    return re.sub(r"\\(.)", r"\1", quoted[1:-1])
