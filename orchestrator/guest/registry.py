"""What the fact functions need of a registry key, wherever it comes from: a hive, or an export made in the
guest.

Nothing here raises on odd data: a value of another type or length than Windows writes is as good as absent.
"""

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

REG_SZ, REG_EXPAND_SZ, REG_BINARY, REG_DWORD, REG_MULTI_SZ = 1, 2, 3, 4, 7
_TEXTS = frozenset({REG_SZ, REG_EXPAND_SZ})


class RegistryValue(NamedTuple):
    """A value as stored: its REG_ type and its bytes."""

    type: int
    data: bytes


class RegistryKey(Protocol):
    """A key. Names are compared as Windows does: without regard to case."""

    @property
    def name(self) -> str: ...
    def subkey(self, path: str) -> "RegistryKey | None":
        """Return the key at `path` below this one ("A\\B"), or None."""
        ...

    def subkeys(self) -> "Iterator[RegistryKey]":
        """Yield the keys right below, in the hive's order."""
        ...

    def values(self) -> dict[str, RegistryValue]:
        """Return all values by their names in lower case; the default value is ""."""
        ...

    def value_names(self) -> tuple[str, ...]:
        """Return the names of all values as written, in the hive's order."""
        ...


def text(key: RegistryKey | None, name: str) -> str | None:
    """Return a REG_SZ or REG_EXPAND_SZ, unexpanded, up to its first NUL."""
    value = key.values().get(name.lower()) if key else None
    if value is None or value.type not in _TEXTS:
        return None
    return utf16(value.data).split("\0", 1)[0]


def number(key: RegistryKey | None, name: str) -> int | None:
    """Return a REG_DWORD."""
    value = key.values().get(name.lower()) if key else None
    if value is None or value.type != REG_DWORD or len(value.data) != 4:
        return None
    return int.from_bytes(value.data, "little")


def binary(key: RegistryKey | None, name: str, limit: int = 65536) -> bytes:
    """Return a value's bytes whatever its type, b"" where it is absent or longer than `limit`."""
    value = key.values().get(name.lower()) if key else None
    return value.data if value and len(value.data) <= limit else b""


def flag(key: RegistryKey | None, name: str) -> bool | None:
    """Return a REG_DWORD as a switch; None where it is not set."""
    found = number(key, name)
    return None if found is None else bool(found)


def subkeys(key: RegistryKey | None, path: str) -> "Iterator[RegistryKey]":
    """Yield the keys right below `path`; none where it or `key` is not there."""
    found = key.subkey(path) if key else None
    if found is not None:
        yield from found.subkeys()


def texts(key: RegistryKey | None, name: str) -> tuple[str, ...]:
    """Return the non-empty strings of a REG_MULTI_SZ; a plain REG_SZ is a list of one."""
    value = key.values().get(name.lower()) if key else None
    return strings(value) if value else ()


def strings(value: RegistryValue) -> tuple[str, ...]:
    """Return the non-empty strings of a REG_MULTI_SZ or text value; of any other type, none."""
    if value.type in _TEXTS:
        parts = [utf16(value.data).split("\0", 1)[0]]
    elif value.type == REG_MULTI_SZ:
        parts = utf16(value.data).split("\0")
    else:
        return ()
    return tuple(part for part in parts if part)


def utf16(data: bytes) -> str:
    """Decode UTF-16LE; what is not valid becomes U+FFFD."""
    return data.decode("utf-16-le", "replace")
