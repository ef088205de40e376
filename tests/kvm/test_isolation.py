"""One isolation upon another on real domains: never unfiltered on the uplink; each undo restores exactly."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import pytest

from orchestrator.contract.conformance.effect import Ledger, RecordingEffect
from orchestrator.contract.conformance.support import effect, refused
from orchestrator.contract.errors import ErrorKind
from orchestrator.contract.provider import Adapter, ObjectKind
from orchestrator.model.machine import MachineRef
from orchestrator.model.network import Flow, IsolationMode, IsolationSpec, NetworkSpec, NicCapture
from tests.rigs.kvm_rig import KvmRig, run

pytestmark = pytest.mark.kvm
EXPORT, NAMES = Flow(to="198.51.100.10", port=445), Flow(to="198.51.100.10", port=53, proto="udp")
OWN = ("198.51.100.21",)


@dataclass
class Watching(RecordingEffect):
    """Looks at the machine before every change: on the filtered network only behind our filter."""

    rig: KvmRig | None = None
    ref: MachineRef | None = None
    guarded: str = ""
    bare: list[str] = field(default_factory=list)

    def before(self, what: str) -> None:
        self.look(what)
        RecordingEffect.before(self, what)

    def look(self, what: str) -> None:
        assert self.rig is not None
        assert self.ref is not None
        for nic in self.rig.nics(self.ref):
            if nic.network == self.guarded and nic.filter is None:
                self.bare.append(f"{nic.key} before: {what}")


def filtered(rig: KvmRig, name: str, *allow: Flow) -> IsolationSpec:
    mode = IsolationMode.FILTERED
    network = NetworkSpec(name=name, mode=mode, create=True, uplink=rig.uplink, allow=allow)
    return IsolationSpec(mode=mode, network=network)


def sealed(name: str) -> IsolationSpec:
    mode = IsolationMode.SEALED
    return IsolationSpec(mode=mode, network=NetworkSpec(name=name, mode=mode, create=True))


def isolate(
    adapter: Adapter, ref: MachineRef, spec: IsolationSpec, hand: RecordingEffect
) -> tuple[NicCapture, ...]:
    captures = adapter.isolation.capture(ref)
    assert spec.network is not None
    adapter.isolation.ensure_network(spec.network, hand)
    adapter.isolation.ensure_isolated(ref, spec, OWN, hand)
    evidence = adapter.isolation.verify(ref, spec)
    assert evidence.holds, [f for f in evidence.findings if not f.ok]
    return captures


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize("second", ["another allow list", "sealed"])
def test_isolating_again_and_undoing_it_gives_the_first_isolation_back(
    adapter: Adapter, rig: KvmRig, ledger: Ledger, running: bool, second: str
) -> None:
    ref = rig.make_machine(rig.name("vm"), running=running)
    described, filters = rig.describe(ref), rig.objects(ObjectKind.FILTER)
    name = rig.name("net")
    first = filtered(rig, name, EXPORT)
    then = sealed(rig.name("net")) if second == "sealed" else filtered(rig, name, EXPORT, NAMES)
    hands = [
        Watching(effect(step).token, ledger, rig=rig, ref=ref, guarded=f"network:{name}")
        for step in ("isolate", "again", "undo-again", "undo")
    ]
    original = isolate(adapter, ref, first, hands[0])
    contained = rig.describe(ref)
    captures = isolate(adapter, ref, then, hands[1])
    assert not adapter.isolation.verify(ref, first).holds
    adapter.isolation.ensure_released(ref, captures, hands[2])
    assert rig.describe(ref) == contained
    evidence = adapter.isolation.verify(ref, first)
    assert evidence.holds, [f for f in evidence.findings if not f.ok]
    adapter.isolation.ensure_released(ref, original, hands[3])
    assert rig.describe(ref) == described
    assert rig.objects(ObjectKind.FILTER) == filters
    assert ledger.left(ObjectKind.FILTER) == frozenset()
    for hand in hands:
        hand.look("the end")
        assert hand.bare == []


def test_another_states_filter_is_neither_changed_nor_removed(adapter: Adapter, rig: KvmRig) -> None:
    ref, name = rig.make_machine(rig.name("vm"), running=True), rig.name("net")
    isolate(adapter, ref, filtered(rig, name, EXPORT), effect("theirs", Ledger()))
    contained, hand = rig.describe(ref), effect("ours", Ledger())
    captures = adapter.isolation.capture(ref)
    with refused(ErrorKind.CONFLICT):
        adapter.isolation.ensure_isolated(ref, filtered(rig, name, EXPORT, NAMES), OWN, hand)
    assert rig.describe(ref) == contained
    adapter.isolation.ensure_isolated(ref, IsolationSpec(mode=IsolationMode.UNPLUGGED), OWN, hand)
    adapter.isolation.ensure_released(ref, captures, hand)
    assert rig.describe(ref) == contained
    assert adapter.isolation.verify(ref, filtered(rig, name, EXPORT)).holds


def test_firewall_reload_behind_libvirts_back_spoils_the_proof(adapter: Adapter, rig: KvmRig) -> None:
    ref, spec = rig.make_machine(rig.name("vm"), running=True), filtered(rig, rig.name("net"), EXPORT)
    isolate(adapter, ref, spec, effect("isolate"))
    # As a reload does, but only for this one tap: another libvirtd's rules are none of ours.
    tap = re.search(r"<target dev='(vnet\d+)'", rig.conn.lookupByUUIDString(ref.id).XMLDesc()).group(1)
    run("ebtables", "-t", "nat", "-D", "PREROUTING", "-i", tap, "-j", f"libvirt-I-{tap}")
    failing = [f.check for f in adapter.isolation.verify(ref, spec).findings if not f.ok]
    assert len(failing) == 1
    assert "rules in the kernel" in failing[0]
    rig.daemon.stop_daemon()
    rig.daemon.start()
    evidence = adapter.isolation.verify(ref, spec)
    assert evidence.holds, [f for f in evidence.findings if not f.ok]
