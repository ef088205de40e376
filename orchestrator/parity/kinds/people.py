"""Shares and their permissions, local users and groups."""

import re
from collections.abc import Iterator

from orchestrator.model.facts import Group, Permission, ServerFacts, Share, User
from orchestrator.parity.item import Item, Pairs, item, listed, yes
from orchestrator.parity.vocabulary import FIRST_OWN_RID, Naming, built_in_user

_OF_DOMAIN = re.compile(
    r"^S-1-5-21-[0-9-]+-51[234]$|\\(Domain (Admins|Users|Guests)|Domänen-(Admins|Benutzer|Gäste))$",
    re.IGNORECASE,
)


def people(facts: ServerFacts, names: Naming) -> Iterator[Item]:
    """Give all of it."""
    yield from (_share(share, names) for share in facts.shares or ())
    yield from (_user(user) for user in facts.users or ())
    yield from (_group(group, names) for group in facts.groups or ())


def _group(group: Group, names: Naming) -> Item:
    name = names.group(group.name, group.rid)
    members = {names.account(member, local=True) for member in group.members}
    implied = {member for member in members if _is_implied(name, member)}
    return item(
        "group",
        name,
        (("members", listed(members - implied)),),
        name=group.name,
        comment=group.comment,
        besides=listed(implied),
    )


def _is_implied(group: str, member: str) -> bool:
    """Tell what Windows puts into a built-in group: its own users, and what comes with joining a domain."""
    if group == "Users" and member.startswith(".\\"):
        return True
    return group in ("Administrators", "Users", "Guests") and bool(_OF_DOMAIN.search(member))


def _share(share: Share, names: Naming) -> Item:
    """Who may use it is unknown where the collector does not say it: that is not everybody, nor nobody.

    A printer's permissions are not those of its share.
    """
    values: Pairs = (("path", share.path),)
    rights = share.permissions
    if share.kind != "printer":
        allowed = None if rights is None else listed({_permission(right, names) for right in rights})
        values += (("permissions", allowed),)
    return item("share", share.name, values, remark=share.remark)


def _permission(right: Permission, names: Naming) -> str:
    denied = "" if right.allow else "not "
    return f"{names.account(right.account, local=True)} {denied}{right.right.lower()}"


def _user(user: User) -> Item:
    own = user.rid >= FIRST_OWN_RID
    name = user.name if own else built_in_user(user.rid)
    shown = "" if own else user.name
    values = (("enabled", yes(user.enabled)),)
    return item("user", name, values, name=shown, full_name=user.full_name, comment=user.comment)
