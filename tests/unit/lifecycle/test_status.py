"""What the support status of a server is on a day, and was, and why."""

from datetime import date, timedelta

import pytest

from orchestrator.lifecycle import (
    DISPUTES,
    FALSE_STATEMENTS,
    MILESTONES,
    Grade,
    Phase,
    SupportStatus,
    When,
    status_on,
)
from orchestrator.model.facts import Identity, ProductType
from tests.unit import builders as b

DURING_YEAR_4 = date(2023, 6, 1)


def of(build: int = 6003, day: date = b.TODAY, *, azure: bool = False, **identity) -> SupportStatus:
    return status_on(b.an_identity(build=build, **identity), day, azure)


def newer(version: str, build: int) -> Identity:
    return b.a_new_identity(build=build, version=version)


@pytest.mark.parametrize(
    ("build", "day", "phase"),
    [
        (6003, date(2015, 1, 13), Phase.MAINSTREAM),
        (6003, date(2015, 1, 14), Phase.EXTENDED),
        (6003, date(2020, 1, 14), Phase.EXTENDED),
        (6003, date(2020, 1, 15), Phase.PAID),
        (6002, date(2023, 1, 10), Phase.PAID),
        (6002, date(2026, 1, 13), Phase.PAID),
        (6002, date(2026, 1, 14), Phase.ENDED),
        (6001, date(2011, 7, 12), Phase.EXTENDED),
        (6001, date(2011, 7, 13), Phase.ENDED),
    ],
)
def test_the_phase_of_2008_on_a_day(build: int, day: date, phase: Phase) -> None:
    assert of(build, day).phase is phase


@pytest.mark.parametrize(
    ("version", "build", "phase"),
    [
        ("10.0", 20348, Phase.EXTENDED),
        ("10.0", 26100, Phase.MAINSTREAM),
        ("10.0", 99999, Phase.UNKNOWN),
        ("6.1", 7601, Phase.UNKNOWN),
    ],
)
def test_the_phase_of_other_releases(version: str, build: int, phase: Phase) -> None:
    assert status_on(newer(version, build), b.TODAY, False).phase is phase


def test_year_4_is_for_azure_and_premium_assurance_is_not() -> None:
    assert "year 4" in of(day=DURING_YEAR_4, azure=True).stage
    assert of(day=DURING_YEAR_4).stage == "Premium Assurance"
    late = date(2024, 1, 10)
    assert of(day=late, azure=True).phase is Phase.ENDED
    assert of(day=late).phase is Phase.PAID


@pytest.mark.parametrize("identity", [{"edition": "ServerWeb"}, {"edition": None, "sku": 17}])
def test_extended_security_updates_are_not_for_the_web_edition(identity: dict[str, object]) -> None:
    year_1 = next(s for s in of(**identity).stages if "year 1" in s.milestone.stage)
    assert (year_1.when, year_1.why) == (When.NEVER, "not sold for edition ServerWeb")


def test_nor_for_itanium() -> None:
    found = of(arch="ia64", edition="ServerEnterpriseIA64", day=date(2020, 6, 1))
    assert found.stage == "Premium Assurance"


def test_the_stages_say_what_was_and_what_is_to_come() -> None:
    found = of(day=date(2018, 1, 1))
    assert [s.when for s in found.stages[:3]] == [When.OVER, When.HOLDS, When.TO_COME]
    assert (found.free_until, found.paid_until) == (date(2020, 1, 14), date(2026, 1, 13))


def test_the_reason_names_stage_day_source_and_a_weak_grade() -> None:
    reason = of().reason
    assert "ended on 2026-01-13" in reason
    assert "https://" in reason
    assert "secondary" in reason
    assert "secondary" not in of(day=date(2019, 1, 1)).reason


def test_a_client_has_no_status() -> None:
    found = of(product_type=ProductType.WORKSTATION)
    assert (found.phase, found.stages) == (Phase.UNKNOWN, ())


def test_milestones_are_in_order_and_every_one_has_a_source() -> None:
    for stages in MILESTONES.values():
        days = [stage.last_day for stage in stages]
        assert days == sorted(days)
        assert all(stage.source.where for stage in stages)
    assert {s.source.grade for s in MILESTONES["2008"][:6]} == {Grade.VENDOR}


def test_the_day_after_a_milestone_is_a_new_stage() -> None:
    for milestone in MILESTONES["2008"]:
        azure = "Azure" in milestone.stage
        assert of(day=milestone.last_day, azure=azure).stage == milestone.stage
        after = of(day=milestone.last_day + timedelta(days=1), azure=azure)
        assert after.stage != milestone.stage or after.phase is Phase.ENDED


def test_every_dispute_is_resolved_with_a_reason_and_a_source() -> None:
    for dispute in DISPUTES:
        assert len({claim.says for claim in dispute.claims}) > 1
        assert dispute.used
        assert dispute.why
        assert dispute.source.where
    assert all(one.truth and one.source.where for one in FALSE_STATEMENTS)
