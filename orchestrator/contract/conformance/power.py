"""Power: on and off, once each, whatever happens in between."""

from orchestrator.contract.conformance.effect import Ledger, RecordingEffect
from orchestrator.contract.conformance.rig import Rig
from orchestrator.contract.conformance.support import (
    again,
    at_every_crash,
    at_every_lost_lease,
    effect,
    needs,
    refused,
)
from orchestrator.contract.errors import ErrorKind
from orchestrator.contract.provider import Adapter, Capability
from orchestrator.model.machine import Machine, MachineRef, PowerState


class TestPower:
    """ensure_power."""

    @needs(Capability.POWER)
    def test_on_and_off_are_what_the_hypervisor_then_says(self, adapter: Adapter, rig: Rig) -> None:
        ref = rig.make_machine(rig.name("vm"))
        assert adapter.power.ensure_power(ref, PowerState.ON, effect("on")).power is PowerState.ON
        assert rig.is_running(ref)
        assert adapter.power.ensure_power(ref, PowerState.OFF, effect("off")).power is PowerState.OFF
        assert not rig.is_running(ref)

    @needs(Capability.POWER)
    def test_repeat_changes_nothing(self, adapter: Adapter, rig: Rig) -> None:
        ref, first = rig.make_machine(rig.name("vm")), effect("on")
        adapter.power.ensure_power(ref, PowerState.ON, first)
        repeat = again(first)
        adapter.power.ensure_power(ref, PowerState.ON, repeat)
        assert repeat.mutations == 0

    @needs(Capability.POWER)
    def test_pausing_is_unsupported(self, adapter: Adapter, rig: Rig) -> None:
        ref = rig.make_machine(rig.name("vm"), running=True)
        with refused(ErrorKind.UNSUPPORTED):
            adapter.power.ensure_power(ref, PowerState.PAUSED, effect("pause"))
        assert rig.is_running(ref)

    @needs(Capability.POWER)
    def test_ends_the_same_after_a_crash_or_a_lost_lease(self, adapter: Adapter, rig: Rig) -> None:
        def setup() -> MachineRef:
            return rig.make_machine(rig.name("vm"))

        def act(ref: MachineRef, hand: RecordingEffect) -> Machine:
            return adapter.power.ensure_power(ref, PowerState.ON, hand)

        def check(ref: MachineRef, machine: Machine, ledger: Ledger) -> None:
            assert machine.power is PowerState.ON
            assert rig.is_running(ref)

        at_every_crash(setup, act, check)
        at_every_lost_lease(rig, setup, act, check)
