"""What a revert must not bring back: the cards and our own options as they were before it, as text that
outlives a crash. Pure: no call.

A revert takes the whole configuration back, so the text cannot be in it; it stands in the snapshot's
description, which a revert leaves alone, until all is done.
"""

from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError
from pyVmomi import vim

from orchestrator.model.base import Value
from orchestrator.model.machine import PowerState
from providers.vsphere.batch import Props
from providers.vsphere.convert import cards, devices_of, mac, power

OPTIONS_PATH = "config.extraConfig"
REVERTED_KEY = "ferry-reverted"
"""The extraConfig option that says for which effect the machine was reverted and put right."""
_OURS = "ferry-"
_NOTE = "ferry revert: "

_CARD = vim.vm.device.VirtualEthernetCard
_DVPORT = _CARD.DistributedVirtualPortBackingInfo


class CardState(Value):
    """Where a card is attached, and its link."""

    key: int
    mac: str
    kind: str
    """dvportgroup, opaque, portgroup; "" for one that cannot be put back."""
    network: str
    beside: str = ""
    """The distributed switch's UUID, the opaque network's type, the standard network's managed object id."""
    starts: bool
    up: bool


class Before(Value):
    """A machine before its revert."""

    effect: str
    power: PowerState
    cards: tuple[CardState, ...]
    options: tuple[tuple[str, str], ...]
    """Options of ours: the claim, the mark of an isolation or of a staged target."""
    free: tuple[int, ...] = ()
    """Keys of the cards whose link the guest itself may change."""

    def starts(self, card: CardState) -> bool:
        """Tell whether a card's link is to come up with the machine: not where it was down just now."""
        return card.starts and (card.up or self.power is not PowerState.ON)


def before(props: Props, effect: str) -> Before:
    """Read a machine's present state."""
    ours = {key: value for key, value in options(props).items() if key != REVERTED_KEY}
    found = cards(devices_of(props))
    return Before(
        effect=effect,
        power=power(props),
        cards=tuple(card_state(card) for card in found),
        options=tuple(sorted(ours.items())),
        free=tuple(card.key for card in found if guest_controls(card)),
    )


def options(props: Props) -> dict[str, str]:
    """Return the options of ours in a configuration; one that was taken off is empty or absent."""
    given = props.get(OPTIONS_PATH) or ()
    return {str(o.key): str(o.value) for o in given if str(o.key).startswith(_OURS) and o.value}


def guest_controls(card: Any) -> bool:
    """Tell whether the guest may connect and disconnect the card by itself."""
    return bool(card.connectable is not None and card.connectable.allowGuestControl)


def card_state(card: Any) -> CardState:
    """Read a card."""
    kind, network, beside = _place(card.backing)
    link = card.connectable
    return CardState(
        key=card.key,
        mac=mac(card),
        kind=kind,
        network=network,
        beside=beside,
        starts=bool(link is not None and link.startConnected),
        up=bool(link is not None and link.connected),
    )


def _place(backing: Any) -> tuple[str, str, str]:
    if isinstance(backing, _DVPORT) and backing.port.portgroupKey:
        return "dvportgroup", str(backing.port.portgroupKey), str(backing.port.switchUuid or "")
    if isinstance(backing, _CARD.OpaqueNetworkBackingInfo):
        return "opaque", str(backing.opaqueNetworkId), str(backing.opaqueNetworkType or "")
    if type(backing) is _CARD.NetworkBackingInfo:
        network = backing.network
        return "portgroup", str(backing.deviceName), "" if network is None else str(network._moId)
    return "", str(getattr(backing, "deviceName", "") or ""), ""


def backing(state: CardState, stub: Any) -> Any:
    """Return the backing that attaches a card as it was."""
    if state.kind == "dvportgroup":
        port = vim.dvs.PortConnection(portgroupKey=state.network, switchUuid=state.beside)
        return _DVPORT(port=port)
    if state.kind == "opaque":
        return _CARD.OpaqueNetworkBackingInfo(opaqueNetworkId=state.network, opaqueNetworkType=state.beside)
    network = vim.Network(state.beside, stub) if state.beside else None
    return _CARD.NetworkBackingInfo(deviceName=state.network, network=network)


def returned(was: Before, props: Props) -> list[str]:
    """Return in words which cards are not where they were, or came back up."""
    present = cards(devices_of(props))
    found = {(one.key, one.mac): one for one in map(card_state, present)}
    wrong = [f"card {one.mac} came or went" for one in came_or_went(was.cards, found.values())]
    for state in was.cards:
        now = found.get((state.key, state.mac))
        if now is not None and not same_place(now, state):
            wrong.append(f"card {state.mac} is on {now.network}, not on {state.network}")
        elif now is not None and not _link_fits(was, state, now):
            wrong.append(f"the link of card {state.mac} is not as it was")
    freed = [mac(card) for card in present if guest_controls(card) and card.key not in was.free]
    wrong += [f"the guest may connect card {one} by itself again" for one in freed]
    return wrong


def _link_fits(was: Before, state: CardState, now: CardState) -> bool:
    """Tell whether a link starts as it shall, and is not up where it was down."""
    return now.starts is was.starts(state) and (state.up or was.starts(state) or not now.up)


def same_place(one: CardState, other: CardState) -> bool:
    """Tell whether both are attached to the same network. A standard portgroup goes by its name."""
    if (one.kind, one.network) != (other.kind, other.network):
        return False
    return one.kind == "portgroup" or one.beside == other.beside


def came_or_went(ones: Iterable[CardState], others: Iterable[CardState]) -> list[CardState]:
    """Return the cards that only one of both has: same key and same MAC are the same card."""
    left, right = ({(c.key, c.mac): c for c in given} for given in (ones, others))
    return [(left | right)[key] for key in sorted(left.keys() ^ right.keys())]


def with_note(description: str, was: Before) -> str:
    """Return a snapshot's description with the note in it."""
    return f"{without_note(description)}\n{_NOTE}{was.model_dump_json()}"


def without_note(description: str) -> str:
    """Return a snapshot's description without the note."""
    return "\n".join(line for line in description.split("\n") if not line.startswith(_NOTE))


def noted(description: str) -> Before | None:
    """Read the note; None where there is none. Raises ValueError for one that somebody changed."""
    lines = [line for line in description.split("\n") if line.startswith(_NOTE)]
    if not lines:
        return None
    try:
        return Before.model_validate_json(lines[-1].removeprefix(_NOTE))
    except ValidationError as error:
        message = "the note of a revert in the snapshot's description cannot be read"
        raise ValueError(message) from error
