"""Findings are accepted by the plan's waivers, with owner and until a day; the verdict follows."""

from __future__ import annotations

from datetime import date

from orchestrator.model.facts import ProductType
from orchestrator.model.plan import Waiver
from orchestrator.parity.assessment.assess import assess
from orchestrator.parity.assessment.result import Assessment
from orchestrator.parity.assessment.subject import Circumstances
from orchestrator.parity.result import Severity, Verdict, WaiverProblem
from tests.unit import builders as b
from tests.unit.parity.assessment import healthy as h

CONTROLLER = h.facts(identity=b.an_identity(product_type=ProductType.DOMAIN_CONTROLLER))


def assessed(*waivers: Waiver, on: date = b.TODAY) -> Assessment:
    return assess("DC01", CONTROLLER, Circumstances(on=on, release=2025), waivers)


def test_a_blocker_fails_until_somebody_accepts_it() -> None:
    assert assessed().verdict is Verdict.FAIL
    accepted = assessed(b.a_waiver("finding:Domain-Controller"))
    assert accepted.verdict is Verdict.PASS_WITH_WAIVERS
    assert accepted.blockers == ()
    (waived,) = [f for f in accepted.findings if f.waived]
    assert (waived.id, waived.severity) == ("domain-controller", Severity.BLOCKER)
    assert accepted.findings[-1] is waived


def test_an_expired_waiver_does_not_hold() -> None:
    waiver = b.a_waiver("finding:domain-controller", expires=date(2026, 12, 1))
    assert assessed(waiver, on=date(2026, 11, 30)).verdict is Verdict.PASS_WITH_WAIVERS
    late = assessed(waiver, on=date(2026, 12, 1))
    assert late.verdict is Verdict.FAIL
    assert [n.problem for n in late.waiver_notes] == [WaiverProblem.EXPIRED]
    assert [f.id for f in late.blockers] == ["domain-controller"]


def test_an_expired_waiver_makes_a_warning_a_blocker() -> None:
    result = assessed(b.a_waiver("finding:unsupported", expires=b.TODAY))
    assert {f.id for f in result.blockers} == {"domain-controller", "unsupported"}


def test_a_waiver_that_matches_no_finding_is_told_with_a_suggestion() -> None:
    (note,) = assessed(b.a_waiver("finding:domain-controler")).waiver_notes
    assert note.text == "matches no finding of this host; did you mean finding:domain-controller?"


def test_waivers_of_differences_are_left_to_the_comparison() -> None:
    assert assessed(b.a_waiver("service:Browser")).waiver_notes == ()


def test_the_order_of_waivers_makes_no_difference() -> None:
    one, two = b.a_waiver("finding:domain-controller"), b.a_waiver("finding:unsupported")
    assert assessed(one, two) == assessed(two, one)
