"""Reads what `reg export` writes (REGEDIT5) and gives its keys as `guest.registry.RegistryKey`.

The text is hostile: nothing here raises on it. A line that is none of the format's is counted and passed
over, and a value that cannot be read is as good as absent.
"""

import re
from collections.abc import Iterable, Iterator

from orchestrator.guest.registry import REG_DWORD, REG_SZ, RegistryValue

_BINARY = 3
_MAX_KEYS = 400_000
_MAX_DEPTH = 64
_VALUE = re.compile(r'(?:@|"((?:[^"\\]|\\.)*)")=(.*)', re.DOTALL)
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_HEX = re.compile(r"hex(?:\(([0-9a-fA-F]{1,8})\))?:([0-9a-fA-F,\s]*)")
_DWORD = re.compile(r"dword:([0-9a-fA-F]{1,8})")
_NAME = r'(?:@|"(?:[^"\\]|\\.)*")='
_HEX_BEGINS = re.compile(rf"{_NAME}hex(?:\([0-9a-fA-F]+\))?:")
_OPEN_TEXT = re.compile(rf'{_NAME}"(?:[^"\\]|\\.)*\\?')
_CLOSES = re.compile(r'(?:[^"\\]|\\.)*"')
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


class TextKey:
    """A key out of exported text; implements RegistryKey."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._children: dict[str, TextKey] = {}
        self._values: dict[str, RegistryValue] = {}
        self._names: dict[str, str] = {}

    def subkey(self, path: str) -> "TextKey | None":
        """See RegistryKey."""
        key: TextKey | None = self
        for part in path.split("\\"):
            key = key._children.get(part.lower()) if key and part else key
        return key

    def subkeys(self) -> Iterator["TextKey"]:
        """See RegistryKey."""
        yield from self._children.values()

    def values(self) -> dict[str, RegistryValue]:
        """See RegistryKey."""
        return self._values

    def value_names(self) -> tuple[str, ...]:
        """See RegistryKey."""
        return tuple(self._names.values())

    def make(self, path: str) -> "TextKey":
        """Return the key at `path` below this one, made where it is missing."""
        key = self
        for part in path.split("\\")[:_MAX_DEPTH]:
            key = key._children.setdefault(part.lower(), TextKey(part)) if part else key
        return key

    def put(self, name: str, value: RegistryValue) -> None:
        """Set a value."""
        self._values[name.lower()] = value
        self._names.setdefault(name.lower(), name)


def read_export(lines: Iterable[str], into: TextKey) -> int:
    """Add the keys and values of exported lines to `into`, the root above "HKEY_LOCAL_MACHINE"; return how
    many lines made no sense."""
    key: TextKey | None = None
    odd = made = 0
    for line in _whole(lines):
        if not line.strip() or line.startswith(("Windows Registry Editor", ";", "\ufeff")):
            continue
        if line.startswith("[") and line.rstrip().endswith("]"):
            made += 1
            key = into.make(line.rstrip()[1:-1]) if made <= _MAX_KEYS else None
        elif key is None or not _put(key, line):
            odd += 1
    return odd


def _whole(lines: Iterable[str]) -> Iterator[str]:
    """Yield logical lines: hex goes on after a backslash at the line's end, text until its quote closes."""
    parts: list[str] = []
    more = False
    for line in lines:
        if not parts:
            more = _HEX_BEGINS.match(line) is not None
            if _OPEN_TEXT.fullmatch(line):
                parts.append(line)
                continue
        if more:
            parts.append(line.strip().removesuffix("\\"))
            if line.rstrip().endswith("\\"):
                continue
        else:
            parts.append(line if not parts else f"\n{line}")
            if len(parts) > 1 and not _CLOSES.match(line):
                continue
        yield "".join(parts)
        parts = []
    if parts:
        yield "".join(parts)


def _put(key: TextKey, line: str) -> bool:
    found = _VALUE.fullmatch(line)
    value = _value(found[2].strip()) if found else None
    if found is None or value is None:
        return False
    key.put(_plain(found[1] or ""), value)
    return True


def _value(data: str) -> RegistryValue | None:
    if found := _TEXT.fullmatch(data):
        return RegistryValue(REG_SZ, f"{_plain(found[1])}\0".encode("utf-16-le", "surrogatepass"))
    if found := _DWORD.fullmatch(data):
        return RegistryValue(REG_DWORD, int(found[1], 16).to_bytes(4, "little"))
    if found := _HEX.fullmatch(data):
        try:
            content = bytes.fromhex("".join(found[2].replace(",", " ").split()))
        except ValueError:
            return None
        return RegistryValue(int(found[1], 16) if found[1] else _BINARY, content)
    return None


def _plain(text: str) -> str:
    return _ESCAPED.sub(r"\1", text)
