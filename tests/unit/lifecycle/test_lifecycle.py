"""Dates, editions, upgrade paths and removed features say what their sources say."""

import pytest

from orchestrator.lifecycle import (
    FEATURES,
    RELEASES,
    Change,
    changes_until,
    edition,
    release,
    release_of,
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
