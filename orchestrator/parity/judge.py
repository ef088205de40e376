"""One item of the old server against the same item of the new one. Pure; waivers are applied elsewhere.

Order: what is never compared; what was switched off and so is missed by nobody; what is not there; what
differs.
"""

import re
from dataclasses import dataclass

from orchestrator.parity import advice
from orchestrator.parity.excuses import (
    CORE_RULES,
    Context,
    excuse,
    has_expired,
    is_equal,
    reissued,
)
from orchestrator.parity.item import Item
from orchestrator.parity.kinds.machine import DEFAULT_BASIS
from orchestrator.parity.names import windows_key
from orchestrator.parity.result import Ignored, ItemResult, Severity, State
from orchestrator.parity.rule import Effect, Rule

_WINDOWS_FOLDER = re.compile(
    r'"?(?:%systemroot%|%windir%|[a-z]:\\windows|\\systemroot|(?:\\\?\?\\)?[a-z]:\\windows|system32)\\',
    re.IGNORECASE,
)
_PER_USER = re.compile(r"_[0-9a-f]{4,8}$", re.IGNORECASE)
_INSTALLED = frozenset({"role", "service", "driver", "share", "software", "task"})
"""Kinds whose `act` rules speak of what is not there; of the others they speak of a difference, too."""
_ONLY_OLD = frozenset({"used"})
"""Values that count on the old server alone."""


@dataclass(frozen=True, slots=True)
class _Decision:
    state: State
    rule: str = ""
    why: str = ""
    advice: str = ""
    severity: Severity | None = None


_SAME = _Decision(State.SAME)


def judge(context: Context, key: str, old: Item | None, new: Item | None) -> ItemResult | Ignored:
    """Judge the item of this key; at least one of the two is there."""
    item = old or new
    if item is None:
        raise ValueError(key)
    usual = context.profile.severity(item.kind, key)
    ignored = _never_compared(context, key, item, usual)
    if ignored is not None or usual is None:
        return ignored or Ignored(item=item.id, rule="profile", why="the profile leaves it out")
    if old is None:
        built_in = _built_in(context, key, item)
        return built_in or _result(item, None, new, _Decision(State.EXTRA), Severity.INFO)
    renamed = context.successor(key) if new is None else None
    decision = _renamed(context, old, renamed) if renamed else _decide(context, old, new)
    return _result(old, old, renamed or new, decision, decision.severity or _severity(usual, old))


def _never_compared(context: Context, key: str, item: Item, usual: Severity | None) -> Ignored | None:
    rule = context.rule(key, Effect.IGNORE)
    if rule is not None:
        return Ignored(item=item.id, rule=rule.id, why=rule.why)
    if usual is None:
        why = f"the profile {context.profile_name} does not compare items of kind {item.kind}"
        return Ignored(item=item.id, rule="profile", why=why)
    return None


def _built_in(context: Context, key: str, item: Item) -> Ignored | None:
    """Say why an item that only the new server has needs no mention; None: it does."""
    rule = context.rule(key, Effect.BUILT_IN)
    if rule is not None:
        return Ignored(item=item.id, rule=rule.id, why=rule.why)
    image = item.detail("image")
    if item.kind == "service" and (_WINDOWS_FOLDER.match(image) or _PER_USER.search(item.id)):
        return Ignored(item=item.id, rule="windows-folder", why="a service of the new release's own")
    return None


def _decide(context: Context, old: Item, new: Item | None) -> _Decision:
    if _switched_off(old):
        return _core("switched-off")
    if has_expired(context, old):
        return _core("expired-certificate")
    if new is None:
        return _missing(context, old)
    return _compared(context, old, new)


def _switched_off(item: Item) -> bool:
    return item.value("start") == "disabled" or item.value("enabled") == "no"


def _core(rule: str) -> _Decision:
    return _Decision(State.EQUIVALENT, rule, CORE_RULES[rule])


def _renamed(context: Context, old: Item, new: Item) -> _Decision:
    """Judge an old item against what it is called now: equivalent unless its values differ."""
    found = _core("switched-off") if _switched_off(old) else _compared(context, old, new)
    return _core("renamed") if found.state in (State.SAME, State.EQUIVALENT) else found


def _missing(context: Context, old: Item) -> _Decision:
    rule = context.rule(old.key, Effect.GONE, Effect.REPLACED, Effect.ACT)
    if rule is not None and (rule.effect is Effect.GONE or _replaced(context, rule)):
        return _Decision(State.EQUIVALENT, rule.id, rule.why)
    excused = _not_missed(context, old)
    if excused:
        return _core(excused)
    if rule is not None:
        return _Decision(State.MISSING, rule.id, rule.why, rule.advice, rule.severity)
    successors = context.pack.successors(old.key)
    if successors:
        names = " or ".join(name.partition(":")[2] for name in successors)
        verb = "Install-WindowsFeature " if old.kind == "role" else "Install "
        return _Decision(State.MISSING, "renamed", f"it is called {names} now", f"{verb}{names}.")
    return _Decision(State.MISSING, advice=advice.MISSING.get(old.kind, ""))


def _not_missed(context: Context, old: Item) -> str:
    """Return the core rule by which an item that is not there is missed by nobody, or ""."""
    start = old.value("start") or ""
    if start == "manual" and context.pack.is_default_start(old.key, start):
        return "untouched-manual"
    if old.kind == "certificate" and reissued(context, old):
        return "reissued"
    if old.kind == "pool" and not old.detail("used by"):
        return "unused-pool"
    return "switched-off" if old.kind == "protocol" and old.value("on") == "no" else ""


def _replaced(context: Context, rule: Rule) -> bool:
    successors = (context.new.get(windows_key(item)) for item in rule.by)
    return any(item is not None and not _switched_off(item) for item in successors)


def _compared(context: Context, old: Item, new: Item) -> _Decision:
    seen = [value for name, value in new.values if name not in _ONLY_OLD]
    if any(value is None for value in (*dict(old.values).values(), *seen)):
        return _Decision(State.UNKNOWN, advice=advice.UNSEEN)
    differing = [name for name, value in old.values if not is_equal(value, new.value(name))]
    if not differing:
        return _SAME
    excuses = [excuse(context, name, old, new) for name in differing]
    if all(excuses):
        return _core(next(found for found in excuses if found))
    open_ones = {name for name, found in zip(differing, excuses, strict=True) if not found}
    return _changed(context, old, new, open_ones)


def _changed(context: Context, old: Item, new: Item, differing: set[str]) -> _Decision:
    rule = context.rule(old.key, Effect.ACCEPT, Effect.ACT)
    if rule is not None and rule.effect is Effect.ACCEPT and not _switched_off(new):
        return _Decision(State.EQUIVALENT, rule.id, rule.why)
    harmless = Severity.INFO if _is_harmless(old, new, differing) else None
    if rule is not None and rule.effect is Effect.ACT and old.kind not in _INSTALLED:
        return _Decision(State.CHANGED, rule.id, rule.why, rule.advice, harmless or rule.severity)
    what = advice.PATH_ONLY if old.kind == "share" and harmless else advice.CHANGED.get(old.kind, "")
    return _Decision(State.CHANGED, advice=what, severity=harmless)


def _is_harmless(old: Item, new: Item, differing: set[str]) -> bool:
    """Tell whether the difference is for information only: it may matter, but it mostly does not."""
    if old.kind == "share":
        return differing == {"path"}
    if old.kind == "printer":
        return differing == {"driver"}
    if old.kind == "software":
        return not (old.value("version") and new.value("version"))
    return old.kind == "protocol" and old.detail("basis") == DEFAULT_BASIS


def _severity(usual: Severity, old: Item) -> Severity:
    """A service that starts on demand may never have run: by itself it is no more than a warning."""
    on_demand = old.value("start") == "manual"
    return Severity.WARNING if on_demand and usual is Severity.BLOCKER else usual


def _result(
    shown: Item, old: Item | None, new: Item | None, decision: _Decision, severity: Severity
) -> ItemResult:
    return ItemResult(
        item=shown.id,
        kind=shown.kind,
        state=decision.state,
        severity=severity,
        old=old.text() if old else "",
        new=new.text() if new else "",
        details=shown.details,
        rule=decision.rule,
        why=decision.why,
        advice=decision.advice,
    )
