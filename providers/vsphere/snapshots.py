"""Snapshots: the token stands in the description, what was got is read back, and nothing counts as removed
before its disks are merged. Found by managed object, never by name: names are not unique."""

from collections.abc import Callable, Iterable
from typing import Any

from pyVmomi import vmodl

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.provider import Effect, ObjectKind
from orchestrator.model.machine import Consistency, Machine, MachineRef, PowerState, Snapshot
from orchestrator.model.network import Finding
from providers.vsphere.convert import LEAN, describe, power, to_snapshot, token_of, tree
from providers.vsphere.faults import conflict, is_fault, not_found, permanent
from providers.vsphere.inventory import VsphereInventory
from providers.vsphere.link import Link
from providers.vsphere.preflight import VspherePreflight
from providers.vsphere.quiesce import DISABLED_PATH, TOOLS_PATH, creation, explained, hindrances
from providers.vsphere.revert import REVERT_PATHS, Reverter
from providers.vsphere.settle import ended, settled
from providers.vsphere.view import View

BOOT_PATH = "summary.runtime.bootTime"
_EXTRA = (BOOT_PATH, TOOLS_PATH, DISABLED_PATH)


class VsphereSnapshots:
    """The Snapshots role."""

    def __init__(self, link: Link, inventory: VsphereInventory, preflight: VspherePreflight) -> None:
        self._link = link
        self._inventory = inventory
        self._preflight = preflight
        self._reverter = Reverter(link, inventory)

    def ensure_snapshot(
        self, ref: MachineRef, name: str, consistency: Consistency, effect: Effect
    ) -> Snapshot:
        """See the contract. `crash` of a stopped machine gives `offline`, which is more.

        One look, one task, one look.
        """
        view = settled(self._link, self._inventory, ref, f"snapshot {ref.name}", *_EXTRA)
        if bearing(view, effect.token) is None:
            view = self._make(view, ref, name, consistency, effect)
        elif not effect.owns(ObjectKind.SNAPSHOT, _id(ref, effect.token)):
            raise foreign(ref, effect.token)
        found = _snapshot(view, effect.token)
        if found is None:
            message = f"vCenter made the snapshot {name} of {ref.name}, but does not list it"
            raise permanent(message, "look at the machine's snapshots; a repeat tries again")
        effect.made(ObjectKind.SNAPSHOT, _id(ref, effect.token))
        self._check(view, ref, found, consistency, effect)
        return found

    def ensure_snapshot_removed(self, ref: MachineRef, token: str, effect: Effect) -> None:
        """See the contract. One look, one task, one look; one task and one look more to consolidate."""
        view = settled(self._link, self._inventory, ref, f"remove a snapshot of {ref.name}")
        self._remove(view, ref, token, effect)

    def ensure_reverted(self, ref: MachineRef, token: str, effect: Effect) -> Machine:
        """See the contract. A running machine runs again afterwards; its cards stay where they are now."""
        view = settled(self._link, self._inventory, ref, f"revert {ref.name}", *REVERT_PATHS)
        node = bearing(view, token)
        if node is None:
            what = f"snapshot {token} of machine {ref.name}"
            raise not_found(what)
        if not effect.owns(ObjectKind.SNAPSHOT, _id(ref, token)):
            raise foreign(ref, token)
        return self._reverter.revert(view, node, ref, effect)

    def _make(self, view: View, ref: MachineRef, name: str, consistency: Consistency, effect: Effect) -> View:
        """Make it, unless something hinders; return the machine after it."""
        machine = self._inventory.to_machine(view)
        if any(snapshot.name == name for snapshot in machine.snapshots):
            message = f"machine {ref.name} has a snapshot {name} that is not of this step"
            raise conflict(message, "give the snapshot another name")
        _refuse(ref, self._preflight.snapshot(machine, consistency))
        _refuse(ref, hindrances(view.props, consistency))
        off = machine.power is PowerState.OFF and consistency is Consistency.CRASH
        got = Consistency.OFFLINE if off else consistency
        text = describe(effect.reason, effect.token, got)
        api = str(self._link.content.about.apiVersion or "")
        start = creation(view.vm, view.props, api, name, text, consistency)
        effect.intend(ObjectKind.SNAPSHOT, _id(ref, effect.token), name)
        what = f"snapshot {ref.name}"
        task = self._tried(ref, effect, lambda: self._link.start(effect, what, start))
        view = self._inventory.view(ref, "recentTask", *_EXTRA, paths=LEAN)
        if ended(view, task) and bearing(view, effect.token) is not None:
            return view
        self._tried(ref, effect, lambda: self._link.outcome(what, task))
        return self._inventory.view(ref, *_EXTRA, paths=LEAN)

    def _tried(self, ref: MachineRef, effect: Effect, call: Callable[[], Any]) -> Any:
        """Make a call that makes a snapshot. What one that fails has left is taken away."""
        try:
            return call()
        except ProviderError as error:
            if error.kind is ErrorKind.UNCERTAIN:
                raise
            raise self._failed(error, ref, effect) from error.__cause__

    def _failed(self, error: ProviderError, ref: MachineRef, effect: Effect) -> ProviderError:
        """Take away what a failed snapshot left, if anything; return the error to raise."""
        told = explained(error)
        try:
            self._remove(self._inventory.view(ref, paths=LEAN), ref, effect.token, effect)
        except ProviderError as left:
            message = f"{told.message}; and what it left is still there: {left.message}"
            return ProviderError(told.kind, message, hint=told.hint, sdk_code=told.sdk_code)
        return told

    def _check(
        self, view: View, ref: MachineRef, found: Snapshot, asked: Consistency, effect: Effect
    ) -> None:
        """Compare what was got; less than asked is taken away again."""
        got = found.consistency
        if got is Consistency.OFFLINE and _ran(view, found):
            got, asked = Consistency.CRASH, Consistency.OFFLINE  # so it stands in the snapshot's description
            why = "somebody started the machine meanwhile: shut it down and try again"
        elif got is asked or (got is Consistency.OFFLINE and asked is Consistency.CRASH):
            return
        else:
            why = "nobody quiesced the guest, or it was stopped: ask for `offline`, or for `crash` on purpose"
        self._remove(view, ref, effect.token, effect)
        message = f"the snapshot of {ref.name} is {got or 'unknown'}, not {asked}; it was removed again"
        raise conflict(message, why)

    def _remove(self, view: View, ref: MachineRef, token: str, effect: Effect) -> None:
        mine = effect.owns(ObjectKind.SNAPSHOT, _id(ref, token))
        node = bearing(view, token)
        if node is not None:
            if not mine:
                raise foreign(ref, token)
            view = self._drop(node, ref, token, effect)
        if not mine:
            return
        if view.props.get("runtime.consolidationNeeded"):
            self._consolidate(view, ref, effect)
        effect.removed(ObjectKind.SNAPSHOT, _id(ref, token))

    def _drop(self, node: Any, ref: MachineRef, token: str, effect: Effect) -> View:
        """Remove one snapshot, its children stay; return the machine as it is then."""
        what = f"remove snapshot {node.name} of {ref.name}"
        try:
            self._link.run(effect, what, lambda: node.snapshot.RemoveSnapshot_Task(False, True))
        except ProviderError as error:
            if not is_fault(error, vmodl.fault.ManagedObjectNotFound):  # else somebody was quicker
                raise
        view = self._inventory.view(ref, paths=LEAN)
        if bearing(view, token) is not None:
            message = f"snapshot {node.name} of {ref.name} was removed, but vCenter still lists it"
            raise permanent(message, "look at the machine's snapshots and tasks; a repeat tries again")
        return view

    def _consolidate(self, view: View, ref: MachineRef, effect: Effect) -> None:
        """Merge disks that a removal has left: it may succeed without having merged them."""
        self._link.run(effect, f"consolidate the disks of {ref.name}", view.vm.ConsolidateVMDisks_Task)
        if self._inventory.view(ref, paths=LEAN).props.get("runtime.consolidationNeeded"):
            message = f"the snapshot of {ref.name} is gone, but its disks still need consolidation"
            hint = "something holds a disk file (a backup?): end it, then repeat; make no other snapshot"
            raise permanent(message, hint)


def bearing(view: View, token: str) -> Any | None:
    """Return the node of the machine's snapshot tree that bears the token, or None. No call."""
    nodes = tree(view.props.get("snapshot"))
    return next((node for node, _ in nodes if token_of(node.description) == token), None)


def foreign(ref: MachineRef, token: str) -> ProviderError:
    """Return the error for a snapshot with a token that this state did not make."""
    message = f"the snapshot of {ref.name} that bears {token} is not in the ledger of this state"
    return conflict(message, "it is left alone; use the state that made it, or remove it in vCenter")


def _snapshot(view: View, token: str) -> Snapshot | None:
    found = (to_snapshot(node, parent) for node, parent in tree(view.props.get("snapshot")))
    return next((one for one in found if one.token == token), None)


def _ran(view: View, found: Snapshot) -> bool:
    """Tell whether the machine ran when a snapshot was taken that took it for stopped: it runs now, and was
    started no later. Both moments are the host's."""
    boot = view.props.get(BOOT_PATH)
    if power(view.props) is PowerState.OFF or boot is None or found.created_at is None:
        return False
    return bool(boot.timestamp() <= found.created_at.timestamp())


def _id(ref: MachineRef, token: str) -> str:
    """The ledger's id: what can be told again after the snapshot is gone."""
    return f"{ref.id}/{token}"


def _refuse(ref: MachineRef, findings: Iterable[Finding]) -> None:
    faults = [f"{f.check}: {f.detail}" for f in findings if not f.ok]
    if faults:
        message = f"machine {ref.name} cannot be snapshotted: {'; '.join(faults)}"
        raise conflict(message, "mend that first, then try again")
