"""Networks: found or created once, never changed, removed only when they are ours and nobody uses them."""

from orchestrator.contract.conformance.effect import Ledger, OvertakenEffect, RecordingEffect
from orchestrator.contract.conformance.rig import Rig
from orchestrator.contract.conformance.support import (
    again,
    at_every_crash,
    at_every_lost_lease,
    effect,
    needs,
    observe,
    refused,
    token,
)
from orchestrator.contract.errors import ErrorKind
from orchestrator.contract.provider import Adapter, Capability, ObjectKind
from orchestrator.model.network import Flow, IsolationMode, IsolationSpec, Network, NetworkSpec

CAPABILITIES = {
    IsolationMode.UNPLUGGED: Capability.ISOLATE_UNPLUGGED,
    IsolationMode.SEALED: Capability.ISOLATE_SEALED,
    IsolationMode.FILTERED: Capability.ISOLATE_FILTERED,
}


def network_spec(rig: Rig, mode: IsolationMode | None) -> NetworkSpec:
    """Return a network of a fresh name that is to be created."""
    filtered = mode is IsolationMode.FILTERED
    return NetworkSpec(
        name=rig.name("net"),
        mode=mode,
        create=True,
        uplink=rig.uplink if filtered else None,
        allow=(Flow(to="198.51.100.10", port=445, why="export"),) if filtered else (),
    )


class TestNetworks:
    """ensure_network and ensure_network_removed."""

    @needs(Capability.CREATE_NETWORK)
    def test_created_once_and_marked_as_ours(self, adapter: Adapter, rig: Rig) -> None:
        for mode in (
            None,
            *(
                m
                for m in (IsolationMode.SEALED, IsolationMode.FILTERED)
                if CAPABILITIES[m] in adapter.capabilities
            ),
        ):
            spec, hand, before = network_spec(rig, mode), effect("network"), rig.objects(ObjectKind.NETWORK)
            made = adapter.isolation.ensure_network(spec, hand)
            repeat = again(hand)
            assert adapter.isolation.ensure_network(spec, repeat) == made
            assert repeat.mutations == 0
            assert (made.name, made.token, made.active) == (spec.name, hand.token, True)
            assert made.addresses == ()
            assert (made.uplink is not None) is (mode is IsolationMode.FILTERED)
            assert len(rig.objects(ObjectKind.NETWORK) - before) == 1
            assert made in adapter.inventory.networks()

    @needs(Capability.CREATE_NETWORK)
    def test_second_host_uses_the_same_network(self, adapter: Adapter, rig: Rig, ledger: Ledger) -> None:
        spec = network_spec(rig, None)
        first = adapter.isolation.ensure_network(spec, effect("first", ledger))
        second = effect("second", ledger)
        assert adapter.isolation.ensure_network(spec, second) == first
        assert second.mutations == 0

    @needs(Capability.CREATE_NETWORK)
    def test_missing_network_is_not_found_unless_it_may_be_created(self, adapter: Adapter, rig: Rig) -> None:
        spec = NetworkSpec(name=rig.name("net"))
        before = rig.objects(ObjectKind.NETWORK)
        with refused(ErrorKind.NOT_FOUND):
            adapter.isolation.ensure_network(spec, effect("network"))
        assert rig.objects(ObjectKind.NETWORK) == before

    @needs(Capability.ISOLATE_SEALED)
    def test_network_that_does_not_fit_is_refused_and_left_alone(self, adapter: Adapter, rig: Rig) -> None:
        spec = network_spec(rig, IsolationMode.SEALED)
        rig.foreign_network(spec.name)
        before, listed = rig.objects(ObjectKind.NETWORK), adapter.inventory.networks()
        with refused(ErrorKind.CONFLICT):
            adapter.isolation.ensure_network(spec, effect("network"))
        ref = rig.make_machine(rig.name("vm"))
        described = rig.describe(ref)
        isolation = IsolationSpec(mode=IsolationMode.SEALED, network=spec)
        with refused(ErrorKind.CONFLICT):
            adapter.isolation.ensure_isolated(ref, isolation, (), effect("isolate"))
        assert rig.objects(ObjectKind.NETWORK) == before
        assert adapter.inventory.networks() == listed
        assert rig.describe(ref) == described
        found = adapter.preflight.isolation(observe(adapter, ref), isolation)
        assert any(not finding.ok for finding in found)

    @needs(Capability.CREATE_NETWORK)
    def test_foreign_network_is_not_removed(self, adapter: Adapter, rig: Rig) -> None:
        spec = NetworkSpec(name=rig.name("net"))
        rig.foreign_network(spec.name)
        before = rig.objects(ObjectKind.NETWORK)
        with refused(ErrorKind.CONFLICT):
            adapter.isolation.ensure_network_removed(spec, effect("undo"))
        assert rig.objects(ObjectKind.NETWORK) == before

    @needs(Capability.CREATE_NETWORK)
    def test_network_that_the_ledger_does_not_know_is_not_removed(self, adapter: Adapter, rig: Rig) -> None:
        spec = network_spec(rig, None)
        adapter.isolation.ensure_network(spec, effect("network"))
        before = rig.objects(ObjectKind.NETWORK)
        with refused(ErrorKind.CONFLICT):
            adapter.isolation.ensure_network_removed(spec, effect("undo"))
        assert rig.objects(ObjectKind.NETWORK) == before

    @needs(Capability.CREATE_NETWORK)
    def test_network_that_another_state_makes_at_the_same_moment_is_used_and_not_ours(
        self, adapter: Adapter, rig: Rig, ledger: Ledger
    ) -> None:
        spec, theirs, before = network_spec(rig, None), effect("theirs"), rig.objects(ObjectKind.NETWORK)
        late = OvertakenEffect(token("late"), ledger)
        late.overtake = lambda: adapter.isolation.ensure_network(spec, theirs)
        found = adapter.isolation.ensure_network(spec, late)
        assert found.token == theirs.token
        assert ledger.left(ObjectKind.NETWORK) == frozenset()
        with refused(ErrorKind.CONFLICT):
            adapter.isolation.ensure_network_removed(spec, effect("undo", ledger))
        assert found in adapter.inventory.networks()
        assert adapter.isolation.ensure_network_removed(spec, effect("undo", theirs.ledger))
        assert rig.objects(ObjectKind.NETWORK) == before

    @needs(Capability.CREATE_NETWORK)
    def test_ends_the_same_after_a_crash_or_a_lost_lease(self, adapter: Adapter, rig: Rig) -> None:
        def setup() -> tuple[NetworkSpec, frozenset[str]]:
            return network_spec(rig, None), rig.objects(ObjectKind.NETWORK)

        def create(scene: tuple[NetworkSpec, frozenset[str]], hand: RecordingEffect) -> Network:
            return adapter.isolation.ensure_network(scene[0], hand)

        def created(scene: tuple[NetworkSpec, frozenset[str]], network: Network, ledger: Ledger) -> None:
            assert network.active
            assert len(rig.objects(ObjectKind.NETWORK) - scene[1]) == 1
            assert ledger.left(ObjectKind.NETWORK)
            assert not ledger.intended
            remove(scene, RecordingEffect(network.token or "", ledger))
            removed(scene, True, ledger)

        def remove(scene: tuple[NetworkSpec, frozenset[str]], hand: RecordingEffect) -> bool:
            if hand.crash_at or hand.lose_lease_at:
                adapter.isolation.ensure_network(scene[0], effect("network", hand.ledger))
            return adapter.isolation.ensure_network_removed(scene[0], hand)

        def removed(scene: tuple[NetworkSpec, frozenset[str]], gone: bool, ledger: Ledger) -> None:
            assert gone
            assert rig.objects(ObjectKind.NETWORK) == scene[1]
            assert ledger.left(ObjectKind.NETWORK) == frozenset()

        at_every_crash(setup, create, created)
        at_every_lost_lease(rig, setup, create, created)
        at_every_crash(setup, remove, removed)
        at_every_lost_lease(rig, setup, remove, removed)
