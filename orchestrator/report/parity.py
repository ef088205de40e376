"""A parity result as the board sees it: what to do, what was accepted, how the rest adds up. Pure."""

from datetime import datetime

from orchestrator.model.plan import Waiver
from orchestrator.parity.result import OPEN_STATES, ItemResult, ParityResult, Severity, State
from orchestrator.report import wording
from orchestrator.report.model import ItemView, Pairs, ParityView


def parity_view(result: ParityResult, at: datetime) -> ParityView:
    """Return the view of one comparison."""
    hints = [i for i in result.items if i.state in OPEN_STATES and i.severity is Severity.INFO]
    return ParityView(
        badge=wording.VERDICT_BADGES[result.verdict],
        meaning=wording.VERDICT_MEANING[result.verdict],
        at=wording.moment(at),
        basis=f"profile {result.profile}, against Windows Server {result.release}, rules {result.rules}",
        counts=tuple((state.value, str(result.count(state))) for state in State if result.count(state)),
        open_items=tuple(_item(i) for i in result.open_items),
        waived_items=tuple(_item(i) for i in result.items if i.state is State.WAIVED),
        hints=tuple(_item(i) for i in hints),
        waiver_notes=tuple((note.item, f"{note.problem.value}: {note.text}") for note in result.waiver_notes),
    )


def waiver_pairs(waiver: Waiver) -> Pairs:
    """Return a planned waiver as pairs."""
    return (
        ("item", waiver.item),
        ("reason", wording.one_line(waiver.reason)),
        ("owner", waiver.owner),
        ("expires", waiver.expires.isoformat()),
    )


def _item(result: ItemResult) -> ItemView:
    return ItemView(
        item=result.item,
        badge=wording.state_badge(result.state, result.severity),
        severity=result.severity.value,
        old=result.old,
        new=result.new or "not there",
        why=result.why,
        advice=result.advice,
        waiver=waiver_text(result.waiver) if result.waiver else "",
    )


def waiver_text(waiver: Waiver) -> str:
    """Return a waiver in one line."""
    reason = wording.one_line(waiver.reason)
    return f"{reason} (owner {waiver.owner}, until {waiver.expires.isoformat()})"
