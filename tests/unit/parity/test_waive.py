"""Waivers accept differences for a time, and never what nobody has seen."""

from __future__ import annotations

from datetime import date
from typing import Any

from orchestrator.model.plan import ParitySpec, Waiver
from orchestrator.parity.compare import compare
from orchestrator.parity.result import ParityResult, Severity, State, Verdict, WaiverProblem
from tests.unit import builders as b


def run(*waivers: Waiver, today: date = b.TODAY, old: Any = None, new: Any = None) -> ParityResult:
    spec = ParitySpec(profile="generic", waivers=waivers)
    lacking = new or b.new_facts(shares=())
    return compare(old or b.server_facts(), lacking, spec, release=2025, today=today)


def problems(result: ParityResult) -> list[tuple[str, WaiverProblem]]:
    return [(note.item, note.problem) for note in result.waiver_notes]


def test_a_waiver_makes_a_pass_with_waivers() -> None:
    waiver = b.a_waiver("Share:PROJECTS")
    result = run(waiver)
    assert result.verdict is Verdict.PASS_WITH_WAIVERS
    (waived,) = [i for i in result.items if i.state is State.WAIVED]
    assert (waived.waived, waived.waiver) == (State.MISSING, waiver)
    assert result.waiver_notes == ()


def test_on_its_last_day_it_counts_and_from_its_expiry_on_it_fails() -> None:
    waiver = b.a_waiver("share:Projects", expires=date(2026, 12, 1))
    assert run(waiver, today=date(2026, 11, 30)).verdict is Verdict.PASS_WITH_WAIVERS
    late = run(waiver, today=date(2026, 12, 1))
    assert late.verdict is Verdict.FAIL
    assert problems(late) == [("share:Projects", WaiverProblem.EXPIRED)]


def test_an_expired_waiver_fails_even_what_would_only_be_a_warning() -> None:
    new = b.new_facts(network=b.a_network_config(hosts=()))
    assert run(new=new).verdict is Verdict.PASS
    result = run(b.a_waiver("hosts:erp", expires=b.TODAY), new=new)
    assert result.verdict is Verdict.FAIL
    assert result.items[0].severity is Severity.BLOCKER


def test_a_waiver_that_matches_nothing_is_reported_with_a_suggestion() -> None:
    result = run(b.a_waiver("share:Project"), b.a_waiver("service:Nonsense"))
    assert problems(result) == [
        ("service:Nonsense", WaiverProblem.UNMATCHED),
        ("share:Project", WaiverProblem.UNMATCHED),
    ]
    assert "did you mean share:Projects?" in result.waiver_notes[1].text
    assert result.verdict is Verdict.FAIL


def test_a_waiver_that_is_not_needed_is_reported() -> None:
    result = run(b.a_waiver("service:Spooler"), b.a_waiver("network:name"))
    assert [p for _, p in problems(result)] == [WaiverProblem.UNNEEDED, WaiverProblem.UNNEEDED]


def test_the_unknown_cannot_be_waived() -> None:
    result = run(b.a_waiver("section:shares"), new=b.new_facts(shares=None))
    assert result.verdict is Verdict.CANNOT_TELL
    assert problems(result) == [("section:shares", WaiverProblem.UNKNOWN)]


def test_of_two_waivers_the_longer_one_counts_whatever_their_order() -> None:
    short = b.a_waiver("share:Projects", expires=date(2026, 1, 1))
    long = b.a_waiver("SHARE:projects")
    assert run(short, long) == run(long, short)
    assert run(short, long).verdict is Verdict.PASS_WITH_WAIVERS


def test_a_waiver_of_a_finding_is_no_affair_of_the_comparison() -> None:
    result = run(b.a_waiver("finding:32-bit", expires=b.TODAY), new=b.new_facts())
    assert result.waiver_notes == ()
    assert result.verdict is Verdict.PASS
