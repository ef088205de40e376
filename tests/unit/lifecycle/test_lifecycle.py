"""Dates, editions, upgrade paths and removed features say what their sources say."""

from datetime import date

import pytest

from orchestrator.lifecycle import (
    FEATURES,
    RELEASES,
    Change,
    Phase,
    changes_until,
    edition,
    release,
    release_of,
    support_status,
    upgrade_chain,
)
from orchestrator.model.facts import Identity, ProductType


def server(version: str, build: int, kind: ProductType = ProductType.SERVER) -> Identity:
    return Identity(
        version=version,
        build=build,
        product_name=None,
        edition=None,
        product_type=kind,
        arch="x64",
        service_pack=None,
        hostname=None,
    )


@pytest.mark.parametrize(
    ("version", "build", "day", "phase"),
    [
        ("6.0", 6003, date(2015, 1, 13), Phase.MAINSTREAM),
        ("6.0", 6003, date(2020, 1, 14), Phase.EXTENDED),
        ("6.0", 6003, date(2020, 1, 15), Phase.PAID),
        ("6.0", 6002, date(2024, 1, 9), Phase.PAID),
        ("6.0", 6002, date(2026, 1, 14), Phase.ENDED),
        ("6.0", 6001, date(2012, 1, 1), Phase.ENDED),
        ("6.1", 7601, date(2026, 1, 1), Phase.UNKNOWN),
        ("10.0", 20348, date(2026, 11, 23), Phase.EXTENDED),
        ("10.0", 26100, date(2026, 11, 23), Phase.MAINSTREAM),
        ("10.0", 99999, date(2026, 11, 23), Phase.UNKNOWN),
    ],
)
def test_support_phase_on_a_day(version: str, build: int, day: date, phase: Phase) -> None:
    status = support_status(server(version, build), day)
    assert status.phase is phase
    assert status.reason


def test_the_reason_names_stage_day_and_source() -> None:
    reason = support_status(server("6.0", 6003), date(2026, 11, 23)).reason
    assert "ended on 2026-01-13" in reason
    assert "https://" in reason
    assert "about 2029-10-31" in support_status(server("10.0", 26100), date(2026, 11, 23)).reason


def test_a_client_has_no_server_release() -> None:
    assert release_of(server("6.0", 6003, ProductType.WORKSTATION)) is None
    assert release_of(server("6.0", 6003)) == release("2008")


def test_builds_are_named_once() -> None:
    builds = [build for one in RELEASES for build in one.builds]
    assert len(builds) == len(set(builds))


@pytest.mark.parametrize(
    ("source", "target", "arch", "chain"),
    [
        ("2008", "2025", "x64", ("2008", "2012", "2016", "2025")),
        ("2008", "2022", "x64", ("2008", "2012", "2016", "2022")),
        ("2022", "2025", "x64", ("2022", "2025")),
        ("2025", "2022", "x64", None),
        ("2008", "2025", "x86", None),
        ("2008", "2025", "ia64", None),
    ],
)
def test_upgrade_chain(source: str, target: str, arch: str, chain: tuple[str, ...] | None) -> None:
    assert upgrade_chain(source, target, arch) == chain


def test_editions_by_sku() -> None:
    core = edition(13)
    assert core is not None
    assert (core.name, core.core, core.hyper_v) == ("Standard", True, True)
    plain = edition(36)
    assert plain is not None
    assert (plain.name, plain.core, plain.hyper_v) == ("Standard", False, False)
    assert edition(1) is None


def test_changes_grow_with_the_release() -> None:
    until_2022, until_2025 = set(changes_until("2022")), set(changes_until("2025"))
    assert until_2022 < until_2025 == set(FEATURES)
    smtp = next(one for one in until_2025 - until_2022 if one.feature == "SMTP Server")
    assert smtp.change is Change.REMOVED


def test_every_fact_has_a_source() -> None:
    assert all(one.sources and all(source.where for source in one.sources) for one in RELEASES)
    assert all(one.source.where for one in FEATURES)
