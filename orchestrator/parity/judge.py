"""One item of the old server against the same item of the new one. Pure; waivers are applied elsewhere.

Order: what is never compared; what was switched off and so is missed by nobody; what is not there; what
differs.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.parity.items import Item, Items
from orchestrator.parity.names import version_numbers, windows_key
from orchestrator.parity.pack import Effect, Profile, Rule, RulePack
from orchestrator.parity.result import Ignored, ItemResult, Severity, State

_WINDOWS_FOLDER = re.compile(
    r'"?(?:%systemroot%|%windir%|[a-z]:\\windows|\\systemroot|(?:\\\?\?\\)?[a-z]:\\windows|system32)\\',
    re.IGNORECASE,
)
_PER_USER = re.compile(r"_[0-9a-f]{4,8}$", re.IGNORECASE)
_READINESS = {"disabled": 0, "manual": 1, "auto": 2, "system": 3, "boot": 4}
_OWN_ACCOUNTS = frozenset({"LocalSystem", "LocalService", "NetworkService"})

CORE_RULES: Mapping[str, str] = {
    "switched-off": "it is switched off on the old server, so nothing depends on it",
    "untouched-manual": "Windows 6.0 brings it to be started on demand, and nobody changed that",
    "release-default": "left as Windows 6.0 starts it; the new release starts it when it is needed",
    "starts-as-readily": "it starts at least as readily on the new server",
    "own-account": "both releases run it under a built-in account of their choice",
    "newer-version": "the same product in a newer version",
}
"""Rules that need more than a name, by id; the others are data."""

_MISSING_ADVICE = {
    "service": "Install what brings this service, or waive it.",
    "driver": "Find out which device or product needs it; install that product's driver for the new release.",
    "share": "Copy the data with its permissions and make the share.",
    "software": "Install a version that supports the new release, or waive it.",
    "task": "Make the task anew, and check the account that it runs under.",
    "network": "Set it at the switch.",
    "hosts": "Add the line, or better put the name into DNS.",
}
_CHANGED_ADVICE = {
    "service": "Set start mode and account as on the old server.",
    "driver": "Set the start mode as on the old server.",
    "share": "Clients do not see the path, but jobs on the server may.",
    "software": "Install the old server's version or a newer one.",
    "task": "Bring the task's commands and state in line.",
    "network": "Set it at the switch.",
    "hosts": "Bring the address in line.",
}


@dataclass(frozen=True, slots=True)
class Context:
    """What judging stands on."""

    pack: RulePack
    profile: Profile
    profile_name: str
    release: int
    new: Items

    def rule(self, key: str, *effects: Effect) -> Rule | None:
        """Return the rule for an item on this release."""
        return self.pack.find(key, self.release, *effects)


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
    decision = _decide(context, key, old, new)
    return _result(old, old, new, decision, decision.severity or _severity(usual, old))


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
    image = dict(item.details).get("image", "")
    if item.kind == "service" and (_WINDOWS_FOLDER.match(image) or _PER_USER.search(item.id)):
        return Ignored(item=item.id, rule="windows-folder", why="a service of the new release's own")
    return None


def _decide(context: Context, key: str, old: Item, new: Item | None) -> _Decision:
    if _switched_off(old):
        return _core("switched-off")
    if new is None:
        return _missing(context, key, old)
    return _compared(context, key, old, new)


def _switched_off(item: Item) -> bool:
    return item.value("start") == "disabled" or item.value("enabled") == "no"


def _core(rule: str) -> _Decision:
    return _Decision(State.EQUIVALENT, rule, CORE_RULES[rule])


def _missing(context: Context, key: str, old: Item) -> _Decision:
    rule = context.rule(key, Effect.GONE, Effect.REPLACED, Effect.ACT)
    if rule is not None and (rule.effect is Effect.GONE or _replaced(context, rule)):
        return _Decision(State.EQUIVALENT, rule.id, rule.why)
    start = old.value("start") or ""
    if start == "manual" and context.pack.is_default_start(key, start):
        return _core("untouched-manual")
    if rule is not None:
        return _Decision(State.MISSING, rule.id, rule.why, rule.advice, rule.severity)
    return _Decision(State.MISSING, advice=_MISSING_ADVICE.get(old.kind, ""))


def _replaced(context: Context, rule: Rule) -> bool:
    successors = (context.new.get(windows_key(item)) for item in rule.by)
    return any(item is not None and not _switched_off(item) for item in successors)


def _compared(context: Context, key: str, old: Item, new: Item) -> _Decision:
    if any(value is None for _, value in (*old.values, *new.values)):
        return _Decision(
            State.UNKNOWN, advice="Look again: the collector could not see it on one of the servers."
        )
    differing = [name for name, value in old.values if not _equal(value, new.value(name))]
    if not differing:
        return _SAME
    excuses = [_excuse(context, key, name, old, new) for name in differing]
    if all(excuses):
        return _core(next(excuse for excuse in excuses if excuse))
    rule = context.rule(key, Effect.ACCEPT, Effect.ACT)
    if rule is not None and rule.effect is Effect.ACCEPT and not _switched_off(new):
        return _Decision(State.EQUIVALENT, rule.id, rule.why)
    if rule is not None and rule.effect is Effect.ACT and old.kind in ("identity", "network"):
        return _Decision(State.CHANGED, rule.id, rule.why, rule.advice, rule.severity)
    harmless = old.kind == "share" or (
        old.kind == "software" and not (old.value("version") and new.value("version"))
    )
    severity = Severity.INFO if harmless else None
    return _Decision(State.CHANGED, advice=_CHANGED_ADVICE.get(old.kind, ""), severity=severity)


def _equal(old: str | None, new: str | None) -> bool:
    return windows_key((old or "").rstrip("\\")) == windows_key((new or "").rstrip("\\"))


def _excuse(context: Context, key: str, name: str, old: Item, new: Item) -> str:
    """Return the core rule that makes this difference harmless, or ""."""
    before, now = old.value(name) or "", new.value(name) or ""
    if name == "start":
        return _start_excuse(context, key, before, now)
    if name == "account":
        built_in = key in context.pack.built_in_services and {before, now} <= _OWN_ACCOUNTS
        return "own-account" if built_in else ""
    if name == "version":
        had, has = version_numbers(before), version_numbers(now)
        return "newer-version" if had and has and has >= had else ""
    return ""


def _start_excuse(context: Context, key: str, before: str, now: str) -> str:
    if _READINESS.get(now, 0) >= _READINESS.get(before, 0):
        return "starts-as-readily"
    # Always on by default and switched off now is somebody's decision; on demand by default is nobody's.
    if context.pack.is_default_start(key, before) and (before == "manual" or now != "disabled"):
        return "release-default"
    return ""


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
