"""Network cards: how one was connected, how it is while isolated, and the change from one to the other.
Pure.

A change sends every property of the card as it was read, with another backing or link: a description
that leaves out the MAC address would get a new one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pyVmomi import vim

from orchestrator.model.base import Value
from orchestrator.model.machine import PowerState
from orchestrator.model.network import IsolationMode, NicCapture
from providers.vsphere.batch import Props
from providers.vsphere.cardstate import CardState, card_state, same_place
from providers.vsphere.convert import cards, devices_of, mac, power, to_nic
from providers.vsphere.faults import conflict, permanent
from providers.vsphere.portgroups import Portgroup

MARK_KEY = "ferry-isolated"
"""The extraConfig option that names the network which a machine is isolated on."""
MARK_PATH = f'config.extraConfig["{MARK_KEY}"]'

_CARD = vim.vm.device.VirtualEthernetCard
_SPEC = vim.vm.device.VirtualDeviceSpec


class Former(Value):
    """A card before isolation, as `NicCapture.restore` holds it."""

    card: CardState
    guest_control: bool
    migrate: str | None
    running: bool
    mark: str
    """The machine's mark of an earlier isolation; empty: none."""


@dataclass(frozen=True, slots=True)
class Link:
    """A card's link: when the machine starts, now (None: as it is), and whether its guest may change it."""

    starts: bool
    up: bool | None
    guest_control: bool
    migrate: str | None


def by_mac(props: Props, name: str) -> dict[str, Any]:
    """Return a machine's cards by MAC address. Raises ProviderError: two cards of one address."""
    found = cards(devices_of(props))
    macs = [mac(card) for card in found]
    twice = sorted({one for one in macs if macs.count(one) > 1})
    if twice:
        message = f"machine {name} has more than one network card with the address {', '.join(twice)}"
        raise conflict(message, "cards are told apart by their address; give each its own")
    return dict(zip(macs, found, strict=True))


def captured(card: Any, props: Props, networks: Mapping[str, str]) -> NicCapture:
    """Return what is needed to put a card back."""
    link = _link(card)
    former = Former(
        card=card_state(card),
        guest_control=bool(link.allowGuestControl),
        migrate=None if link.migrateConnect is None else str(link.migrateConnect),
        running=power(props) is PowerState.ON,
        mark=mark_of(props),
    )
    nic = to_nic(card, power(props), networks)
    return NicCapture(key=mac(card), nic=nic, restore=former.model_dump_json())


def former_of(capture: NicCapture) -> Former:
    """Read a capture back. Raises ProviderError (PERMANENT)."""
    try:
        former = Former.model_validate_json(capture.restore)
    except ValidationError:
        former = None
    if former is None or former.card.mac != capture.key or not former.card.kind:
        message = f"what card {capture.key} was like before isolation cannot be read"
        raise permanent(
            message, "give the card back by hand: `ferry run show` and the report name its network"
        )
    return former


def mark_of(props: Props) -> str:
    """Return the id of the network that a machine is marked as isolated on; empty: none."""
    option = props.get(MARK_PATH)
    return "" if option is None else str(option.value or "")


def uncuttable(devices: list[Any]) -> str | None:
    """Say which device's packets are out of vCenter's hands; None if there is none."""
    for one in devices:
        words = str(getattr(one.deviceInfo, "label", "") or f"device {one.key}")
        if isinstance(one, vim.vm.device.VirtualSriovEthernetCard):
            return f"{words} ({mac(one)}) is an SR-IOV card: its packets pass the switch by"
        passed = isinstance(one, vim.vm.device.VirtualPCIPassthrough)
        if passed and not isinstance(one.backing, vim.vm.device.VirtualPCIPassthrough.VmiopBackingInfo):
            return f"{words} is passed through: if it is a network card, its packets pass the switch by"
        if isinstance(one, _CARD) and not card_state(one).kind:
            return f"{words} ({mac(one)}) is attached to something that ferry cannot put it back on"
    return None


def isolated_link(card: Any, mode: IsolationMode) -> Link:
    """Return the link of an isolated card: down and out of the guest's reach, or as it was."""
    link = _link(card)
    migrate = None if link.migrateConnect is None else str(link.migrateConnect)
    if mode is IsolationMode.UNPLUGGED:
        return Link(starts=False, up=False, guest_control=False, migrate=migrate)
    return Link(bool(link.startConnected), bool(link.connected), bool(link.allowGuestControl), migrate)


def former_link(former: Former, state: PowerState) -> Link:
    """Return the link that a card gets back. Stopped when it was captured and running now: the one that it
    would have started with; a stopped machine has no link to change."""
    up = former.card.up if former.running else former.card.starts
    return Link(
        starts=former.card.starts,
        up=up if state is PowerState.ON else None,
        guest_control=former.guest_control,
        migrate=former.migrate,
    )


def on_network(portgroup: Portgroup) -> Any:
    """Return the backing of a card on a network."""
    if portgroup.kind == "distributed":
        port = vim.dvs.PortConnection(portgroupKey=portgroup.id, switchUuid=portgroup.switch_uuid)
        return _CARD.DistributedVirtualPortBackingInfo(port=port)
    return _CARD.NetworkBackingInfo(deviceName=portgroup.name, network=portgroup.obj)


def is_on(card: Any, portgroup: Portgroup) -> bool:
    """Tell whether a card is on a network, by what identifies it and not by its name where that is known."""
    state = card_state(card)
    if portgroup.kind == "distributed":
        return (state.kind, state.network) == ("dvportgroup", portgroup.id)
    known = state.beside or portgroup.id
    return (state.kind, state.network, known) == ("portgroup", portgroup.name, portgroup.id)


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a card shall be connected. `backing` None: to what it is connected to now."""

    backing: Any | None
    link: Link


def change(card: Any, wanted: Wanted) -> Any | None:
    """Return the edit that makes a card what is wanted; None where it is that already."""
    now, link, backing = _link(card), wanted.link, wanted.backing
    up = bool(now.connected) if link.up is None else link.up
    migrate = None if now.migrateConnect is None else str(now.migrateConnect)
    seen = (bool(now.startConnected), bool(now.connected), bool(now.allowGuestControl), migrate)
    moved = backing is not None and not _same(card, backing)
    if not moved and seen == (link.starts, up, link.guest_control, link.migrate):
        return None
    edited = type(card)()
    for one in card._GetPropertyList():
        setattr(edited, one.name, getattr(card, one.name))
    if moved:
        edited.backing = backing
    edited.connectable = vim.vm.device.VirtualDevice.ConnectInfo(
        migrateConnect=link.migrate,
        startConnected=link.starts,
        allowGuestControl=link.guest_control,
        connected=up,
        status=now.status,
    )
    return _SPEC(operation=_SPEC.Operation.edit, device=edited)


def missed(card: Any, wanted: Wanted) -> bool:
    """Tell whether a card is, after its change, elsewhere, or connected though it should not be."""
    moved = wanted.backing is not None and not _same(card, wanted.backing)
    state = card_state(card)
    return moved or (state.starts and not wanted.link.starts) or (state.up and wanted.link.up is False)


def mark(value: str) -> Any:
    """Return the option that sets the mark; an empty one takes it off."""
    return vim.option.OptionValue(key=MARK_KEY, value=value)


def _same(card: Any, backing: Any) -> bool:
    other = type(card)(backing=backing, key=card.key, macAddress=card.macAddress)
    return same_place(card_state(card), card_state(other))


def _link(card: Any) -> Any:
    return card.connectable or vim.vm.device.VirtualDevice.ConnectInfo(
        startConnected=False, allowGuestControl=False, connected=False
    )
