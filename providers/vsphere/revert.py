"""Reverting to a snapshot. vCenter takes disks, memory *and* configuration back: the cards of a machine that
was cut off since would be where they were, and its claim would be an older run's. So: note what is, revert
(which leaves the machine off), put cards and options back, look, and only then start it.

Every step can be repeated: the note in the snapshot's description outlives a crash, and a mark in the
machine's options says that the repair after the revert is done.
"""

from collections.abc import Iterator
from typing import Any

from pyVmomi import vim

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.provider import Effect, claimed
from orchestrator.model.machine import Claim, Machine, MachineRef, PowerState
from providers.vsphere.batch import Props, of
from providers.vsphere.cards import Link as CardLink
from providers.vsphere.cards import Wanted, change
from providers.vsphere.cardstate import (
    OPTIONS_PATH,
    REVERTED_KEY,
    Before,
    CardState,
    backing,
    before,
    came_or_went,
    card_state,
    noted,
    options,
    returned,
    same_place,
    with_note,
    without_note,
)
from providers.vsphere.convert import CLAIM_KEY, CLAIM_PATH, VERSION_PATH, cards, devices_of, to_claim
from providers.vsphere.faults import conflict, permanent
from providers.vsphere.inventory import VsphereInventory
from providers.vsphere.link import Link
from providers.vsphere.power import VspherePower
from providers.vsphere.view import View

REVERT_PATHS = (OPTIONS_PATH, VERSION_PATH)
_FROZEN = ("config.hardware.device", OPTIONS_PATH)


class Reverter:
    """Reverts one machine at a time. Shared between threads."""

    def __init__(self, link: Link, inventory: VsphereInventory) -> None:
        self._link = link
        self._inventory = inventory
        self._power = VspherePower(link, inventory)

    def revert(self, view: View, node: Any, ref: MachineRef, effect: Effect) -> Machine:
        """Revert the machine to the snapshot of a node of its tree. `view` holds `REVERT_PATHS`."""
        was = _note(node, ref)
        repaired_before = options(view.props).get(REVERTED_KEY) == effect.token
        if was is None and repaired_before:
            return self._inventory.to_machine(view)
        if was is not None and was.effect != effect.token:
            message = f"another revert of {ref.name} ({was.effect}) was interrupted: its cards may be back"
            raise conflict(message, "resume that one first; its note stands in the snapshot's description")
        if not repaired_before:
            frozen = self._frozen(node, ref)
            if was is None:
                was = self._begin(view, node, ref, frozen, effect)
            self._back(node, ref, frozen, was, effect)
        assert was is not None  # noqa: S101  # noted above
        return self._finish(node, ref, was, effect)

    def _frozen(self, node: Any, ref: MachineRef) -> Props:
        """Return the configuration that the snapshot holds."""
        what = f"read snapshot {node.name} of {ref.name}"
        seen = self._link.fetch(what, of(vim.vm.Snapshot, [node.snapshot], _FROZEN))
        return seen[node.snapshot._moId].props

    def _begin(self, view: View, node: Any, ref: MachineRef, frozen: Props, effect: Effect) -> Before:
        """Refuse what could go wrong, then note what is."""
        was = before(view.props, effect.token)
        _refuse(view, node, ref, was, frozen)
        text = with_note(node.description or "", was)
        what = f"note the cards of {ref.name} before its revert"
        self._link.act(effect, what, lambda: node.snapshot.RenameSnapshot(node.name, text))
        return was

    def _back(self, node: Any, ref: MachineRef, frozen: Props, was: Before, effect: Effect) -> None:
        """Revert, then put cards and options back in one reconfiguration."""
        stays_off = was.power is not PowerState.ON
        what = f"revert {ref.name} to snapshot {node.name}"
        self._link.run(effect, what, lambda: node.snapshot.RevertToSnapshot_Task(suppressPowerOn=stays_off))
        view = self._inventory.view(ref, *REVERT_PATHS)
        _refuse_other_holder(view, ref, was, frozen)
        spec = vim.vm.ConfigSpec(
            changeVersion=view.props[VERSION_PATH],
            deviceChange=list(cards_back(was, view.props, self._link.session.stub)),
            extraConfig=_options_back(was, options(view.props)),
        )
        what = f"put cards and claim of {ref.name} back after its revert"
        self._link.run(effect, what, lambda: view.vm.ReconfigVM_Task(spec))

    def _finish(self, node: Any, ref: MachineRef, was: Before, effect: Effect) -> Machine:
        """Look, start the machine if it ran, look again, take the note off."""
        self._check(ref, was)
        if was.power is PowerState.ON:
            self._power.ensure_power(ref, PowerState.ON, effect)
            self._check(ref, was)
        text = without_note(node.description or "")
        what = f"take the note of the revert off {ref.name}"
        self._link.act(effect, what, lambda: node.snapshot.RenameSnapshot(node.name, text))
        return self._inventory.machine(ref)

    def _check(self, ref: MachineRef, was: Before) -> None:
        wrong = returned(was, self._inventory.view(ref).props)
        if wrong:
            message = f"machine {ref.name} was reverted, but {'; '.join(wrong)}"
            raise permanent(message, "it is not started; put its cards right in vCenter before anybody does")


def _note(node: Any, ref: MachineRef) -> Before | None:
    try:
        return noted(node.description or "")
    except ValueError as error:
        message = f"machine {ref.name}: {error}"
        hint = "look at its cards in vCenter, then take that line off the description"
        raise conflict(message, hint) from None


def _refuse(view: View, node: Any, ref: MachineRef, was: Before, frozen: Props) -> None:
    if node.childSnapshotList:
        later = node.childSnapshotList[0].name
        message = f"machine {ref.name} has a later snapshot, {later}"
        raise conflict(message, "remove the later one first")
    if view.props.get("runtime.consolidationNeeded"):
        message = f"the disks of {ref.name} need consolidation"
        raise conflict(message, "consolidate them in vCenter first")
    then = [card_state(card) for card in cards(devices_of(frozen))]
    odd = came_or_went(was.cards, then)
    if odd:
        message = f"a card of {ref.name} came or went since the snapshot: {', '.join(c.mac for c in odd)}"
        raise conflict(message, "revert it by hand, with its cards unplugged")
    if str(node.state) == "poweredOn":
        _refuse_memory(ref, was, before(frozen, was.effect))
    lost = [card.mac for card in was.cards if not card.kind]
    if lost:
        message = f"cards of {ref.name} are attached in a way that cannot be put back: {', '.join(lost)}"
        raise ProviderError(ErrorKind.UNSUPPORTED, message, hint="revert it by hand, with these unplugged")


def _refuse_memory(ref: MachineRef, was: Before, then: Before) -> None:
    """A snapshot with memory resumes at once, cards and all: there is no moment to put them back."""
    cards_then = {card.key: card for card in then.cards}
    moved = [c.mac for c in was.cards if not _same(c, cards_then[c.key], was.power)]
    moved += [c.mac for c in was.cards if c.key in then.free and c.key not in was.free]
    if moved:
        message = f"the snapshot holds memory; cards of {ref.name} were elsewhere then: {', '.join(moved)}"
        hint = "it would run with its old cards at once; release it first, or revert by hand off the network"
        raise conflict(message, hint)


def _same(now: CardState, then: CardState, state: PowerState) -> bool:
    """Tell whether a card comes back exactly as it is."""
    links = now.up is then.up or state is not PowerState.ON
    return same_place(now, then) and now.starts is then.starts and links


def _refuse_other_holder(view: View, ref: MachineRef, was: Before, frozen: Props) -> None:
    """Between the revert and the repair the machine bears an old claim or none: somebody may take it."""
    held = _claim(options(view.props))
    known = (_claim(dict(was.options)), _claim(options(frozen)))
    if held is not None and not any(one is not None and held.same_mark(one) for one in known):
        raise claimed(ref, held)


def cards_back(was: Before, props: Props, stub: Any) -> Iterator[Any]:
    """Yield the edits that put a reverted machine's cards where they were; off, none of them is up."""
    wanted = {card.key: card for card in was.cards}
    for card in cards(devices_of(props)):
        state = wanted.get(card.key)
        if state is None:
            continue  # the check after it says so, and nothing is started
        migrate = None if card.connectable is None else card.connectable.migrateConnect
        link = CardLink(
            starts=was.starts(state), up=None, guest_control=state.key in was.free, migrate=migrate
        )
        made = change(card, Wanted(backing(state, stub), link))
        if made is not None:
            yield made


def _claim(found: dict[str, str]) -> Claim | None:
    text = found.get(CLAIM_KEY)
    option = vim.option.OptionValue(key=CLAIM_KEY, value=text)
    return None if text is None else to_claim({CLAIM_PATH: option})


def _options_back(was: Before, now: dict[str, str]) -> list[Any]:
    """Return the options to set: ours as they were, those that came back emptied, the mark of it."""
    wanted = dict.fromkeys(now, "") | dict(was.options) | {REVERTED_KEY: was.effect}
    return [
        vim.option.OptionValue(key=key, value=value)
        for key, value in wanted.items()
        if now.get(key, "") != value
    ]
