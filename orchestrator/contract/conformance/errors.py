"""Errors: nothing but ProviderError leaves an adapter, and its kind says what the core can do about it."""

from collections.abc import Callable

from orchestrator.contract.conformance.rig import Fault, Rig
from orchestrator.contract.conformance.support import again, effect, observe, refused, supported
from orchestrator.contract.errors import ErrorKind
from orchestrator.contract.provider import Adapter, Capability, ObjectKind
from orchestrator.model.machine import Claim, Consistency, MachineRef, PowerState
from orchestrator.model.network import IsolationMode, IsolationSpec

CLAIM = Claim(run="run-1", digest="0" * 64, state_id="state-1")
UNPLUGGED = IsolationSpec(mode=IsolationMode.UNPLUGGED)


def _calls(adapter: Adapter, ref: MachineRef) -> dict[Capability, Callable[[], object]]:
    """For each capability that touches a machine, a call on it."""
    return {
        Capability.POWER: lambda: adapter.power.ensure_power(ref, PowerState.ON, effect("x")),
        Capability.CLAIMS: lambda: adapter.claims.ensure_claim(ref, CLAIM, effect("x")),
        Capability.SNAPSHOT_CRASH: lambda: adapter.snapshots.ensure_snapshot(
            ref, "x", Consistency.CRASH, effect("x")
        ),
        Capability.SNAPSHOT_REVERT: lambda: adapter.snapshots.ensure_reverted(ref, "x", effect("x")),
        Capability.ISOLATE_UNPLUGGED: lambda: adapter.isolation.ensure_isolated(
            ref, UNPLUGGED, (), effect("x")
        ),
        Capability.ISOLATE_SEALED: lambda: adapter.isolation.capture(ref),
        Capability.DISK_SOURCE: lambda: adapter.disks.open_frozen(ref, "x").__enter__(),
    }


class TestErrors:
    """Machines that are gone, connections that break, rights that are missing."""

    def test_machine_that_is_gone_is_not_found(self, adapter: Adapter, rig: Rig) -> None:
        ref = rig.make_machine(rig.name("gone"))
        observe(adapter, ref)
        rig.delete_machine(ref)
        assert adapter.inventory.machines([ref.id]) == ()
        for capability, call in _calls(adapter, ref).items():
            if supported(capability, adapter, rig):
                with refused(ErrorKind.NOT_FOUND):
                    call()

    def test_machine_of_the_same_name_is_not_taken_for_the_one_that_is_gone(
        self, adapter: Adapter, rig: Rig
    ) -> None:
        ref = rig.make_machine(rig.name("gone"))
        rig.delete_machine(ref)
        impostor = rig.make_machine(ref.name)
        described = rig.describe(impostor)
        for capability, call in _calls(adapter, ref).items():
            if supported(capability, adapter, rig):
                with refused(ErrorKind.NOT_FOUND):
                    call()
        assert rig.describe(impostor) == described

    def test_lost_reply_is_uncertain_and_the_token_finds_the_work(self, adapter: Adapter, rig: Rig) -> None:
        if not _can(rig, Fault.REPLY_LOST) or not supported(Capability.SNAPSHOT_CRASH, adapter, rig):
            return
        assert rig.faults is not None
        ref, name, hand = rig.make_machine(rig.name("vm"), running=True), rig.name("snap"), effect("snapshot")
        with rig.faults.inject(Fault.REPLY_LOST), refused(ErrorKind.UNCERTAIN):
            adapter.snapshots.ensure_snapshot(ref, name, Consistency.CRASH, hand)
        made = rig.objects(ObjectKind.SNAPSHOT)
        snapshot = adapter.snapshots.ensure_snapshot(ref, name, Consistency.CRASH, again(hand))
        assert snapshot.token == hand.token
        assert rig.objects(ObjectKind.SNAPSHOT) == made

    def test_missing_right_is_denied_and_nothing_changes(self, adapter: Adapter, rig: Rig) -> None:
        if not _can(rig, Fault.DENIED) or not supported(Capability.POWER, adapter, rig):
            return
        assert rig.faults is not None
        ref = rig.make_machine(rig.name("vm"))
        with rig.faults.inject(Fault.DENIED), refused(ErrorKind.DENIED):
            adapter.power.ensure_power(ref, PowerState.ON, effect("on"))
        assert not rig.is_running(ref)

    def test_read_of_an_endpoint_that_is_down_is_transient(self, adapter: Adapter, rig: Rig) -> None:
        if not _can(rig, Fault.UNREACHABLE):
            return
        assert rig.faults is not None
        ref = rig.make_machine(rig.name("vm"))
        with rig.faults.inject(Fault.UNREACHABLE), refused(ErrorKind.TRANSIENT):
            adapter.inventory.machines()
        assert observe(adapter, ref).ref == ref


def _can(rig: Rig, fault: Fault) -> bool:
    return rig.faults is not None and fault in rig.faults.can
