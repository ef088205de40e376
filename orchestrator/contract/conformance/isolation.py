"""Isolation: every card goes where the plan wants it, the proof is read from the hypervisor, and the way
back is exact."""

from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.contract.conformance.effect import Ledger, RecordingEffect
from orchestrator.contract.conformance.networks import CAPABILITIES, network_spec
from orchestrator.contract.conformance.rig import Rig
from orchestrator.contract.conformance.support import (
    again,
    at_every_crash,
    at_every_lost_lease,
    effect,
    needs,
    observe,
    picture,
    refused,
    supported,
)
from orchestrator.contract.errors import ErrorKind
from orchestrator.contract.provider import Adapter, Capability, ObjectKind
from orchestrator.model.machine import Machine, MachineRef
from orchestrator.model.network import IsolationMode, IsolationSpec, NetworkSpec, NicCapture

ADDRESSES = ("192.0.2.7",)


def _spec(rig: Rig, mode: IsolationMode) -> IsolationSpec:
    network = None if mode is IsolationMode.UNPLUGGED else network_spec(rig, mode)
    return IsolationSpec(mode=mode, network=network)


def _modes(adapter: Adapter, rig: Rig) -> Iterator[IsolationMode]:
    """Yield the declared modes; assert UNSUPPORTED for the others."""
    yield from (mode for mode, capability in CAPABILITIES.items() if supported(capability, adapter, rig))


def isolate(
    adapter: Adapter, ref: MachineRef, spec: IsolationSpec, hand: RecordingEffect
) -> tuple[NicCapture, ...]:
    """Capture, ensure the network, isolate: as the engine does. Returns what was captured."""
    captures = adapter.isolation.capture(ref)
    if spec.network is not None:
        adapter.isolation.ensure_network(spec.network, hand)
    adapter.isolation.ensure_isolated(ref, spec, ADDRESSES, hand)
    return captures


@dataclass(frozen=True, slots=True)
class Case:
    """A machine to isolate, and what was there before."""

    ref: MachineRef
    spec: IsolationSpec
    captures: tuple[NicCapture, ...]
    described: str
    networks: frozenset[str]


def _case(adapter: Adapter, rig: Rig, mode: IsolationMode) -> Case:
    ref = rig.make_machine(rig.name("vm"), running=True, nics=2)
    captures = adapter.isolation.capture(ref)
    return Case(ref, _spec(rig, mode), captures, rig.describe(ref), rig.objects(ObjectKind.NETWORK))


class TestIsolation:
    """capture, ensure_isolated, verify, ensure_released."""

    def test_cards_keep_their_address_and_none_is_added(self, adapter: Adapter, rig: Rig) -> None:
        for mode in _modes(adapter, rig):
            case = _case(adapter, rig, mode)
            before = rig.nics(case.ref)
            isolate(adapter, case.ref, case.spec, effect("isolate"))
            after = rig.nics(case.ref)
            assert [(nic.key, nic.model) for nic in after] == [(nic.key, nic.model) for nic in before]
            if mode is IsolationMode.UNPLUGGED:
                assert not any(nic.link_up for nic in after)
            else:
                assert not {nic.network for nic in after} & {nic.network for nic in before}
            assert mode is not IsolationMode.FILTERED or all(nic.filter for nic in after)

    def test_proof_holds_only_while_it_is_true(self, adapter: Adapter, rig: Rig) -> None:
        for mode in _modes(adapter, rig):
            case, hand = _case(adapter, rig, mode), effect("isolate")
            former = rig.nics(case.ref)
            isolate(adapter, case.ref, case.spec, hand)
            evidence = adapter.isolation.verify(case.ref, case.spec)
            assert evidence.holds, [f for f in evidence.findings if not f.ok]
            assert evidence.mode is mode
            assert all(any(nic.key in f.check + f.detail for f in evidence.findings) for nic in former)
            rig.move_nic(case.ref, former[-1])
            assert not adapter.isolation.verify(case.ref, case.spec).holds
            adapter.isolation.ensure_isolated(case.ref, case.spec, ADDRESSES, again(hand))
            assert adapter.isolation.verify(case.ref, case.spec).holds

    def test_machine_that_was_never_isolated_is_not_proved(self, adapter: Adapter, rig: Rig) -> None:
        for mode in _modes(adapter, rig):
            for running in (True, False):
                ref, spec = rig.make_machine(rig.name("vm"), running=running), _spec(rig, mode)
                if spec.network is not None:
                    adapter.isolation.ensure_network(spec.network, effect("network"))
                assert not adapter.isolation.verify(ref, spec).holds

    def test_neighbour_on_the_network_spoils_the_proof(self, adapter: Adapter, rig: Rig) -> None:
        if not supported(Capability.ISOLATE_SEALED, adapter, rig):
            return
        case = _case(adapter, rig, IsolationMode.SEALED)
        isolate(adapter, case.ref, case.spec, effect("isolate"))
        other = rig.make_machine(rig.name("vm"), running=True)
        (card,) = rig.nics(other)
        rig.move_nic(other, card.model_copy(update={"network": rig.nics(case.ref)[0].network}))
        assert not adapter.isolation.verify(case.ref, case.spec).holds

    @needs(Capability.ISOLATE_SITE_FILTERED)
    def test_filter_of_the_site_is_named_and_not_claimed_as_ours(
        self, adapter: Adapter, rig: Rig, ledger: Ledger
    ) -> None:
        words = "firewall rule 6003"
        network = NetworkSpec(name=rig.site_network, mode=IsolationMode.FILTERED, site_filter=words)
        spec = IsolationSpec(mode=IsolationMode.FILTERED, network=network)
        ref = rig.make_machine(rig.name("vm"), running=True, nics=2)
        described, before = rig.describe(ref), rig.nics(ref)
        assert [f for f in adapter.preflight.isolation(observe(adapter, ref), spec) if not f.ok] == []
        captures = isolate(adapter, ref, spec, effect("isolate", ledger))
        assert not {nic.network for nic in rig.nics(ref)} & {nic.network for nic in before}
        evidence = adapter.isolation.verify(ref, spec)
        assert evidence.holds, [f for f in evidence.findings if not f.ok]
        assert any(words in f.detail and "not checked" in f.detail for f in evidence.findings)
        adapter.isolation.ensure_released(ref, captures, effect("undo", ledger))
        assert rig.describe(ref) == described
        with refused(ErrorKind.UNSUPPORTED):
            undeclared = network.model_copy(update={"site_filter": None})
            adapter.isolation.ensure_isolated(
                ref, spec.model_copy(update={"network": undeclared}), ADDRESSES, effect("isolate")
            )

    def test_repeat_changes_nothing(self, adapter: Adapter, rig: Rig) -> None:
        for mode in _modes(adapter, rig):
            case, first = _case(adapter, rig, mode), effect("isolate")
            isolate(adapter, case.ref, case.spec, first)
            before, repeat = picture(rig, case.ref), again(first)
            isolate(adapter, case.ref, case.spec, repeat)
            assert picture(rig, case.ref) == before
            assert repeat.mutations == 0

    def test_holds_after_a_power_cycle(self, adapter: Adapter, rig: Rig) -> None:
        for mode in _modes(adapter, rig):
            case = _case(adapter, rig, mode)
            isolate(adapter, case.ref, case.spec, effect("isolate"))
            rig.set_running(case.ref, False)
            assert adapter.isolation.verify(case.ref, case.spec).holds
            rig.set_running(case.ref, True)
            evidence = adapter.isolation.verify(case.ref, case.spec)
            assert evidence.holds, [f for f in evidence.findings if not f.ok]

    def test_stopped_machine_is_isolated_before_it_starts(self, adapter: Adapter, rig: Rig) -> None:
        for mode in _modes(adapter, rig):
            ref, spec = rig.make_machine(rig.name("vm")), _spec(rig, mode)
            isolate(adapter, ref, spec, effect("isolate"))
            assert not rig.is_running(ref)
            assert adapter.isolation.verify(ref, spec).holds
            rig.set_running(ref, True)
            assert adapter.isolation.verify(ref, spec).holds

    def test_release_restores_exactly(self, adapter: Adapter, rig: Rig, ledger: Ledger) -> None:
        for mode in _modes(adapter, rig):
            case, filters = _case(adapter, rig, mode), rig.objects(ObjectKind.FILTER)
            isolate(adapter, case.ref, case.spec, effect("isolate", ledger))
            assert rig.describe(case.ref) != case.described
            undo = effect("undo", ledger)
            for hand in (undo, again(undo)):
                adapter.isolation.ensure_released(case.ref, case.captures, hand)
            assert rig.describe(case.ref) == case.described
            if case.spec.network is not None:
                assert adapter.isolation.ensure_network_removed(case.spec.network, undo)
            assert rig.objects(ObjectKind.NETWORK) == case.networks
            assert rig.objects(ObjectKind.FILTER) == filters
            assert ledger.left(ObjectKind.FILTER) == ledger.left(ObjectKind.NETWORK) == frozenset()

    def test_link_that_was_down_is_down_again(self, adapter: Adapter, rig: Rig, ledger: Ledger) -> None:
        for mode in _modes(adapter, rig):
            ref, spec = rig.make_machine(rig.name("vm"), running=True), _spec(rig, mode)
            (card,) = rig.nics(ref)
            rig.move_nic(ref, card.model_copy(update={"link_up": False}))
            captures = isolate(adapter, ref, spec, effect("isolate", ledger))
            adapter.isolation.ensure_released(ref, captures, effect("undo", ledger))
            assert [nic.link_up for nic in rig.nics(ref)] == [False]

    def test_network_in_use_stays(self, adapter: Adapter, rig: Rig, ledger: Ledger) -> None:
        for mode in _modes(adapter, rig):
            case = _case(adapter, rig, mode)
            if case.spec.network is None:
                continue
            isolate(adapter, case.ref, case.spec, effect("isolate", ledger))
            for running in (True, False):
                rig.set_running(case.ref, running)
                assert not adapter.isolation.ensure_network_removed(case.spec.network, effect("undo", ledger))
                assert adapter.isolation.verify(case.ref, case.spec).holds

    def test_two_hosts_share_a_network_and_leave_it_one_by_one(
        self, adapter: Adapter, rig: Rig, ledger: Ledger
    ) -> None:
        for mode in _modes(adapter, rig):
            one = _case(adapter, rig, mode)
            two = rig.make_machine(rig.name("vm"), running=True)
            isolate(adapter, one.ref, one.spec, effect("one", ledger))
            captures = isolate(adapter, two, one.spec, effect("two", ledger))
            assert adapter.isolation.verify(one.ref, one.spec).holds
            assert adapter.isolation.verify(two, one.spec).holds
            adapter.isolation.ensure_released(two, captures, effect("undo", ledger))
            assert adapter.isolation.verify(one.ref, one.spec).holds

    def test_cards_that_changed_meanwhile_are_not_guessed(self, adapter: Adapter, rig: Rig) -> None:
        for mode in _modes(adapter, rig):
            case = _case(adapter, rig, mode)
            other = rig.make_machine(rig.name("vm"), running=True, nics=1)
            before = rig.describe(other)
            with refused(ErrorKind.CONFLICT):
                adapter.isolation.ensure_released(other, case.captures, effect("undo"))
            assert rig.describe(other) == before

    def test_capture_that_cannot_be_read_is_refused(self, adapter: Adapter, rig: Rig) -> None:
        for mode in _modes(adapter, rig):
            case = _case(adapter, rig, mode)
            isolate(adapter, case.ref, case.spec, effect("isolate"))
            before = rig.describe(case.ref)
            spoilt = [capture.model_copy(update={"restore": "<>{"}) for capture in case.captures]
            with refused(ErrorKind.PERMANENT, ErrorKind.CONFLICT):
                adapter.isolation.ensure_released(case.ref, spoilt, effect("undo"))
            assert rig.describe(case.ref) == before

    def test_isolating_ends_the_same_after_a_crash_or_a_lost_lease(self, adapter: Adapter, rig: Rig) -> None:
        for mode in _modes(adapter, rig):

            def setup(mode: IsolationMode = mode) -> Case:
                case = _case(adapter, rig, mode)
                if case.spec.network is not None:
                    adapter.isolation.ensure_network(case.spec.network, effect("network"))
                return case

            def act(case: Case, hand: RecordingEffect) -> Machine:
                return adapter.isolation.ensure_isolated(case.ref, case.spec, ADDRESSES, hand)

            def check(case: Case, machine: Machine, ledger: Ledger) -> None:
                assert adapter.isolation.verify(case.ref, case.spec).holds
                assert machine.nics == rig.nics(case.ref)
                assert not ledger.intended
                adapter.isolation.ensure_released(case.ref, case.captures, effect("undo", ledger))
                assert rig.describe(case.ref) == case.described

            at_every_crash(setup, act, check)
            at_every_lost_lease(rig, setup, act, check)

    def test_releasing_ends_the_same_after_a_crash_or_a_lost_lease(self, adapter: Adapter, rig: Rig) -> None:
        for mode in _modes(adapter, rig):
            isolated: set[str] = set()

            def setup(mode: IsolationMode = mode) -> Case:
                return _case(adapter, rig, mode)

            def act(case: Case, hand: RecordingEffect, isolated: set[str] = isolated) -> Machine:
                if case.ref.id not in isolated:
                    isolate(adapter, case.ref, case.spec, effect("isolate", hand.ledger))
                    isolated.add(case.ref.id)
                return adapter.isolation.ensure_released(case.ref, case.captures, hand)

            def check(case: Case, machine: Machine, ledger: Ledger) -> None:
                assert rig.describe(case.ref) == case.described
                assert ledger.left(ObjectKind.FILTER) == frozenset()

            at_every_crash(setup, act, check)
            at_every_lost_lease(rig, setup, act, check)
