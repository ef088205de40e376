"""Claims: one option in the machine's extraConfig, set and removed under its changeVersion.

vCenter refuses a reconfiguration whose changeVersion is not the present one (ConcurrentAccess), so of
several who look and write at the same moment exactly one gets through. A person reads the claim in the
machine's advanced settings, and in its events.
"""

import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any

from pyVmomi import vim, vmodl

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.provider import Effect, ObjectKind, claimed
from orchestrator.model.machine import Claim, MachineRef
from providers.vsphere.batch import Props, of
from providers.vsphere.convert import CLAIM_KEY, CLAIM_PATH, VERSION_PATH, to_claim
from providers.vsphere.faults import conflict, is_fault, not_found
from providers.vsphere.inventory import VsphereInventory
from providers.vsphere.link import Link
from providers.vsphere.settle import settled

_PATHS = ("config.instanceUuid", VERSION_PATH, CLAIM_PATH)
_ATTEMPTS = 5
"""How often a claim is tried while others change the machine at the same moment."""


class VsphereClaims:
    """The Claims role."""

    def __init__(self, link: Link, inventory: VsphereInventory) -> None:
        self._link = link
        self._inventory = inventory

    def ensure_claim(
        self, ref: MachineRef, claim: Claim, effect: Effect, *, succeeds: str | None = None
    ) -> Claim:
        """See the contract. A lower generation than the one held is refused: its worker was superseded."""

        def wanted(held: Claim | None) -> str | None:
            if held is None or (succeeds is not None and held.run == succeeds):
                return claim.model_dump_json()
            if not held.same_holder(claim) or held.generation > claim.generation:
                raise claimed(ref, held)
            return None if held.same_mark(claim) else claim.model_dump_json()

        entry = _entry(ref, claim)
        try:
            held, changed = self._swap(ref, wanted, f"claim machine {ref.name}", effect, entry)
        except ProviderError as error:
            if error.kind in (ErrorKind.CONFLICT, ErrorKind.NOT_FOUND):
                _forget(effect, entry)
            raise
        if changed or effect.owns(ObjectKind.CLAIM, entry):
            effect.made(ObjectKind.CLAIM, entry)
        if succeeds is not None and succeeds != claim.run:
            _forget(effect, _entry(ref, claim.model_copy(update={"run": succeeds})))
        if changed:
            self._tell(ref, f"claimed: {effect.reason}")
        return claim if changed or held is None else held

    def ensure_released(self, ref: MachineRef, claim: Claim, effect: Effect) -> None:
        """See the contract."""
        self._release(ref, claim, effect, lambda held: held.same_holder(claim))

    def break_claim(self, ref: MachineRef, expected: Claim, effect: Effect) -> None:
        """See the contract."""
        self._release(ref, expected, effect, lambda held: held.same_mark(expected))

    def _release(self, ref: MachineRef, claim: Claim, effect: Effect, fits: Callable[[Claim], bool]) -> None:
        def wanted(held: Claim | None) -> str | None:
            if held is not None and not fits(held):
                raise claimed(ref, held)
            return None if held is None else ""

        try:
            _, changed = self._swap(ref, wanted, f"take the claim of run {claim.run} off {ref.name}", effect)
        except ProviderError as error:
            if error.kind is ErrorKind.NOT_FOUND:  # the mark went with the machine
                _forget(effect, _entry(ref, claim))
            raise
        _forget(effect, _entry(ref, claim))
        if changed:
            self._tell(ref, f"given free: {effect.reason}")

    def _swap(
        self,
        ref: MachineRef,
        wanted: Callable[[Claim | None], str | None],
        what: str,
        effect: Effect,
        entry: str | None = None,
    ) -> tuple[Claim | None, bool]:
        """Compare and swap: `wanted` says what the option shall hold (None: as it is), or refuses.

        Return what was held, and whether it was changed.
        """
        for attempt in range(_ATTEMPTS):
            vm, props = (attempt == 0 and self._lately(ref, wanted)) or self._look(ref)
            held = to_claim(props)
            text = wanted(held)
            if text is None:
                return held, False
            if entry is not None:
                effect.intend(ObjectKind.CLAIM, entry, ref.name)
            option = vim.option.OptionValue(key=CLAIM_KEY, value=text)
            spec = vim.vm.ConfigSpec(changeVersion=props[VERSION_PATH], extraConfig=[option])
            try:
                self._link.run(effect, what, partial(vm.ReconfigVM_Task, spec))
            except ProviderError as error:
                if is_fault(error, vim.fault.TaskInProgress):
                    # Perhaps what a run left that was killed: its outcome decides.
                    settled(self._link, self._inventory, ref, what)
                elif not is_fault(error, vim.fault.ConcurrentAccess, vmodl.fault.ManagedObjectNotFound):
                    raise  # of the two the next look tells whose claim it is now, or that the machine is gone
            else:
                return held, True
        message = f"cannot {what}: others change it all the time"
        raise conflict(message, "wait until they are done, then try again")

    def _lately(
        self, ref: MachineRef, wanted: Callable[[Claim | None], str | None]
    ) -> tuple[Any, Props] | None:
        """Return the machine as it was just read for another reason, if a change follows from that: vCenter
        refuses the change where it is not so any more. To refuse, or to find all well, takes a look."""
        seen = self._inventory.lately(ref)
        with contextlib.suppress(ProviderError):
            if seen is not None and wanted(to_claim(seen.props)) is not None:
                return seen.obj, seen.props
        return None

    def _look(self, ref: MachineRef) -> tuple[Any, Props]:
        """Return the machine with what a claim needs of it. Raises ProviderError: NOT_FOUND."""
        vm = self._inventory.vm(ref)
        seen = self._link.fetch(f"read the claim on {ref.name}", of(vim.VirtualMachine, [vm], _PATHS))
        props = seen[vm._moId].props if vm._moId in seen else {}
        if props.get("config.instanceUuid") != ref.id:
            gone = f"machine {ref.name} ({ref.id}) on {ref.endpoint}"
            raise not_found(gone)
        return vm, props

    def _tell(self, ref: MachineRef, words: str) -> None:
        """Write into vCenter's own events, for other administrators. Where that fails the mark itself still
        tells them, so it is no hindrance; `ferry doctor` names the privilege."""
        vm, events = self._inventory.vm(ref), self._link.content.eventManager
        self._link.later(lambda: events.LogUserEvent(vm, words))


def _entry(ref: MachineRef, claim: Claim) -> str:
    """The ledger's id of a claim."""
    return f"{ref.id}/{claim.state_id}/{claim.run}"


def _forget(effect: Effect, entry: str) -> None:
    if effect.owns(ObjectKind.CLAIM, entry):
        effect.removed(ObjectKind.CLAIM, entry)
