"""Local users and groups from WMI's rows. An empty class counts as unknown."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from orchestrator.guest.clean import LINE, NAME, clean
from orchestrator.guest.collectors.raw import Raw
from orchestrator.guest.collectors.table import Row, Unseen, first, number, rows, text
from orchestrator.model.facts import Group, User

_REFERENCE = re.compile(r'(Win32_[A-Za-z]+)\.(?:Domain="([^"]*)",)?Name="([^"]*)"', re.IGNORECASE)
_CONTROLLERS = (4, 5)
"""DomainRole of domain controllers."""


class Accounts(NamedTuple):
    """Users and groups, and the names of both by security identifier."""

    users: tuple[User, ...]
    groups: tuple[Group, ...]
    names: Mapping[str, str]


def accounts(raw: Raw) -> Accounts:
    """Return the local accounts. Raises Unseen, also on a domain controller, which has none."""
    machine = first(raw, "Win32_ComputerSystem")
    if number(machine, "DomainRole") in _CONTROLLERS:
        message = "a domain controller has no local accounts"
        raise Unseen(message)
    people, teams = rows(raw, "Win32_UserAccount"), rows(raw, "Win32_Group")
    members = _members(raw, text(machine, "Name"))
    named = {text(row, "SID"): text(row, "Name") for row in (*people, *teams)}
    users = (
        User(
            name=text(row, "Name"),
            rid=rid,
            enabled=not row["Disabled"] if isinstance(row.get("Disabled"), bool) else None,
            full_name=text(row, "FullName"),
            comment=text(row, "Description", LINE),
        )
        for row, rid in _numbered(people)
    )
    groups = (
        Group(
            name=text(row, "Name"),
            rid=rid,
            members=tuple(
                sorted(members.get(text(row, "Name"), ()), key=lambda name: (name.casefold(), name))
            ),
            comment=text(row, "Description", LINE),
        )
        for row, rid in _numbered(teams)
    )
    return Accounts(
        users=tuple(sorted(users, key=lambda user: user.rid)),
        groups=tuple(sorted(groups, key=lambda group: group.rid)),
        names=named,
    )


def _numbered(table: Iterable[Row]) -> Iterator[tuple[Row, int]]:
    for row in table:
        rid = text(row, "SID").rpartition("-")[2]
        if re.fullmatch("[0-9]{1,10}", rid):
            yield row, int(rid)


def _members(raw: Raw, computer: str) -> dict[str, set[str]]:
    """Return the members by group. Raises Unseen where those of some group could not be asked for."""
    table = raw.table("Win32_GroupUser")
    failed = table.error or next((text(row, "Error") for row in table.rows if row.get("Error")), "")
    if failed:
        message = f"members of groups could not be asked for: {clean(failed, NAME)}"
        raise Unseen(message)
    found: dict[str, set[str]] = {}
    for row in table.rows:
        reference = _REFERENCE.search(str(row.get("Member") or ""))
        if reference:
            kind, domain, name = (clean(part or "", NAME) for part in reference.groups())
            found.setdefault(text(row, "Group"), set()).add(_member(kind, domain, name, computer))
    return found


def _member(kind: str, domain: str, name: str, computer: str) -> str:
    """Name an account as the offline collector does: a local one by its bare name."""
    if kind.casefold() == "win32_systemaccount":
        return rf"NT AUTHORITY\{name}"
    return name if domain.casefold() == computer.casefold() else rf"{domain}\{name}"
