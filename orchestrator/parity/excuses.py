"""Differences in values that are harmless, and why: the rules that need more than a name. Pure.

Each excuse looks at one value that differs and returns the id of a core rule, or "".
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date

from orchestrator.parity.item import SETS, Item, Items, parts
from orchestrator.parity.kinds.machine import DEFAULT_BASIS
from orchestrator.parity.names import version_numbers, windows_key
from orchestrator.parity.pack import RulePack
from orchestrator.parity.rule import Effect, Profile, Rule

CORE_RULES: Mapping[str, str] = {
    "switched-off": "it is switched off on the old server, so nothing depends on it",
    "untouched-manual": "Windows 6.0 brings it to be started on demand, and nobody changed that",
    "release-default": "left as Windows 6.0 starts it; the new release starts it when it is needed",
    "starts-as-readily": "it starts at least as readily on the new server",
    "own-account": "both releases run it under a built-in account of their choice",
    "newer-version": "the same product in a newer version",
    "same-folder": "the same folder, under the name that it has on the new server",
    "all-of-it": "everything that the old server has in it is there, and more",
    "renamed": "the new release has it under another name",
    "reissued": "a certificate for the same subject that lasts at least as long takes its place",
    "expired-certificate": "it has expired, so nobody can rely on it any more",
    "unused-pool": "no application uses the pool",
    "fits": "what is used on the old server has room on the new one",
    "allows-more": "the new release allows by default what the old one did not know or allow",
}
_READINESS = {"disabled": 0, "manual": 1, "auto": 2, "system": 3, "boot": 4}
_OWN_ACCOUNTS = frozenset({"LocalSystem", "LocalService", "NetworkService"})


@dataclass(frozen=True, slots=True)
class Context:
    """What judging stands on."""

    pack: RulePack
    profile: Profile
    profile_name: str
    release: int
    today: date
    old: Items
    new: Items

    def rule(self, key: str, *effects: Effect) -> Rule | None:
        """Return the rule for an item on this release."""
        return self.pack.find(key, self.release, *effects)

    def successor(self, key: str) -> Item | None:
        """Return what the new server has under the new name of an old item."""
        found = (self.new.get(windows_key(name)) for name in self.pack.successors(key))
        return next((item for item in found if item is not None), None)


def is_equal(old: str | None, new: str | None) -> bool:
    """Tell whether Windows takes two values for the same."""
    return windows_key((old or "").rstrip("\\")) == windows_key((new or "").rstrip("\\"))


def excuse(context: Context, name: str, old: Item, new: Item) -> str:
    """Return the core rule that makes this difference harmless, or ""."""
    before, now = old.value(name) or "", new.value(name) or ""
    if name in SETS - {"permissions"}:  # more people let in is not the same
        return _set_excuse(context, before, now)
    own = _EXCUSES.get((old.kind, name)) or _EXCUSES.get(("", name))
    if own is not None:
        return own(context, old, new)
    return "same-folder" if before and context.pack.fold(before) == context.pack.fold(now) else ""


def reissued(context: Context, old: Item) -> Item | None:
    """Return the new server's certificate that takes the place of this one."""
    for found in context.new.values():
        if found.kind == "certificate" and _takes_its_place(found, old):
            return found
    return None


def has_expired(context: Context, certificate: Item) -> bool:
    """Tell whether the old server's certificate counts no more."""
    expires = certificate.value("expires")
    return certificate.kind == "certificate" and expires is not None and expires < context.today.isoformat()


def _takes_its_place(found: Item, old: Item) -> bool:
    same = is_equal(found.value("subject"), old.value("subject"))
    covers = parts(old.detail("names").lower()) <= parts(found.detail("names").lower())
    lasts = (found.value("expires") or "") >= (old.value("expires") or "9999")
    has_key = found.value("private key") == "yes" or old.value("private key") == "no"
    return same and covers and lasts and has_key


def _set_excuse(context: Context, before: str, now: str) -> str:
    had = {context.pack.fold(part) for part in parts(before)}
    has = {context.pack.fold(part) for part in parts(now)}
    return "all-of-it" if had <= has else ""


def _start(context: Context, old: Item, new: Item) -> str:
    before, now = old.value("start") or "", new.value("start") or ""
    if _READINESS.get(now, 0) >= _READINESS.get(before, 0):
        return "starts-as-readily"
    # Always on by default and switched off now is somebody's decision; on demand by default is nobody's.
    if context.pack.is_default_start(old.key, before) and (before == "manual" or now != "disabled"):
        return "release-default"
    return ""


def _account(context: Context, old: Item, new: Item) -> str:
    both = {old.value("account"), new.value("account")}
    built_in = old.key in context.pack.built_in_services and both <= _OWN_ACCOUNTS
    return "own-account" if built_in else ""


def _version(_: Context, old: Item, new: Item) -> str:
    had, has = version_numbers(old.value("version") or ""), version_numbers(new.value("version") or "")
    return "newer-version" if had and has and has >= had else ""


def _certificate(context: Context, old: Item, new: Item) -> str:
    """The binding shows another certificate: fine if that one was issued in place of the old one."""
    before = context.old.get(windows_key(f"certificate:{old.value('certificate')}"))
    now = context.new.get(windows_key(f"certificate:{new.value('certificate')}"))
    return "reissued" if before and now and _takes_its_place(now, before) else ""


def _room(_: Context, old: Item, new: Item) -> str:
    needed, there = old.value("used") or "", new.value("size") or ""
    fits = needed.isdecimal() and there.isdecimal() and int(needed) <= int(there)
    return "fits" if fits else ""


def _pool(_: Context, old: Item, __: Item) -> str:
    return "" if old.detail("used by") else "unused-pool"


def _protocol(_: Context, old: Item, new: Item) -> str:
    restricts = old.id.casefold().endswith("required")
    allows = (new.value("on") == "yes") != restricts
    return "allows-more" if allows and old.detail("basis") == DEFAULT_BASIS else ""


def _listener(_: Context, __: Item, new: Item) -> str:
    return "all-of-it" if new.value("open to") == "the network" else ""


_EXCUSES: Mapping[tuple[str, str], Callable[[Context, Item, Item], str]] = {
    ("", "start"): _start,
    ("service", "account"): _account,
    ("software", "version"): _version,
    ("binding", "certificate"): _certificate,
    ("volume", "size"): _room,
    ("volume", "used"): _room,
    ("pool", "runtime"): _pool,
    ("pool", "pipeline"): _pool,
    ("pool", "identity"): _pool,
    ("pool", "32-bit"): _pool,
    ("protocol", "on"): _protocol,
    ("listener", "open to"): _listener,
}
