"""Networks as XML: what ferry makes fits what it asked for; what does not fit is told apart."""

from __future__ import annotations

import pytest

from orchestrator.contract.ownership import Owner
from orchestrator.model.network import IsolationMode, NetworkSpec
from providers.kvm.networks import detachable, misfit, network_xml, owned, owner_of, to_network

SEALED = NetworkSpec(name="q", mode=IsolationMode.SEALED, create=True)
FILTERED = NetworkSpec(name="f", mode=IsolationMode.FILTERED, create=True, uplink="br-export")
STAGING = NetworkSpec(name="s", create=True)


def xml(inner: str) -> str:
    return f"<network><name>q</name><uuid>1</uuid>{inner}</network>"


@pytest.mark.parametrize("spec", [SEALED, FILTERED, STAGING])
def test_network_that_ferry_makes_fits_and_bears_its_token(spec: NetworkSpec) -> None:
    text = network_xml(spec, "ferry.R.h.isolate").replace("<bridge stp", "<bridge name='virbr9' stp")
    made = to_network(text, active=True)
    assert misfit(made, spec) is None
    assert (made.name, made.token, made.addresses) == (spec.name, "ferry.R.h.isolate", ())


@pytest.mark.parametrize("spec", [SEALED, FILTERED, STAGING])
def test_network_that_changes_hands_is_the_same_otherwise(spec: NetworkSpec) -> None:
    made = network_xml(spec, "ferry.R.h.isolate")
    text = owned(made, Owner("ferry.U.h.release-claim", former="ferry.R.h.isolate"))
    assert to_network(text, active=True).token == "ferry.U.h.release-claim"
    assert owner_of(text) == Owner("ferry.U.h.release-claim", former="ferry.R.h.isolate")
    assert owned(text, Owner("ferry.R.h.isolate")) == made


def test_network_without_a_mark_has_no_owner_and_gets_none() -> None:
    text = xml("<bridge name='b'/>")
    assert owner_of(text) is None
    assert owner_of(owned(text, Owner("t"))) is None


def test_name_that_looks_like_xml_stays_a_name() -> None:
    spec = SEALED.model_copy(update={"name": "<q>&'\""})
    assert to_network(network_xml(spec, "t"), active=True).name == spec.name


@pytest.mark.parametrize(
    ("inner", "part"),
    [
        ("<forward mode='nat'/><bridge name='b'/>", "uplink (nat)"),
        ("<forward dev='eth1'/><bridge name='b'/>", "uplink (nat:eth1)"),
        ("<forward mode='bridge'/><bridge name='b'/>", "uplink (bridge:b)"),
        ("<forward mode='passthrough'><interface dev='eth2'/></forward>", "uplink (passthrough:eth2)"),
        ("<bridge name='b'/><ip address='192.0.2.1' netmask='255.255.255.0'/>", "192.0.2.1/255.255.255.0"),
        ("<bridge name='b'/><ip family='ipv6' address='fd00::1' prefix='64'/>", "fd00::1/64"),
        ("", "no bridge"),
    ],
)
def test_network_that_is_not_sealed_is_told_apart(inner: str, part: str) -> None:
    assert part in str(misfit(to_network(xml(inner), active=True), SEALED))


@pytest.mark.parametrize(
    "inner",
    [
        "<bridge name='br-export'/>",
        "<forward mode='bridge'/><bridge name='br-other'/>",
        "<forward mode='nat'/><bridge name='br-export'/>",
        "<forward mode='bridge'><interface dev='br-export'/></forward>",
    ],
)
def test_network_with_another_uplink_is_told_apart(inner: str) -> None:
    assert "bridge:br-export" in str(misfit(to_network(xml(inner), active=True), FILTERED))


@pytest.mark.parametrize(
    ("inner", "can"),
    [
        ("<bridge name='b'/>", True),
        ("<forward mode='nat'/><bridge name='b'/>", True),
        ("<forward mode='bridge'/><bridge name='b'/>", True),
        ("<forward mode='bridge'><interface dev='eth0'/></forward>", False),
        ("<forward mode='vepa'><interface dev='eth0'/></forward>", False),
        ("<forward mode='hostdev'/>", False),
    ],
)
def test_running_card_can_be_moved_off_bridges_only(inner: str, can: bool) -> None:
    assert detachable(xml(inner)) is can
