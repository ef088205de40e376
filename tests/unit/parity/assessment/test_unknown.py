"""What nobody has seen is never fine: it is a finding, and no waiver makes it go away."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.model.facts import ServerFacts
from orchestrator.parity.assessment.assess import CHECKS, assess
from orchestrator.parity.assessment.result import Assessment
from orchestrator.parity.assessment.subject import Circumstances
from orchestrator.parity.result import Severity, Verdict, WaiverProblem
from tests.unit import builders as b
from tests.unit.parity.assessment import healthy as h

NEEDS = sorted({need for check in CHECKS for need in check.needs})
PLAN = Circumstances(on=b.TODAY, release=2025)


def without(need: str) -> ServerFacts:
    section, _, field = need.partition(".")
    if not field:
        return h.facts(**{section: None}, unknown=((section, "the hive is damaged"),))
    known = getattr(h.facts(), section)
    return h.facts(**{section: known.model_copy(update={field: None})})


def assessed(facts: ServerFacts, **changes: Any) -> Assessment:
    return assess("FILE01", facts, PLAN, **changes)


@pytest.mark.parametrize("need", NEEDS)
def test_each_thing_that_a_check_needs_is_told_when_it_is_unknown(need: str) -> None:
    result = assessed(without(need))
    (finding,) = [f for f in result.findings if f.item == f"finding:cannot-tell:{need}"]
    assert finding.cannot_tell
    assert finding.grounds[0].value.startswith("unknown: ")
    expected = Verdict.PASS if finding.severity is Severity.INFO else Verdict.CANNOT_TELL
    assert result.verdict is expected


def test_the_reason_stands_in_the_evidence() -> None:
    (finding,) = [f for f in assessed(without("disks")).findings if f.cannot_tell]
    assert finding.grounds[0].value == "unknown: the hive is damaged"


def test_an_unknown_part_makes_its_section_unknown() -> None:
    facts = h.facts(unknown=(("security.lm_compatibility", "access denied"),))
    (finding,) = [f for f in assessed(facts).findings if f.cannot_tell]
    assert finding.item == "finding:cannot-tell:security"
    assert "NTLMv1" in finding.title


def test_what_hides_a_blocker_is_as_serious_as_that() -> None:
    (finding,) = [f for f in assessed(without("services")).findings if f.cannot_tell]
    assert finding.severity is Severity.BLOCKER
    assert "cluster node" in finding.title


def test_the_unknown_is_no_blocker_that_somebody_could_accept() -> None:
    assert assessed(without("services")).blockers == ()


def test_the_unknown_cannot_be_waived() -> None:
    result = assessed(without("services"), waivers=(b.a_waiver("finding:cannot-tell:services"),))
    assert result.verdict is Verdict.CANNOT_TELL
    assert [note.problem for note in result.waiver_notes] == [WaiverProblem.UNKNOWN]


def test_facts_of_version_1_leave_much_unknown_and_nothing_fine() -> None:
    hidden = {f.detail for f in assessed(b.version_1_facts()).findings if f.cannot_tell}
    assert {"programs", "security", "disks", "servicing.sha2"} <= hidden
