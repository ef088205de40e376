"""Between two looks: what was closed, what came up, what is left."""

from __future__ import annotations

from typing import Any

from orchestrator.model.plan import ParitySpec
from orchestrator.parity.compare import compare
from orchestrator.parity.progress import progress
from orchestrator.parity.result import Change, ParityResult, State, Verdict
from tests.unit import builders as b


def look(**new: Any) -> ParityResult:
    return compare(b.server_facts(), b.new_facts(**new), ParitySpec(), release=2025, today=b.TODAY)


def test_closed_opened_and_still_open_are_told_apart() -> None:
    before = look(shares=(), tasks=())
    now = look(shares=(b.a_share(),), tasks=(), services=())
    moved = progress(before, now)
    assert moved.closed == (Change(item="share:Projects", before=State.MISSING, now=State.SAME),)
    assert {c.item for c in moved.opened} == {"service:LanmanServer", "service:Spooler"}
    assert [c.item for c in moved.still_open] == [r"task:\Nightly export"]


def test_verdicts_of_both_looks_are_kept() -> None:
    moved = progress(look(shares=()), look())
    assert (moved.verdict_before, moved.verdict_now) == (Verdict.FAIL, Verdict.PASS)


def test_an_item_that_cannot_be_seen_any_more_is_not_closed() -> None:
    moved = progress(look(shares=()), look(shares=None))
    assert moved.closed == ()
    assert [c.item for c in moved.still_open] == ["share:Projects"]
    assert [c.item for c in moved.opened] == ["section:shares"]
