"""A card's way into isolation and back: the same card, everything said, nothing guessed."""

from __future__ import annotations

from typing import Any

import pytest
from pyVmomi import vim

from orchestrator.contract.conformance.support import refused
from orchestrator.contract.errors import ErrorKind
from orchestrator.model.machine import PowerState
from orchestrator.model.network import IsolationMode
from providers.vsphere.cards import (
    MARK_PATH,
    Link,
    Wanted,
    by_mac,
    captured,
    change,
    former_link,
    former_of,
    is_on,
    isolated_link,
    mark_of,
    missed,
    on_network,
    uncuttable,
)
from providers.vsphere.cardstate import backing as former_backing
from tests.unit.providers.vsphere.test_cardstate import card, distributed, props
from tests.unit.providers.vsphere.test_portgroups import distributed as distributed_portgroup
from tests.unit.providers.vsphere.test_portgroups import dvpg, group, host, standard, tag

UNPLUGGED, SEALED = IsolationMode.UNPLUGGED, IsolationMode.SEALED


def test_an_edit_is_the_whole_card_but_for_its_network() -> None:
    old = card("lan")
    old.wakeOnLanEnabled, old.addressType, old.unitNumber, old.externalId = True, "assigned", 7, "x"
    found = change(old, Wanted(on_network(standard(host(group("q")))), isolated_link(old, SEALED)))
    assert found is not None
    assert found.operation == "edit"
    same = ("key", "macAddress", "addressType", "wakeOnLanEnabled", "unitNumber", "externalId")
    assert [getattr(found.device, name) for name in same] == [getattr(old, name) for name in same]
    assert type(found.device) is type(old)
    assert found.device.backing.deviceName == "q"
    assert (found.device.connectable.startConnected, found.device.connectable.connected) == (True, True)
    assert old.backing.deviceName == "lan", "what was read is not touched"


def test_an_unplugged_card_stays_on_its_network_out_of_the_guests_reach() -> None:
    old = distributed("dvportgroup-1")
    found = change(old, Wanted(None, isolated_link(old, UNPLUGGED)))
    assert found is not None
    assert found.device.backing is old.backing
    link = found.device.connectable
    assert (link.startConnected, link.connected, link.allowGuestControl) == (False, False, False)


def test_a_link_that_was_down_stays_down_when_sealed() -> None:
    old = card("lan", starts=False, up=False)
    link = isolated_link(old, SEALED)
    assert (link.starts, link.up) == (False, False)


def test_nothing_changes_where_all_is_as_wanted() -> None:
    portgroup = distributed_portgroup(dvpg("dvportgroup-1", "q", tag(7)))
    old = distributed("dvportgroup-1")
    old.backing.port.switchUuid = portgroup.switch_uuid
    assert change(old, Wanted(on_network(portgroup), isolated_link(old, SEALED))) is None
    assert is_on(old, portgroup)


def test_a_network_of_the_same_name_is_not_the_same_network() -> None:
    portgroup = standard(host(group("q")))  # network-1
    there = card("q")
    assert not is_on(there, portgroup)
    there.backing.network = vim.Network("network-1")
    assert is_on(there, portgroup)


@pytest.mark.parametrize(
    "old", [card("lan"), card("lan", starts=False, up=True, free=False), distributed("d-1")]
)
def test_what_is_captured_is_what_comes_back(old: Any) -> None:
    capture = captured(old, props(old), {})
    former = former_of(capture)
    assert capture.key == former.card.mac == "00:50:56:00:00:01"
    isolated = change(old, Wanted(on_network(standard(host(group("q")))), isolated_link(old, UNPLUGGED)))
    assert isolated is not None
    back = change(
        isolated.device, Wanted(former_backing(former.card, None), former_link(former, PowerState.ON))
    )
    assert back is not None
    link, was = back.device.connectable, old.connectable
    assert (link.startConnected, link.connected, link.allowGuestControl) == (
        was.startConnected,
        was.connected,
        was.allowGuestControl,
    )
    assert not missed(
        back.device, Wanted(former_backing(former.card, None), former_link(former, PowerState.ON))
    )


def test_a_machine_that_was_stopped_meanwhile_gets_no_live_link() -> None:
    old = card("lan", starts=True, up=True)
    former = former_of(captured(old, props(old), {}))
    assert former_link(former, PowerState.OFF).up is None
    assert former_link(former, PowerState.ON).up is True
    off = former_of(captured(card("lan", starts=True, up=False), props(old, power="poweredOff"), {}))
    assert former_link(off, PowerState.ON).up is True


@pytest.mark.parametrize("text", ["<>{", "{}", '{"card": 1}'])
def test_a_capture_that_cannot_be_read_is_refused(text: str) -> None:
    old = card("lan")
    capture = captured(old, props(old), {}).model_copy(update={"restore": text})
    with refused(ErrorKind.PERMANENT):
        former_of(capture)


def test_a_capture_of_another_card_is_refused() -> None:
    old = card("lan")
    with refused(ErrorKind.PERMANENT):
        former_of(captured(old, props(old), {}).model_copy(update={"key": "00:50:56:00:00:02"}))


def test_two_cards_of_one_address_are_refused() -> None:
    with refused(ErrorKind.CONFLICT):
        by_mac(props(card("a"), card("b", key=4001)), "web01")


def test_a_card_that_did_not_move_is_noticed() -> None:
    old = card("lan")
    wanted = Wanted(on_network(standard(host(group("q")))), isolated_link(old, SEALED))
    assert missed(old, wanted)
    assert missed(old, Wanted(None, isolated_link(old, UNPLUGGED)))
    assert not missed(old, Wanted(None, Link(True, True, True, None)))


def test_devices_out_of_reach_are_refused() -> None:
    passed = vim.vm.device.VirtualPCIPassthrough(
        key=13000, backing=vim.vm.device.VirtualPCIPassthrough.DeviceBackingInfo(id="0000:03:00.0")
    )
    graphics = vim.vm.device.VirtualPCIPassthrough(
        key=13001, backing=vim.vm.device.VirtualPCIPassthrough.VmiopBackingInfo(vgpu="grid")
    )
    sriov = vim.vm.device.VirtualSriovEthernetCard(key=4000, macAddress="00:50:56:00:00:01")
    unattached = card("lan")
    unattached.backing = None
    assert uncuttable([card("lan"), distributed("d"), graphics]) is None
    assert all(uncuttable([card("lan"), one]) for one in (passed, sriov, unattached))


def test_the_mark_is_read() -> None:
    assert mark_of({}) == ""
    assert (
        mark_of({MARK_PATH: vim.option.OptionValue(key="ferry-isolated", value="network-7")}) == "network-7"
    )
