"""Local users and groups from the SAM hive.

It reads names, comments, numbers, the "disabled" bit and memberships. It must never read a password hash:
of a user's value V only the first four entries of its table are ever looked at, and hashes come later.

The shapes (tables of offset, length and one more word, then the contents) are not documented; they are as
measured on a real client's hive.
"""

import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from orchestrator.guest.clean import LINE, NAME, clean
from orchestrator.guest.facts.sids import account_name, sid_at
from orchestrator.guest.registry import RegistryKey, binary, subkeys, utf16
from orchestrator.model.facts import Group, User

_ACCOUNT, _BUILTIN = r"SAM\Domains\Account", r"SAM\Domains\Builtin"
_USER_HEAP = 0xCC
_GROUP_TABLE, _GROUP_HEAP = 4, 0x34
_NAME, _SECOND, _THIRD = 1, 2, 3
_FLAGS_AT = 0x38
_DISABLED = 0x0001
_MAX_ACCOUNTS = 20_000
_MAX_MEMBERS = 20_000


class _Table(NamedTuple):
    """A value that starts with a table, and where table and contents begin."""

    data: bytes
    at: int
    heap: int

    def entry(self, index: int) -> bytes:
        place = self.at + 12 * index
        if place + 12 > len(self.data):
            return b""
        offset, length = struct.unpack_from("<II", self.data, place)
        start = self.heap + offset
        return self.data[start : start + length] if start + length <= len(self.data) else b""

    def text(self, index: int, limit: int = NAME) -> str:
        return clean(utf16(self.entry(index)), limit)


def users(sam: RegistryKey) -> tuple[User, ...] | None:
    """Return the local users by number; None where the hive has no list of them."""
    if sam.subkey(rf"{_ACCOUNT}\Users") is None:
        return None
    found = (_user(rid, key) for rid, key in _numbered(sam, rf"{_ACCOUNT}\Users"))
    return tuple(sorted(found, key=lambda user: user.rid))


def groups(sam: RegistryKey) -> tuple[Group, ...] | None:
    """Return the local groups, the built-in ones first; None where the hive has no list of them."""
    if sam.subkey(rf"{_BUILTIN}\Aliases") is None:
        return None
    local = local_names(sam)
    found = (
        _group(rid, key, local)
        for domain in (_BUILTIN, _ACCOUNT)
        for rid, key in _numbered(sam, rf"{domain}\Aliases")
    )
    return tuple(sorted(found, key=lambda group: group.rid))


def local_names(sam: RegistryKey) -> dict[str, str]:
    """Return the names of the machine's own users and groups by security identifier."""
    machine = sid_at(binary(sam.subkey(_ACCOUNT), "V")[-24:])
    if machine is None:
        return {}
    named = [
        *((rid, _users_table(key)) for rid, key in _numbered(sam, rf"{_ACCOUNT}\Users")),
        *((rid, _group_table(key)) for rid, key in _numbered(sam, rf"{_ACCOUNT}\Aliases")),
    ]
    return {f"{machine}-{rid}": name for rid, table in named if (name := table.text(_NAME))}


def _numbered(sam: RegistryKey, path: str) -> Iterator[tuple[int, RegistryKey]]:
    """Yield the keys that are named by a number in hexadecimal."""
    for count, key in enumerate(subkeys(sam, path)):
        if count == _MAX_ACCOUNTS:
            return
        try:
            yield int(key.name, 16), key
        except ValueError:
            continue  # "Names", "Members"


def _users_table(key: RegistryKey) -> _Table:
    return _Table(binary(key, "V"), 0, _USER_HEAP)


def _group_table(key: RegistryKey) -> _Table:
    return _Table(binary(key, "C", 4 * 1024 * 1024), _GROUP_TABLE, _GROUP_HEAP)


def _user(rid: int, key: RegistryKey) -> User:
    table, fixed = _users_table(key), binary(key, "F")
    flags = struct.unpack_from("<H", fixed, _FLAGS_AT)[0] if len(fixed) >= _FLAGS_AT + 2 else None
    return User(
        name=table.text(_NAME),
        rid=rid,
        enabled=None if flags is None else not flags & _DISABLED,
        full_name=table.text(_SECOND),
        comment=table.text(_THIRD, LINE),
    )


def _group(rid: int, key: RegistryKey, local: Mapping[str, str]) -> Group:
    table = _group_table(key)
    members = (account_name(sid, local) for sid in _members(table.entry(_THIRD)))
    return Group(
        name=table.text(_NAME),
        rid=rid,
        members=tuple(sorted(set(members), key=lambda name: (name.casefold(), name))),
        comment=table.text(_SECOND, LINE),
    )


def _members(data: bytes) -> Iterator[str]:
    at = 0
    for _ in range(_MAX_MEMBERS):
        sid = sid_at(data, at)
        if sid is None:
            return
        yield sid
        at += 8 + 4 * data[at + 1]
