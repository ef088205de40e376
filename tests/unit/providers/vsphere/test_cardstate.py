"""What a revert would bring back is put back; the note of it survives in a description."""

from __future__ import annotations

from typing import Any

import pytest
from pyVmomi import vim

from orchestrator.model.machine import PowerState
from providers.vsphere.cardstate import (
    OPTIONS_PATH,
    before,
    came_or_went,
    card_state,
    noted,
    options,
    returned,
    with_note,
    without_note,
)
from providers.vsphere.revert import cards_back

CARD = vim.vm.device.VirtualEthernetCard
ON, OFF = "poweredOn", "poweredOff"


def card(
    network: str,
    *,
    starts: bool = True,
    up: bool = True,
    free: bool = True,
    key: int = 4000,
    mac: str = "00:50:56:00:00:01",
) -> Any:
    return vim.vm.device.VirtualE1000(
        key=key,
        macAddress=mac,
        backing=CARD.NetworkBackingInfo(deviceName=network, network=vim.Network(f"network-{network}")),
        connectable=vim.vm.device.VirtualDevice.ConnectInfo(
            startConnected=starts, connected=up, allowGuestControl=free
        ),
    )


def distributed(portgroup: str) -> Any:
    made = card("x")
    port = vim.dvs.PortConnection(
        portgroupKey=portgroup, switchUuid="sw-1", portKey="17", connectionCookie=4711
    )
    made.backing = CARD.DistributedVirtualPortBackingInfo(port=port)
    return made


def props(*cards: Any, power: str = ON, **extra: str) -> dict[str, Any]:
    given = [vim.option.OptionValue(key=k.replace("_", "-"), value=v) for k, v in extra.items()]
    return {"config.hardware.device": list(cards), "runtime.powerState": power, OPTIONS_PATH: given}


def test_a_card_that_was_moved_since_the_snapshot_is_moved_again_as_the_same_device():
    was = before(props(card("quarantine")), "e1")
    back = card("production", up=False)
    (edit,) = cards_back(was, props(back, power=OFF), None)
    assert (edit.operation, edit.device.key, type(edit.device)) == ("edit", back.key, type(back))
    assert (edit.device.macAddress, edit.device.backing.deviceName) == ("00:50:56:00:00:01", "quarantine")
    assert (edit.device.connectable.startConnected, edit.device.connectable.connected) == (True, False)


def test_a_link_that_was_taken_down_on_a_running_machine_stays_down_after_its_restart():
    for starts in (True, False):
        was = before(props(card("production", starts=starts, up=False)), "e1")
        back = card("production", up=False)
        (edit,) = cards_back(was, props(back, power=OFF), None)
        assert edit.device.connectable.startConnected is False
        assert returned(was, props(back, power=OFF)) == [
            "the link of card 00:50:56:00:00:01 is not as it was"
        ]
        assert returned(was, props(edit.device, power=OFF)) == []


def test_a_guest_that_may_not_connect_its_card_may_not_do_so_after_a_revert():
    was = before(props(card("production", starts=False, up=False, free=False)), "e1")
    back = card("production", starts=False, up=False)
    assert returned(was, props(back, power=OFF)) == [
        "the guest may connect card 00:50:56:00:00:01 by itself again"
    ]
    (edit,) = cards_back(was, props(back, power=OFF), None)
    assert edit.device.connectable.allowGuestControl is False


def test_a_card_that_is_as_it_was_is_not_touched():
    was = before(props(card("production")), "e1")
    assert list(cards_back(was, props(card("production", up=False), power=OFF), None)) == []
    assert returned(was, props(card("production", up=False), power=OFF)) == []


def test_a_card_goes_back_to_its_distributed_portgroup_on_a_fresh_port():
    was = before(props(distributed("dvportgroup-9")), "e1")
    back = distributed("dvportgroup-1")
    (edit,) = cards_back(was, props(back, power=OFF), None)
    port = edit.device.backing.port
    assert (port.portgroupKey, port.switchUuid) == ("dvportgroup-9", "sw-1")
    assert (port.portKey, port.connectionCookie) == (None, None)


def test_cards_that_came_back_are_named():
    was = before(props(card("quarantine"), card("lan", key=4001, mac="00:50:56:00:00:02", up=False)), "e1")
    wrong = returned(
        was, props(card("production"), card("lan", key=4001, mac="00:50:56:00:00:02"), power=OFF)
    )
    assert wrong == [
        "card 00:50:56:00:00:01 is on production, not on quarantine",
        "the link of card 00:50:56:00:00:02 is not as it was",
    ]
    assert returned(was, props(card("quarantine"))) == ["card 00:50:56:00:00:02 came or went"]


def test_the_same_key_with_another_mac_is_another_card():
    one, other = card_state(card("lan")), card_state(card("lan", mac="00:50:56:00:00:09"))
    assert came_or_went([one], [other]) == [one, other]
    assert came_or_went([one], [one]) == []


def test_a_backing_that_cannot_be_put_back_has_no_kind():
    odd = card("x")
    odd.backing = CARD.DistributedVirtualPortBackingInfo(port=vim.dvs.PortConnection(portKey="3"))
    assert card_state(odd).kind == ""


def test_options_of_ours_are_kept_and_no_others():
    found = props(card("lan"), ferry_claim='{"run": "r1"}', ferry_token="", svga_present="TRUE")
    assert options(found) == {"ferry-claim": '{"run": "r1"}'}
    assert before(found, "e1").options == (("ferry-claim", '{"run": "r1"}'),)


def test_a_note_comes_back_as_it_was_and_goes_without_a_trace():
    was = before(props(card("quarantine"), ferry_claim='{"run": "r\\n1"}'), "e1")
    text = "ferry run r1\nferry token: t1\nferry consistency: crash"
    assert noted(text) is None
    assert noted(with_note(text, was)) == was
    assert was.power is PowerState.ON
    assert without_note(with_note(with_note(text, was), was)) == text


def test_a_note_that_somebody_changed_is_not_guessed_at():
    with pytest.raises(ValueError, match="cannot be read"):
        noted('ferry token: t1\nferry revert: {"effect": "e1"}')
