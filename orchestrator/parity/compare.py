"""The comparison as a whole: every item judged, waivers laid over, a verdict.

Pure and independent of the order of anything.
"""

from collections.abc import Mapping
from datetime import date

from orchestrator import lifecycle
from orchestrator.model.facts import ServerFacts
from orchestrator.model.plan import ParitySpec
from orchestrator.parity.excuses import CORE_RULES, Context
from orchestrator.parity.item import KINDS, SECTIONS, Item, Items
from orchestrator.parity.items import items_of, unknown_parts, unknown_sections
from orchestrator.parity.judge import judge
from orchestrator.parity.names import windows_key
from orchestrator.parity.pack import RulePack, profile, shipped_pack
from orchestrator.parity.result import (
    OPEN_STATES,
    RANK,
    Ignored,
    ItemResult,
    ParityResult,
    Severity,
    State,
    Verdict,
)
from orchestrator.parity.waive import apply_waivers, is_finding

_STATE_ORDER = (
    State.MISSING,
    State.CHANGED,
    State.UNKNOWN,
    State.WAIVED,
    State.EXTRA,
    State.EQUIVALENT,
    State.SAME,
)
_KIND_ORDER = ("section", *KINDS)
_RELEASE = windows_key("identity:release")


def compare(
    old: ServerFacts,
    new: ServerFacts,
    spec: ParitySpec,
    *,
    release: int,
    today: date,
    pack: RulePack | None = None,
) -> ParityResult:
    """Compare what the old server does with what the new one does.

    `release` is the target's (2022, 2025); `pack` None takes the shipped rules. Raises InvalidInput for an
    unknown profile.
    """
    rules = pack or shipped_pack()
    words = rules.vocabulary
    old_items, new_items = _expecting(items_of(old, words), release), items_of(new, words)
    context = Context(rules, profile(spec.profile), spec.profile, release, today, old_items, new_items)
    judged = _judged(context)
    ignored = tuple(outcome for outcome in judged.values() if isinstance(outcome, Ignored))
    results = {key: outcome for key, outcome in judged.items() if isinstance(outcome, ItemResult)}
    results = _with_unknown_sections(context, results, unknown_sections(old), unknown_sections(new))
    results |= _unknown_parts(context, unknown_parts(old))
    waivers = tuple(waiver for waiver in spec.waivers if not is_finding(waiver.item))
    results, notes = apply_waivers(results, ignored, waivers, today)
    items = tuple(sorted(results.values(), key=_order))
    return ParityResult(
        verdict=verdict(items),
        release=release,
        profile=spec.profile,
        rules=rules.label,
        on=today,
        items=items,
        waiver_notes=notes,
        ignored=ignored,
    )


def _judged(context: Context) -> dict[str, ItemResult | Ignored]:
    """Judge every item. What an old item is called now is not listed a second time under the new name."""
    old, new = context.old, context.new
    found = {key: judge(context, key, old.get(key), new.get(key)) for key in sorted(old.keys() | new.keys())}
    successors = {key: context.successor(key) for key in old if key not in new}
    taken = {successor.key for successor in successors.values() if successor is not None} - old.keys()
    return found | {
        key: Ignored(item=new[key].id, rule="renamed", why=CORE_RULES["renamed"]) for key in sorted(taken)
    }


def verdict(items: tuple[ItemResult, ...]) -> Verdict:
    """Return what the items amount to. An unknown that matters is never a pass."""
    if any(i.state in (State.MISSING, State.CHANGED) and i.severity is Severity.BLOCKER for i in items):
        return Verdict.FAIL
    if any(i.state is State.UNKNOWN and i.severity is not Severity.INFO for i in items):
        return Verdict.CANNOT_TELL
    if any(i.state is State.WAIVED for i in items):
        return Verdict.PASS_WITH_WAIVERS
    return Verdict.PASS


def _expecting(items: Items, release: int) -> Items:
    """Put the plan's release where the old server's own stands: that is what the new one is measured by."""
    known = lifecycle.release(str(release))
    build = str(known.builds[-1]) if known else None
    wanted = Item(
        id="identity:release",
        kind="identity",
        values=(("build", build),),
        details=(("planned", f"Windows Server {release}"),),
    )
    return {**items, _RELEASE: wanted}


def _with_unknown_sections(
    context: Context, results: Mapping[str, ItemResult], old: Mapping[str, str], new: Mapping[str, str]
) -> dict[str, ItemResult]:
    """Replace what rests on a section that one side could not see by one unknown item for the section.

    A section unknown on the new server alone matters only where the old one has something in it that would be
    missed.
    """
    kept = dict(results)
    for section in sorted(old.keys() | new.keys()):
        kinds = SECTIONS.get(section, ())
        inside = {
            key: r for key, r in kept.items() if r.kind in kinds and r.state in (State.MISSING, State.EXTRA)
        }
        missed = [r for r in inside.values() if r.state is State.MISSING]
        severity = _section_severity(context, kinds, missed, unseen=section in old)
        if severity is None:
            continue
        kept = {key: r for key, r in kept.items() if key not in inside}
        found = _unknown_section(section, severity, len(missed), old.get(section, ""), new.get(section, ""))
        kept[windows_key(found.item)] = found
    return kept


def _unknown_parts(context: Context, parts: Mapping[str, str]) -> dict[str, ItemResult]:
    """Give an unknown item for what is hidden in a section of the old server that is otherwise known.

    On the new server it needs none: what cannot be seen there is missing, and that is said.
    """
    found = {}
    for part, reason in parts.items():
        key = windows_key(f"section:{part}")
        kinds = SECTIONS[part.partition(".")[0]]
        weights = [context.profile.severity(kind, key) for kind in kinds]
        severity = max((w for w in weights if w), key=RANK.__getitem__, default=None)
        if severity is not None:
            found[key] = _unknown_section(part, severity, 0, reason, "")
    return found


def _section_severity(
    context: Context, kinds: tuple[str, ...], missed: list[ItemResult], *, unseen: bool
) -> Severity | None:
    """Return what it means that a section is unknown; None: nothing.

    `unseen`: on the old server, where anything may be in it.
    """
    found = [r.severity for r in missed]
    if unseen:
        found += [s for s in (context.profile.severity(kind, "") for kind in kinds) if s is not None]
    return max(found, key=RANK.__getitem__, default=None)


def _unknown_section(section: str, severity: Severity, missed: int, old: str, new: str) -> ItemResult:
    where = " and ".join(
        side for side, reason in (("the old server", old), ("the new server", new)) if reason
    )
    count = f" {missed} of the old server's items cannot be checked." if missed else ""
    return ItemResult(
        item=f"section:{section}",
        kind="section",
        state=State.UNKNOWN,
        severity=severity,
        old=f"unknown: {old}" if old else "known",
        new=f"unknown: {new}" if new else "known",
        why=f"{section} could not be seen on {where}.{count}",
        advice="Collect it another way and import the facts (ferry parity --import).",
    )


def _order(result: ItemResult) -> tuple[bool, int, int, int, str]:
    is_open = result.state in OPEN_STATES
    return (
        not is_open,
        -RANK[result.severity] if is_open else 0,
        _STATE_ORDER.index(result.state),
        _KIND_ORDER.index(result.kind),
        windows_key(result.item),
    )
