"""Two states at one libvirt: what one of them announced and the other made is the other's, also after a crash
and at the removal. Nothing that was there is redefined, changed or removed."""

from __future__ import annotations

from itertools import count

import pytest

from orchestrator.contract.conformance.effect import Crash, Ledger, OvertakenEffect, RecordingEffect
from orchestrator.contract.conformance.support import again, effect, refused, token
from orchestrator.contract.errors import ErrorKind
from orchestrator.contract.provider import Adapter, ObjectKind
from orchestrator.model.machine import MachineRef
from orchestrator.model.network import Flow, IsolationMode, IsolationSpec, NetworkSpec, NicCapture
from tests.rigs.kvm_rig import KvmRig

pytestmark = pytest.mark.kvm
EXPORT, NAMES = Flow(to="198.51.100.10", port=445), Flow(to="198.51.100.10", port=53, proto="udp")


def network(rig: KvmRig) -> NetworkSpec:
    return NetworkSpec(name=rig.name("net"), mode=IsolationMode.SEALED, create=True)


def text_of(rig: KvmRig, name: str) -> str:
    return str(rig.conn.networkLookupByName(name).XMLDesc())


def filter_of(rig: KvmRig, ref: MachineRef) -> str:
    return str(rig.conn.nwfilterLookupByName(f"ferry-{ref.id}").XMLDesc())


def delete_filter(rig: KvmRig, ref: MachineRef) -> None:
    rig.conn.nwfilterLookupByName(f"ferry-{ref.id}").undefine()


def delete_network(rig: KvmRig, name: str) -> None:
    found = rig.conn.networkLookupByName(name)
    found.destroy()
    found.undefine()


def announce_and_die(adapter: Adapter, spec: NetworkSpec, ledger: Ledger) -> RecordingEffect:
    """Die with the intention written and nothing made."""
    first = RecordingEffect(token("network"), ledger, crash_at=1)
    with pytest.raises(Crash, match="intend"):
        adapter.isolation.ensure_network(spec, first)
    return first


# Networks


def test_network_that_another_state_made_after_we_died_with_our_intention_is_not_ours(
    adapter: Adapter, rig: KvmRig, ledger: Ledger
) -> None:
    spec, theirs = network(rig), effect("theirs")
    first = announce_and_die(adapter, spec, ledger)
    adapter.isolation.ensure_network(spec, theirs)
    before = text_of(rig, spec.name)
    assert adapter.isolation.ensure_network(spec, again(first)).token == theirs.token
    assert ledger.left(ObjectKind.NETWORK) == frozenset()
    with refused(ErrorKind.CONFLICT):
        adapter.isolation.ensure_network_removed(spec, effect("undo", ledger))
    assert text_of(rig, spec.name) == before


def test_undo_of_a_run_that_never_came_back_leaves_another_states_network(
    adapter: Adapter, rig: KvmRig, ledger: Ledger
) -> None:
    spec = network(rig)
    announce_and_die(adapter, spec, ledger)
    adapter.isolation.ensure_network(spec, effect("theirs"))
    before = text_of(rig, spec.name)
    with refused(ErrorKind.CONFLICT):
        adapter.isolation.ensure_network_removed(spec, effect("undo", ledger))
    assert text_of(rig, spec.name) == before


def test_network_that_another_state_made_in_the_place_of_ours_is_not_removed(
    adapter: Adapter, rig: KvmRig, ledger: Ledger
) -> None:
    spec = network(rig)
    adapter.isolation.ensure_network(spec, effect("ours", ledger))
    delete_network(rig, spec.name)
    adapter.isolation.ensure_network(spec, effect("theirs"))
    before = text_of(rig, spec.name)
    with refused(ErrorKind.CONFLICT):
        adapter.isolation.ensure_network_removed(spec, effect("undo", ledger))
    assert text_of(rig, spec.name) == before


def test_network_that_an_administrator_makes_meanwhile_is_neither_changed_nor_ours(
    adapter: Adapter, rig: KvmRig, ledger: Ledger
) -> None:
    spec = NetworkSpec(name=rig.name("net"), create=True)
    late = OvertakenEffect(token("late"), ledger, overtake=lambda: rig.foreign_network(spec.name))
    assert adapter.isolation.ensure_network(spec, late).token is None
    assert ledger.left(ObjectKind.NETWORK) == frozenset()
    assert not rig.conn.networkLookupByName(spec.name).autostart()


def test_network_that_another_process_of_this_state_made_is_removed_by_whichever_is_last(
    adapter: Adapter, rig: KvmRig, ledger: Ledger
) -> None:
    spec, before = network(rig), rig.objects(ObjectKind.NETWORK)
    late = OvertakenEffect(token("late"), ledger)
    late.overtake = lambda: adapter.isolation.ensure_network(spec, effect("first", ledger))
    adapter.isolation.ensure_network(spec, late)
    assert len(ledger.left(ObjectKind.NETWORK)) == 1
    assert adapter.isolation.ensure_network_removed(spec, effect("undo", ledger))
    assert rig.objects(ObjectKind.NETWORK) == before
    assert ledger.left(ObjectKind.NETWORK) == frozenset()


def test_network_whose_removal_was_cut_short_is_removed_by_another_undo(
    adapter: Adapter, rig: KvmRig
) -> None:
    """Each undo has a token of its own. Of an undo that never comes back its own announcement may stay, but
    never the maker's entry."""
    before = rig.objects(ObjectKind.NETWORK)
    for point in count(1):
        spec, ledger = network(rig), Ledger()
        adapter.isolation.ensure_network(spec, effect("network", ledger))
        dying = RecordingEffect(token("undo"), ledger, crash_at=point)
        try:
            adapter.isolation.ensure_network_removed(spec, dying)
        except Crash:
            assert adapter.isolation.ensure_network_removed(spec, effect("undo-again", ledger))
            left = ledger.left(ObjectKind.NETWORK)
            assert all(dying.token in entry for entry in left), f"point {point}: {left}"
        else:
            assert point > 4
            break
    assert rig.objects(ObjectKind.NETWORK) == before


# Filters


def isolated(
    adapter: Adapter, rig: KvmRig, ref: MachineRef, spec: IsolationSpec, hand: RecordingEffect
) -> tuple[NicCapture, ...]:
    captures = adapter.isolation.capture(ref)
    assert spec.network is not None
    adapter.isolation.ensure_network(spec.network, effect("network"))
    adapter.isolation.ensure_isolated(ref, spec, (), hand)
    return captures


def sealed(rig: KvmRig) -> IsolationSpec:
    return IsolationSpec(mode=IsolationMode.SEALED, network=network(rig))


def filtered(rig: KvmRig, name: str, *allow: Flow) -> IsolationSpec:
    mode = IsolationMode.FILTERED
    spec = NetworkSpec(name=name, mode=mode, create=True, uplink=rig.uplink, allow=allow)
    return IsolationSpec(mode=mode, network=spec)


@pytest.mark.parametrize("crash", [False, True], ids=["at the same moment", "after we died"])
def test_filter_that_another_state_made_is_not_ours(
    adapter: Adapter, rig: KvmRig, ledger: Ledger, crash: bool
) -> None:
    ref, spec, theirs = rig.make_machine(rig.name("vm")), sealed(rig), effect("theirs")
    late = OvertakenEffect(token("late"), ledger, crash_at=1 if crash else None)

    def overtake() -> None:
        isolated(adapter, rig, ref, spec, theirs)

    if crash:
        with pytest.raises(Crash, match="intend"):
            captures = isolated(adapter, rig, ref, spec, late)
        captures = adapter.isolation.capture(ref)
        overtake()
        adapter.isolation.ensure_isolated(ref, spec, (), again(late))
    else:
        late.overtake = overtake
        captures = isolated(adapter, rig, ref, spec, late)
    assert theirs.token in filter_of(rig, ref)
    assert ledger.left(ObjectKind.FILTER) == frozenset()
    before = filter_of(rig, ref)
    adapter.isolation.ensure_released(ref, captures, effect("undo", ledger))
    assert filter_of(rig, ref) == before


def test_filter_of_other_rules_that_another_state_makes_meanwhile_is_refused_and_left(
    adapter: Adapter, rig: KvmRig, ledger: Ledger
) -> None:
    ref, name = rig.make_machine(rig.name("vm")), rig.name("net")
    late = OvertakenEffect(token("late"), ledger)
    late.overtake = lambda: isolated(adapter, rig, ref, filtered(rig, name, EXPORT), effect("theirs"))
    with refused(ErrorKind.CONFLICT):
        isolated(adapter, rig, ref, filtered(rig, name, EXPORT, NAMES), late)
    assert ledger.left(ObjectKind.FILTER) == frozenset()
    assert adapter.isolation.verify(ref, filtered(rig, name, EXPORT)).holds


def test_filter_that_another_state_made_in_the_place_of_ours_is_not_removed(
    adapter: Adapter, rig: KvmRig, ledger: Ledger
) -> None:
    ref, spec = rig.make_machine(rig.name("vm")), sealed(rig)
    captures = isolated(adapter, rig, ref, spec, effect("ours", ledger))
    delete_filter(rig, ref)
    isolated(adapter, rig, ref, spec, effect("theirs"))
    before = filter_of(rig, ref)
    adapter.isolation.ensure_released(ref, captures, effect("undo", ledger))
    assert filter_of(rig, ref) == before


def test_restoring_an_earlier_filter_that_was_cut_short_is_settled_by_a_repeat(
    adapter: Adapter, rig: KvmRig
) -> None:
    for point in count(1):
        ref, name, ledger = rig.make_machine(rig.name("vm")), rig.name("net"), Ledger()
        original = isolated(adapter, rig, ref, filtered(rig, name, EXPORT), effect("first", ledger))
        first = filter_of(rig, ref)
        captures = isolated(adapter, rig, ref, filtered(rig, name, NAMES), effect("second", ledger))
        delete_filter(rig, ref)
        dying = RecordingEffect(token("undo"), ledger, crash_at=point)
        try:
            adapter.isolation.ensure_released(ref, captures, dying)
        except Crash:
            adapter.isolation.ensure_released(ref, captures, again(dying))
        assert not ledger.intended, f"point {point}"
        assert filter_of(rig, ref) == first
        adapter.isolation.ensure_released(ref, original, effect("undo-first", ledger))
        assert ledger.left(ObjectKind.FILTER) == frozenset()
        assert f"ferry-{ref.id}" not in rig.objects(ObjectKind.FILTER)
        if dying.crash_at and len(dying.calls) < point:
            assert point > 3
            return
