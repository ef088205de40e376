"""Waivers laid over a comparison. Pure: today is passed in. A waiver never hides what nobody has seen."""

from collections.abc import Iterable, Mapping
from datetime import date
from difflib import get_close_matches

from orchestrator.model.plan import FINDING, Waiver
from orchestrator.parity.items import item_key
from orchestrator.parity.names import windows_key
from orchestrator.parity.result import Ignored, ItemResult, Severity, State, WaiverNote, WaiverProblem

_NOTHING = "matches nothing on the old server or the new one"


def is_finding(item: str) -> bool:
    """Tell whether a waiver's item is a finding of the assessment; a comparison leaves those alone."""
    return windows_key(item.strip()).startswith(windows_key(FINDING))


def apply_waivers(
    results: Mapping[str, ItemResult],
    ignored: Iterable[Ignored],
    waivers: Iterable[Waiver],
    today: date,
    nothing: str = _NOTHING,
) -> tuple[dict[str, ItemResult], tuple[WaiverNote, ...]]:
    """Return the results with waivers laid over them, and a note for each waiver that did nothing.

    `results` is by key; `nothing` says of a waiver that its item is not among them. Of two waivers for one
    item the one that lasts longer counts. An expired one makes an item that still differs a blocker: it was
    accepted only until then.
    """
    after = dict(results)
    notes = []
    left_out = {windows_key(item.item): item for item in ignored}
    for key, waiver in _by_key(waivers).items():
        found = after.get(key)
        if found is None:
            notes.append(_without_item(waiver, left_out.get(key), results, nothing))
            continue
        note = _obstacle(waiver, found, today)
        if note is None:
            after[key] = found.model_copy(
                update={"state": State.WAIVED, "waived": found.state, "waiver": waiver}
            )
        else:
            notes.append(note)
            if note.problem is WaiverProblem.EXPIRED:
                after[key] = found.model_copy(update={"severity": Severity.BLOCKER, "waiver": waiver})
    return after, tuple(notes)


def _by_key(waivers: Iterable[Waiver]) -> dict[str, Waiver]:
    ordered = sorted(waivers, key=lambda w: (item_key(w.item), w.expires, w.owner, w.reason, w.item))
    return {item_key(waiver.item): waiver for waiver in ordered}


def _without_item(
    waiver: Waiver, ignored: Ignored | None, results: Mapping[str, ItemResult], nothing: str
) -> WaiverNote:
    if ignored is not None:
        text = f"not needed: never compared ({ignored.why})"
        return WaiverNote(item=waiver.item, problem=WaiverProblem.UNNEEDED, text=text)
    close = get_close_matches(item_key(waiver.item), list(results), n=1, cutoff=0.75)
    hint = f"; did you mean {results[close[0]].item}?" if close else ""
    return WaiverNote(
        item=waiver.item,
        problem=WaiverProblem.UNMATCHED,
        text=f"{nothing}{hint}",
    )


def _obstacle(waiver: Waiver, result: ItemResult, today: date) -> WaiverNote | None:
    if result.state is State.UNKNOWN:
        text = "waives something that nobody could see; collect it or import its facts first"
        return WaiverNote(item=waiver.item, problem=WaiverProblem.UNKNOWN, text=text)
    if result.state not in (State.MISSING, State.CHANGED):
        text = f"not needed any more: the item is {result.state.value}"
        return WaiverNote(item=waiver.item, problem=WaiverProblem.UNNEEDED, text=text)
    if waiver.expires <= today:
        text = f"expired on {waiver.expires.isoformat()}: decide again, owner {waiver.owner}"
        return WaiverNote(item=waiver.item, problem=WaiverProblem.EXPIRED, text=text)
    return None
