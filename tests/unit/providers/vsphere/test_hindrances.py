"""What keeps a machine from being cut off is said before anything is changed."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.model.machine import PowerState
from orchestrator.model.network import IsolationMode, IsolationSpec
from providers.vsphere.hindrances import isolation_findings, obstacle
from tests.unit.builders import a_machine, a_nic

UNPLUGGED = IsolationSpec(mode=IsolationMode.UNPLUGGED)
NIC = a_nic(network="portgroup:VM Network")


class Blind:
    """An inventory of which nothing may be asked: unplugging needs no network."""

    known_networks = None


def hindrances(**changes: Any) -> list[str]:
    machine = a_machine(**{"nics": (NIC,), **changes})
    found = isolation_findings(Blind(), Blind(), machine, UNPLUGGED)  # type: ignore[arg-type]
    return [f.check for f in found if not f.ok]


def test_an_ordinary_machine_can_be_unplugged() -> None:
    assert hindrances() == []
    assert hindrances(power=PowerState.OFF) == []
    assert hindrances(nics=()) == []


def test_a_suspended_machine_cannot_be_changed() -> None:
    assert hindrances(power=PowerState.PAUSED) == ["power"]


def test_two_cards_of_one_address_are_a_hindrance() -> None:
    assert hindrances(nics=(NIC, NIC)) == ["network cards"]


@pytest.mark.parametrize(
    ("model", "network", "free"),
    [
        ("vmxnet3", "portgroup:lan", True),
        ("e1000", "dvportgroup:lan", True),
        ("sriovethernetcard", "portgroup:lan", False),
        ("e1000", "portgroup:", False),
        ("e1000", "legacy:lan", False),
    ],
)
def test_a_card_that_passes_the_switch_by_or_cannot_go_back_is_refused(
    model: str, network: str, free: bool
) -> None:
    assert (obstacle(model, network) is None) is free
