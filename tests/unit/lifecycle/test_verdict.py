"""The verdict on servers, decoys and half-known machines."""

from typing import Any

import pytest

from orchestrator.lifecycle import is_server_2008_sp2
from orchestrator.model.facts import Identity, ProductType


def identity(**differing: Any) -> Identity:
    known: dict[str, Any] = {
        "version": "6.0",
        "build": 6003,
        "product_name": "Windows Server (R) 2008 Standard",
        "edition": "ServerStandard",
        "product_type": ProductType.SERVER,
        "arch": "x64",
        "service_pack": "Service Pack 2",
        "hostname": "FILE01",
    }
    return Identity(**(known | differing))


@pytest.mark.parametrize("build", [6002, 6003])
@pytest.mark.parametrize("kind", [ProductType.SERVER, ProductType.DOMAIN_CONTROLLER])
def test_both_builds_and_both_kinds_of_server_are_it(build: int, kind: ProductType) -> None:
    assert is_server_2008_sp2(identity(build=build, product_type=kind)).yes is True


@pytest.mark.parametrize(
    ("differing", "word"),
    [
        ({"product_type": ProductType.WORKSTATION}, "Vista"),
        ({"version": "6.1", "build": 7601, "product_name": "Windows Server 2008 R2 Standard"}, "2008 R2"),
        ({"build": 6001}, "Service Pack 2 is not installed"),
        ({"version": "10.0", "build": 20348}, "2022"),
        ({"version": "10.0", "build": 6003}, "not 6.0"),
        ({"version": "9.9", "build": 1}, "9.9"),
    ],
)
def test_decoys_are_not_and_the_reason_is_given(differing: dict[str, Any], word: str) -> None:
    verdict = is_server_2008_sp2(identity(**differing))
    assert verdict.yes is False
    assert word in "; ".join(verdict.reasons)


def test_an_edited_name_changes_nothing_and_is_mentioned() -> None:
    renamed = is_server_2008_sp2(identity(product_name="Windows 11 Pro"))
    assert renamed.yes is True
    assert "can be edited" in renamed.reasons[-1]
    vista = is_server_2008_sp2(identity(product_type=ProductType.WORKSTATION))
    assert vista.yes is False
    assert "can be edited" in vista.reasons[-1]
    assert "can be edited" not in "".join(is_server_2008_sp2(identity()).reasons)


@pytest.mark.parametrize("missing", ["version", "build", "product_type"])
def test_what_is_unknown_leaves_the_verdict_open(missing: str) -> None:
    verdict = is_server_2008_sp2(identity(**{missing: None}))
    assert verdict.yes is None
    assert any("unknown" in reason for reason in verdict.reasons)


def test_one_fact_against_outweighs_what_is_unknown() -> None:
    assert is_server_2008_sp2(identity(version="6.1", product_type=None)).yes is False
