"""Whose an object is whose name anybody may take: a network, a packet filter.

The ledger's entry holds the name and the token, and the object bears the token, too: only where both agree
is it ours. So what we announced and another state made first is never taken for ours, nor what somebody made
in the place of one of ours. For adapters of any provider.
Pure but for the ledger: it must call no hypervisor.
"""

from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.contract.provider import Effect, ObjectKind


@dataclass(frozen=True, slots=True)
class Owner:
    """What an object bears: the token of its maker; once it is about to be removed the token of that step,
    and as `former` the maker's."""

    token: str
    former: str | None = None


def entry(name: str, token: str) -> str:
    """Return the ledger's id of the object of this name that bears this token."""
    return f"{name}/{token}"


def ours(effect: Effect, kind: ObjectKind, name: str, token: str | None) -> bool:
    """Tell whether the object of this name is of this state; `token` is the one that it bears now."""
    return token is not None and effect.owns(kind, entry(name, token))


def settle(effect: Effect, kind: ObjectKind, name: str, token: str | None) -> None:
    """Bring what this step announced into line with what is there now: `token` is the one on the object,
    None where it bears none, or nothing is there."""
    if token != effect.token:
        forget(effect, kind, name, effect.token)
    elif ours(effect, kind, name, token):
        effect.made(kind, entry(name, token))


def forget(effect: Effect, kind: ObjectKind, name: str, token: str) -> None:
    """Strike an object that is not there out of the ledger."""
    if effect.owns(kind, entry(name, token)):
        effect.removed(kind, entry(name, token))


def hand_over(
    effect: Effect, kind: ObjectKind, name: str, owner: Owner, change: Callable[[Owner], object]
) -> None:
    """Pass an object of ours from its maker to this step, which removes it; `change` writes it on the object.

    Once it is gone nobody can read on it whose entry to strike out. So the maker's goes first, and until then
    the object itself says whose it is: after a crash this step finds its own.
    """
    if owner.token != effect.token:
        if owner.former is not None:
            forget(effect, kind, name, owner.former)  # of another removal that was cut short
        owner = Owner(effect.token, former=owner.token)
        effect.intend(kind, entry(name, effect.token), "to be removed")
        change(owner)
    if owner.former is not None:
        forget(effect, kind, name, owner.former)
