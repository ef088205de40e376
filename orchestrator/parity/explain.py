"""Why one item stands as it does, in words. Pure.

The words hold text from a guest: whoever prints them escapes them.
"""

from difflib import get_close_matches

from orchestrator.parity.items import item_key
from orchestrator.parity.names import windows_key
from orchestrator.parity.pack import RulePack, shipped_pack
from orchestrator.parity.result import Ignored, ItemResult, ParityResult


def explain(result: ParityResult, item: str, pack: RulePack | None = None) -> str:
    """Return everything known about one item, several lines. An item that is not there gets a suggestion."""
    key = item_key(item)
    for found in result.items:
        if windows_key(found.item) == key:
            return "\n".join(_lines(found, result, pack or shipped_pack()))
    for left_out in result.ignored:
        if windows_key(left_out.item) == key:
            return "\n".join(_ignored_lines(left_out, pack or shipped_pack()))
    names = {windows_key(i.item): i.item for i in result.items}
    names |= {windows_key(i.item): i.item for i in result.ignored}
    close = [names[match] for match in get_close_matches(key, list(names), n=3)]
    hint = f"; did you mean {', '.join(close)}?" if close else ""
    return f"{item}: neither the old server nor the new one has it{hint}"


def _lines(found: ItemResult, result: ParityResult, pack: RulePack) -> list[str]:
    lines = [
        f"{found.item}: {found.state.value} ({found.severity.value} in profile {result.profile})",
        f"  old server: {found.old or 'not there'}",
        f"  new server: {found.new or 'not there'}",
    ]
    lines += [f"  {name}: {value}" for name, value in found.details if value]
    if found.why:
        lines.append(f"  why: {found.why}")
    lines += _rule_lines(found.rule, pack)
    if found.advice:
        lines.append(f"  to do: {found.advice}")
    if found.waiver is not None:
        waiver = found.waiver
        lines.append(
            f"  waiver: {waiver.reason} (owner {waiver.owner}, expires {waiver.expires.isoformat()})"
        )
    if found.waived is not None:
        lines.append(f"  without the waiver: {found.waived.value}")
    lines += [
        f"  waiver: {note.text}"
        for note in result.waiver_notes
        if item_key(note.item) == windows_key(found.item)
    ]
    return lines


def _ignored_lines(left_out: Ignored, pack: RulePack) -> list[str]:
    return [f"{left_out.item}: never compared", f"  why: {left_out.why}", *_rule_lines(left_out.rule, pack)]


def _rule_lines(rule_id: str, pack: RulePack) -> list[str]:
    if not rule_id:
        return []
    rule = next((rule for rule in pack.rules if rule.id == rule_id), None)
    return [f"  rule: {rule_id}"] + ([f"  source: {pack.source(rule)}"] if rule else [])
