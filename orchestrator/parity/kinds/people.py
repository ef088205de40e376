"""Shares and their permissions, local users and groups."""

from collections.abc import Iterator

from orchestrator.model.facts import Permission, ServerFacts, Share, User
from orchestrator.parity.item import Item, item, listed, yes
from orchestrator.parity.vocabulary import FIRST_OWN_RID, Naming, built_in_user


def people(facts: ServerFacts, names: Naming) -> Iterator[Item]:
    """Give all of it."""
    yield from (_share(share, names) for share in facts.shares or ())
    yield from (_user(user) for user in facts.users or ())
    for group in facts.groups or ():
        members = {names.account(member, local=True) for member in group.members}
        yield item(
            "group",
            names.group(group.name, group.rid),
            (("members", listed(members)),),
            name=group.name,
            comment=group.comment,
        )


def _share(share: Share, names: Naming) -> Item:
    """Who may use it is unknown where the collector does not say it: that is not everybody, nor nobody."""
    rights = share.permissions
    allowed = None if rights is None else listed({_permission(right, names) for right in rights})
    return item(
        "share",
        share.name,
        (("path", share.path), ("permissions", allowed)),
        remark=share.remark,
    )


def _permission(right: Permission, names: Naming) -> str:
    denied = "" if right.allow else "not "
    return f"{names.account(right.account, local=True)} {denied}{right.right.lower()}"


def _user(user: User) -> Item:
    own = user.rid >= FIRST_OWN_RID
    name = user.name if own else built_in_user(user.rid)
    shown = "" if own else user.name
    values = (("enabled", yes(user.enabled)),)
    return item("user", name, values, name=shown, full_name=user.full_name, comment=user.comment)
