"""What people got done between two looks at the same pair of servers. Pure."""

from orchestrator.parity.item import SECTIONS
from orchestrator.parity.names import windows_key
from orchestrator.parity.result import (
    OPEN_STATES,
    Change,
    ItemResult,
    ParityResult,
    Progress,
    Severity,
    State,
)


def progress(previous: ParityResult, now: ParityResult) -> Progress:
    """Return what was closed, what was opened and what is still open, by name.

    An item that is not listed any more because its section cannot be seen now is still open, not closed.
    """
    before, after = _by_key(previous), _by_key(now)
    unseen = {
        kind for r in now.items if r.kind == "section" for kind in SECTIONS.get(r.item.partition(":")[2], ())
    }
    closed, opened, still = [], [], []
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        change = _change(old, new)
        was, is_open = _open(old), _open(new)
        hidden = old is not None and new is None and old.kind in unseen
        if was and (is_open or hidden):
            still.append(change)
        elif was:
            closed.append(change)
        elif is_open:
            opened.append(change)
    return Progress(
        closed=tuple(closed),
        opened=tuple(opened),
        still_open=tuple(still),
        verdict_before=previous.verdict,
        verdict_now=now.verdict,
    )


def _by_key(result: ParityResult) -> dict[str, ItemResult]:
    return {windows_key(item.item): item for item in result.items}


def _open(item: ItemResult | None) -> bool:
    return item is not None and item.state in OPEN_STATES and item.severity is not Severity.INFO


def _change(old: ItemResult | None, new: ItemResult | None) -> Change:
    shown = new or old
    before: State | None = old.state if old else None
    return Change(item=shown.item if shown else "", before=before, now=new.state if new else None)
