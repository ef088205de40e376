"""The replacement: a full clone of a template, customized by vCenter itself, so without an answer medium.

The clone bears the step's token in its options, and an instance UUID that is made of it: both stand in the
call that makes it, so a repeat finds its own however the call ended.
"""

from collections.abc import Iterable
from typing import Any

from pyVmomi import vim

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.provider import Effect, ObjectKind, unsupported
from orchestrator.model.machine import MachineRef, PowerState
from orchestrator.model.target import CopyMode, StagedTarget, TargetSpec
from providers.vsphere.batch import of
from providers.vsphere.clone import (
    LOOKED_AT,
    Where,
    attached,
    clone_spec,
    fingerprint,
    machine_id,
    misfits,
    the_card,
    token_in,
)
from providers.vsphere.convert import RUNNING, chain, devices_of, power
from providers.vsphere.customization import EVENT_TYPES, open_secrets, specification, succeeded
from providers.vsphere.faults import conflict, is_fault, not_found
from providers.vsphere.inventory import VsphereInventory
from providers.vsphere.keptdisks import ensure_disk_deleted
from providers.vsphere.link import Link
from providers.vsphere.networkrole import find
from providers.vsphere.placement import Place, survey
from providers.vsphere.portgroups import Portgroup
from providers.vsphere.power import VspherePower
from providers.vsphere.view import View

_GUEST = ("runtime.powerState", "guest.hostName")
_Filter = vim.event.EventFilterSpec
_Edit = vim.vm.device.VirtualDeviceSpec


class VsphereStaging:
    """The Staging role."""

    def __init__(self, link: Link, inventory: VsphereInventory) -> None:
        self._link = link
        self._inventory = inventory
        self._power = VspherePower(link, inventory)

    def ensure_target(self, spec: TargetSpec, effect: Effect) -> StagedTarget:
        """See the contract. Only full copies: a linked clone would need its template for ever."""
        if spec.copy_mode is CopyMode.OVERLAY:
            what = "an overlay of a template"
            raise unsupported(what, "write `copy: full`, or leave `copy` away")
        ref = MachineRef(endpoint=spec.endpoint, id=machine_id(effect.token), name=spec.vm)
        if effect.owns(ObjectKind.VM, ref.id):
            self._settle_clones(spec)
        view = self._find(ref)
        if view is None:
            view = self._clone(spec, ref, effect)
        elif not effect.owns(ObjectKind.VM, ref.id):
            message = f"machine {spec.vm} bears this step's id, but is not in the ledger of this state"
            raise conflict(message, "it is left alone")
        return self._staged(spec, view, effect)

    def customized(self, staged: StagedTarget, computer_name: str) -> bool | None:
        """See the contract. True only where vCenter has seen the customization succeed, too. Raises
        ProviderError (PERMANENT) once it has failed."""
        vm = self._inventory.vm(_of(staged))
        what = f"look whether {staged.name} is customized"
        props = self._link.fetch(what, of(vim.VirtualMachine, [vm], _GUEST))[vm._moId].props
        if power(props) is not PowerState.ON:
            return None
        entity = _Filter.ByEntity(entity=vm, recursion=_Filter.RecursionOption.self)
        wanted = _Filter(entity=entity, eventTypeId=list(EVENT_TYPES))
        events = self._link.read(what, lambda: self._link.content.eventManager.QueryEvents(wanted))
        done, name = succeeded(staged.name, events or ()), str(props.get("guest.hostName") or "")
        if not name:
            return None
        if name.partition(".")[0].casefold() != computer_name.casefold():
            return False
        return done or None

    def ensure_medium_removed(self, staged: StagedTarget, effect: Effect) -> None:
        """See the contract: there is no medium, vCenter itself hands the answers over."""

    def fingerprint(self, staged: StagedTarget) -> str | None:
        """See the contract."""
        view = self._find(_of(staged))
        return None if view is None else fingerprint(view.props, view.networks)

    def ensure_target_removed(self, staged: StagedTarget, effect: Effect, *, keep_disks: bool) -> None:
        """See the contract. Kept disks stay in the ledger. A target with a disk that is not ours is left
        alone: vCenter would delete that with it."""
        view = self._ours(staged, effect)
        if view is not None:
            self._power_off(view, staged, effect)
            if keep_disks:
                self._detach(view, staged, effect)
            self._destroy(view, staged, effect)
        if effect.owns(ObjectKind.VM, staged.id):
            effect.removed(ObjectKind.VM, staged.id)
        for path in () if keep_disks else staged.disks:
            if effect.owns(ObjectKind.DISK, path):
                if view is None:  # else it went with its machine
                    ensure_disk_deleted(self._link, path, effect)
                effect.removed(ObjectKind.DISK, path)

    def _find(self, ref: MachineRef) -> View | None:
        try:
            return self._inventory.view(ref, *LOOKED_AT)
        except ProviderError as error:
            if error.kind is ErrorKind.NOT_FOUND:
                return None
            raise

    def _settle_clones(self, spec: TargetSpec) -> None:
        """Wait for clones of the template that run: one may be ours, begun before a crash."""
        template = self._inventory.template(spec.image)
        if template is None:
            return
        for view in self._inventory.views([template._moId]):
            running = [t for t in view.tasks if t.props.get("info.state") in RUNNING]
            cloning = [
                t.obj for t in running if "clone" in str(t.props.get("info.descriptionId", "")).lower()
            ]
            self._link.settle(f"clone {spec.image} to {spec.vm}", cloning)

    def _clone(self, spec: TargetSpec, ref: MachineRef, effect: Effect) -> View:
        """Make the clone. The secrets are opened right before the one call that takes them, and live no
        longer."""
        template = self._template(spec)
        place = survey(self._link).place(spec.placement, self._link.settings.datacenter)
        self._refuse_taken(spec, place)
        network = self._network(spec)
        host = place.host(spec.vm, network.id)
        card = attached(the_card(template.props, spec.image), network)
        where = Where(place.pool, host, place.datastore.obj)
        effect.intend(ObjectKind.VM, ref.id, spec.vm)
        answers = specification(spec, open_secrets(spec, self._link.secrets))
        asked = clone_spec(spec, template.props, where, card, answers, effect)
        what = f"clone {spec.image} to {spec.vm}"
        try:
            self._link.run(effect, what, lambda: template.vm.CloneVM_Task(place.folder, spec.vm, asked))
        except ProviderError as error:
            found = self._find(ref) if is_fault(error, vim.fault.DuplicateName) else None
            if found is None:
                raise
            return found
        return self._inventory.view(ref, *LOOKED_AT)

    def _template(self, spec: TargetSpec) -> View:
        template = self._inventory.template(spec.image)
        views = [] if template is None else self._inventory.views([template._moId], *LOOKED_AT)
        if not views:
            what = f"template {spec.image}"
            raise not_found(what)
        return views[0]

    def _refuse_taken(self, spec: TargetSpec, place: Place) -> None:
        index, what = self._link.content.searchIndex, f"look whether the name {spec.vm} is free"
        if self._link.read(what, lambda: index.FindChild(place.folder, spec.vm)) is not None:
            message = f"there is a machine {spec.vm} already"
            raise conflict(message, "nothing that exists is overwritten; give the target another name")

    def _network(self, spec: TargetSpec) -> Portgroup:
        found = find(self._inventory.known_networks, spec.network)
        if found is None:
            what = f"network {spec.network.name}"
            raise not_found(what)
        return found

    def _staged(self, spec: TargetSpec, view: View, effect: Effect) -> StagedTarget:
        """Read the clone back, and complete the ledger."""
        props = view.props
        if token_in(props) != effect.token:
            message = f"machine {spec.vm} does not bear this step's token"
            raise conflict(message, "somebody changed it; it is left alone")
        disks = _disks(view)
        effect.made(ObjectKind.VM, props["config.instanceUuid"])
        for path in disks:  # vCenter chose their names; until here the machine's entry stood for them
            if not effect.owns(ObjectKind.DISK, path):
                effect.intend(ObjectKind.DISK, path, spec.vm)
            effect.made(ObjectKind.DISK, path)
        wrong = list(misfits(spec, props, view.networks))
        if wrong:
            message = f"machine {spec.vm} is not as planned: {', '.join(wrong)}"
            raise conflict(message, "look at its events: who changed it? Undo the run, or put it right")
        return StagedTarget(
            endpoint=spec.endpoint,
            id=props["config.instanceUuid"],
            name=spec.vm,
            token=effect.token,
            fingerprint=fingerprint(props, view.networks),
            disks=disks,
            medium=None,
            customizes=True,
        )

    def _ours(self, staged: StagedTarget, effect: Effect) -> View | None:
        """Return the target when nothing works on it; None when it is gone. Raises ProviderError: CONFLICT
        when it is not ours, or holds what is not ours."""
        view = self._find(_of(staged))
        if view is not None and any(t.props.get("info.state") in RUNNING for t in view.tasks):
            self._link.settle(f"remove {staged.name}", [task.obj for task in view.tasks])
            view = self._find(_of(staged))
        if view is None:
            return None
        if token_in(view.props) != staged.token:
            message = f"machine {staged.name} ({staged.id}) does not bear the token of this target"
            raise conflict(message, "it is left alone")
        if not effect.owns(ObjectKind.VM, staged.id):
            message = f"machine {staged.name} is not in the ledger of this state: it is not removed"
            raise conflict(message, "remove it in vCenter if nothing needs it")
        known = set(staged.disks)
        strange = [d for d in _disks(view) if d not in known and not effect.owns(ObjectKind.DISK, d)]
        if staged.fingerprint and strange:
            message = f"machine {staged.name} has disks that are not ours: {', '.join(strange)}"
            raise conflict(message, "detach what shall stay, or remove the machine in vCenter")
        return view

    def _power_off(self, view: View, staged: StagedTarget, effect: Effect) -> None:
        if power(view.props) is PowerState.ON:
            self._power.ensure_power(_of(staged), PowerState.OFF, effect)

    def _detach(self, view: View, staged: StagedTarget, effect: Effect) -> None:
        """Take the disks off, so that they outlive the machine."""
        if view.props.get("snapshot") is not None:
            message = f"machine {staged.name} has snapshots: its disks cannot be kept without them"
            raise conflict(message, "remove its snapshots first, or let the disks go: --delete-disks")
        disks = list(_virtual_disks(view))
        if disks:
            edits = [_Edit(operation=_Edit.Operation.remove, device=disk) for disk in disks]
            change = vim.vm.ConfigSpec(deviceChange=edits)
            what = f"take the disks off {staged.name}"
            self._link.run(effect, what, lambda: view.vm.ReconfigVM_Task(change))

    def _destroy(self, view: View, staged: StagedTarget, effect: Effect) -> None:
        try:
            self._link.run(effect, f"remove {staged.name}", view.vm.Destroy_Task)
        except ProviderError as error:
            if error.kind is not ErrorKind.NOT_FOUND:
                raise


def _virtual_disks(view: View) -> Iterable[Any]:
    return (one for one in devices_of(view.props) if isinstance(one, vim.vm.device.VirtualDisk))


def _disks(view: View) -> tuple[str, ...]:
    """Return the files of the disks; of one with snapshots the base."""
    return tuple(chain(disk.backing)[-1] for disk in _virtual_disks(view))


def _of(staged: StagedTarget) -> MachineRef:
    return MachineRef(endpoint=staged.endpoint, id=staged.id, name=staged.name)
