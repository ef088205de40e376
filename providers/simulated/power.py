"""Power of simulated machines.

A staged guest that starts with its answer medium in takes the name that stands there.
"""

import json
from pathlib import Path

from orchestrator.contract.provider import Capability, Effect, unsupported
from orchestrator.model.machine import GuestOs, Machine, MachineRef, PowerState
from providers.simulated.inventory import to_machine
from providers.simulated.site import Site, find
from providers.simulated.world import Centre, SimMachine


class SimPower:
    """Implements the role Power."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def ensure_power(self, ref: MachineRef, state: PowerState, effect: Effect) -> Machine:
        """Start it or cut its power."""
        self._site.need(Capability.POWER)
        if state is PowerState.PAUSED:
            message = "pausing a machine"
            raise unsupported(message, "ask for on or off")
        machine = find(self._site.read("power.look", ref), ref)
        if machine.power is not state:
            with self._site.change("power.ensure_power", effect, f"turn {ref.name} {state}", ref) as centre:
                machine = find(centre, ref)
                switch(centre, machine, state)
        return to_machine(machine, self._site.endpoint)


def switch(centre: Centre, machine: SimMachine, state: PowerState) -> None:
    """Start the machine from its persistent definition, or cut its power."""
    machine.power = state
    for nic in machine.nics:
        nic.live = None if state is PowerState.OFF else nic.config.model_copy()
    if state is PowerState.ON and machine.medium is not None:
        machine.guest = _first_boot(centre, machine, Path(machine.medium))


def _first_boot(centre: Centre, machine: SimMachine, medium: Path) -> GuestOs | None:
    image = centre.images.get(machine.image or "")
    if image is None or not image.agent:
        return machine.guest
    answers = json.loads(medium.read_text("utf-8"))
    return GuestOs(product=image.product, arch=machine.arch, hostname=answers["computer_name"])
