"""Power of a machine. OFF is hard: no guest is asked."""

from pyVmomi import vim

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.provider import Effect, unsupported
from orchestrator.model.machine import Machine, MachineRef, PowerState
from providers.vsphere.convert import power
from providers.vsphere.faults import conflict, is_fault
from providers.vsphere.inventory import VsphereInventory
from providers.vsphere.link import Link
from providers.vsphere.settle import settled

_SECONDS = 900.0
"""How long a change of power may take. One that waits for an administrator's answer would never end."""


class VspherePower:
    """The Power role."""

    def __init__(self, link: Link, inventory: VsphereInventory) -> None:
        self._link = link
        self._inventory = inventory

    def ensure_power(self, ref: MachineRef, state: PowerState, effect: Effect) -> Machine:
        """See the contract. ON resumes a suspended machine; OFF refuses one: its memory would be lost."""
        if state is PowerState.PAUSED:
            what = "suspending a machine"
            raise unsupported(what, "ask for on or off")
        what = f"cut the power of {ref.name}" if state is PowerState.OFF else f"start {ref.name}"
        view = settled(self._link, self._inventory, ref, what)
        if power(view.props) is state:
            return self._inventory.to_machine(view)
        if state is PowerState.OFF and power(view.props) is PowerState.PAUSED:
            message = f"machine {ref.name} is suspended: cutting its power would throw away its memory"
            raise conflict(message, "resume it (power on), then shut it down in the guest")
        vm = view.vm
        start = vm.PowerOffVM_Task if state is PowerState.OFF else vm.PowerOnVM_Task
        try:
            self._link.run(effect, what, start, _SECONDS)
        except ProviderError as error:
            if not is_fault(error, vim.fault.InvalidPowerState):
                raise
            if self._inventory.machine(ref).power is not state:  # else somebody was quicker
                raise
        return self._read_back(ref, state)

    def _read_back(self, ref: MachineRef, state: PowerState) -> Machine:
        machine = self._inventory.machine(ref)
        if machine.power is not state:
            message = f"machine {ref.name} was to be {state}, but is {machine.power}"
            hint = "it stopped or started by itself: see its events and its vmware.log"
            raise ProviderError(ErrorKind.PERMANENT, message, hint=hint)
        return machine
