"""Local users and groups as the SAM hive holds them, and the machine's identifier for SECURITY.

Only names, numbers, flags and memberships are written. There are no password hashes: no account of a lab
image has a password, and nothing here may ever put one in.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.security import ADMINISTRATORS, EVERYONE, SYSTEM, descriptor, sid

if TYPE_CHECKING:
    from lab.regfile import Key

BINARY, NONE = 3, 0

_FLAGS = {"disabled": 0x0001, "no_password": 0x0004, "normal": 0x0010, "never_expires": 0x0200}
_USERS_GROUP = 513
_FIRST_LOCAL = 1000
_NEVER = 0x7FFFFFFFFFFFFFFF
_ACCESS = f"(A;;0x000f07ff;;;{SYSTEM})(A;;0x000f07ff;;;{ADMINISTRATORS})(A;;0x0002031b;;;{EVERYONE})"


@dataclass(frozen=True)
class User:
    """One local user; flags are words of _FLAGS beside "normal", which every user has."""

    rid: int
    name: str
    full_name: str = ""
    comment: str = ""
    flags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """ValueError for a flag that no account has."""
        if unknown := set(self.flags) - set(_FLAGS):
            msg = f"user {self.name}: unknown flags {sorted(unknown)}; known: {', '.join(_FLAGS)}"
            raise ValueError(msg)


@dataclass(frozen=True)
class Group:
    """One local group; members are numbers of local users or whole identifiers (S-1-5-11 and the like)."""

    rid: int
    name: str
    comment: str = ""
    members: tuple[int | str, ...] = ()


@dataclass(frozen=True)
class Accounts:
    """Everything local to one machine; machine is its identifier, S-1-5-21-a-b-c."""

    machine: str
    users: tuple[User, ...] = ()
    groups: tuple[Group, ...] = ()

    def __post_init__(self) -> None:
        """ValueError where an identifier, the machine's or a member's, is none."""
        sid(self.machine)
        for group in self.groups:
            for member in group.members:
                sid(self.identifier(member))

    def identifier(self, member: int | str) -> str:
        """The whole identifier of a group's member."""
        return member if isinstance(member, str) else f"{self.machine}-{member}"


def fill_sam(root: Key, accounts: Accounts, filetime: int) -> None:
    """Put users, groups and memberships below root of a SAM hive; filetime is when passwords were set."""
    account, builtin = root.at(r"SAM\Domains\Account"), root.at(r"SAM\Domains\Builtin")
    account.set("V", BINARY, _cells((descriptor(_ACCESS), b"", b"")) + sid(accounts.machine))
    account.at("Users").set("", len(accounts.users), b"")
    for user in accounts.users:
        key = account.at(rf"Users\{user.rid:08X}")
        key.set("F", BINARY, _user_fixed(user, filetime))
        key.set("V", BINARY, _user_variable(user))
        account.at(rf"Users\Names\{user.name}").set("", user.rid, b"")
    for domain, mine in ((builtin, False), (account, True)):
        groups = [group for group in accounts.groups if (group.rid >= _FIRST_LOCAL) is mine]
        _fill_groups(domain.at("Aliases"), groups, accounts)


def fill_security(root: Key, accounts: Accounts) -> None:
    """Put the machine's identifier where the SECURITY hive has it."""
    root.at(r"Policy\PolAcDmS").set("", NONE, sid(accounts.machine))


def _fill_groups(aliases: Key, groups: list[Group], accounts: Accounts) -> None:
    aliases.set("", len(groups), b"")
    of_member: dict[str, list[int]] = {}
    for group in groups:
        members = [accounts.identifier(member) for member in group.members]
        aliases.at(f"{group.rid:08X}").set("C", BINARY, _group(group, members))
        aliases.at(rf"Names\{group.name}").set("", group.rid, b"")
        for member in members:
            of_member.setdefault(member, []).append(group.rid)
    for member, rids in of_member.items():
        domain, _, rid = member.rpartition("-")
        # The value's type is how many groups there are, as Windows keeps it.
        data = struct.pack(f"<{len(rids)}I", *rids)
        aliases.at(rf"Members\{domain}\{int(rid):08X}").set("", len(rids), data)


def _user_fixed(user: User, filetime: int) -> bytes:
    flags = _FLAGS["normal"]
    for flag in user.flags:
        flags |= _FLAGS[flag]
    times = struct.pack("<QQQQQ", 0, 0, filetime, _NEVER, 0)
    numbers = struct.pack("<IIIHHHHHH", user.rid, _USERS_GROUP, flags, 0, 0, 0, 0, 0, 0)
    return (struct.pack("<HHI", 2, 1, 0) + times + numbers).ljust(80, b"\0")


def _user_variable(user: User) -> bytes:
    names = [text.encode("utf-16-le") for text in (user.name, user.full_name, user.comment)]
    empty_hash = struct.pack("<HH", 1, 1)  # a hash cell without a hash in it
    return _cells((descriptor(_ACCESS), *names, *[b""] * 9, *[empty_hash] * 4))


def _group(group: Group, members: list[str]) -> bytes:
    names = [text.encode("utf-16-le") for text in (group.name, group.comment)]
    identifiers = b"".join(sid(member) for member in members)
    cells = _cells((descriptor(_ACCESS), *names, identifiers), {3: len(members)})
    return struct.pack("<I", group.rid) + cells


def _cells(contents: tuple[bytes, ...], extra: dict[int, int] | None = None) -> bytes:
    """A table of (offset, length, extra) for each content, then the contents, each aligned to four bytes."""
    table, heap = b"", b""
    for number, content in enumerate(contents):
        # The first entry is always the security descriptor, whose extra word holds its revision.
        word = 0x00010002 if number == 0 else (extra or {}).get(number, 0)
        table += struct.pack("<III", len(heap), len(content), word)
        heap += content.ljust(-(-len(content) // 4) * 4, b"\0")
    return table + heap
