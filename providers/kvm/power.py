"""Power of a machine. OFF is hard: no guest is asked."""

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.provider import Effect, unsupported
from orchestrator.model.machine import Machine, MachineRef, PowerState
from providers.kvm.inventory import KvmInventory
from providers.kvm.link import Link, act


class KvmPower:
    """The Power role."""

    def __init__(self, link: Link, inventory: KvmInventory) -> None:
        self._link = link
        self._inventory = inventory

    def ensure_power(self, ref: MachineRef, state: PowerState, effect: Effect) -> Machine:
        """See the contract. A paused machine is resumed by ON."""
        if state is PowerState.PAUSED:
            what = "pausing a machine"
            raise unsupported(what, "ask for on or off")
        now = self._inventory.machine(ref).power
        if now is not state:
            domain = self._link.domain(ref)
            if state is PowerState.OFF:
                act(effect, f"cut the power of {ref.name}", domain.destroy)
            elif now is PowerState.PAUSED:
                act(effect, f"resume {ref.name}", domain.resume)
            else:
                act(effect, f"start {ref.name}", domain.create)
        machine = self._inventory.machine(ref)
        if machine.power is not state:
            message = f"machine {ref.name} was to be {state}, but is {machine.power}"
            hint = "it stopped by itself: see its log in libvirt's log folder"
            raise ProviderError(ErrorKind.PERMANENT, message, hint=hint)
        return machine
