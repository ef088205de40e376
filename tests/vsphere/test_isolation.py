"""Isolation against the rig's vCenter: what the shared suite does not ask for, looked at with pyvmomi."""

# ruff: noqa: F811  # fixtures that are imported

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pyVmomi import vim

from orchestrator.contract.conformance.effect import Crash, Ledger, RecordingEffect
from orchestrator.contract.conformance.fixtures import adapter, ledger  # noqa: F401
from orchestrator.contract.conformance.support import again, effect, refused, token
from orchestrator.contract.errors import ErrorKind
from orchestrator.contract.provider import Adapter, ObjectKind
from orchestrator.model.machine import Consistency, MachineRef
from orchestrator.model.network import IsolationEvidence, IsolationMode, IsolationSpec, NetworkSpec
from tests.rigs.vsphere_rig import VsphereRig, rig, shared_rig  # noqa: F401

SWITCH = "DVS0"
UNPLUGGED = IsolationSpec(mode=IsolationMode.UNPLUGGED)
RECONFIGURE = "ReconfigVM_Task"


class Killed(RecordingEffect):
    """The controller dies as soon as a task's id is known."""

    def task(self, what: str, reference: str) -> None:
        RecordingEffect.task(self, what, reference)
        raise Crash(what)


class Meddled(RecordingEffect):
    """Somebody else changes something right before the first change."""

    def __init__(self, effect_token: str, meddle: Callable[[], object]) -> None:
        super().__init__(effect_token)
        self._meddle = [meddle]

    def before(self, what: str) -> None:
        RecordingEffect.before(self, what)
        while self._meddle:
            self._meddle.pop()()


@pytest.fixture(autouse=True)
def undisturbed(rig: VsphereRig) -> Iterator[None]:
    yield
    rig.sim.control("faults/clear")
    rig.sim.control("task_delay", method="ReconfigVM", ms=0)


def sealed(rig: VsphereRig, **more: Any) -> IsolationSpec:
    network = NetworkSpec(name=rig.name("net"), mode=IsolationMode.SEALED, create=True, **more)
    return IsolationSpec(mode=IsolationMode.SEALED, network=network)


def isolate(adapter: Adapter, ref: MachineRef, spec: IsolationSpec, hand: RecordingEffect) -> None:
    if spec.network is not None:
        adapter.isolation.ensure_network(spec.network, hand)
    adapter.isolation.ensure_isolated(ref, spec, (), hand)


def calls(rig: VsphereRig) -> dict[str, int]:
    found: dict[str, int] = rig.sim.control("counts")["calls"]
    return found


def network_object(rig: VsphereRig, name: str) -> Any:
    return next(n for n in rig._datacenter().network if n.name == name)


def failed(evidence: IsolationEvidence) -> list[str]:
    return [f"{f.check}: {f.detail}" for f in evidence.findings if not f.ok]


def test_a_portgroup_of_its_own_vlan_on_a_distributed_switch_seals(
    adapter: Adapter,
    rig: VsphereRig,
    ledger: Ledger,
) -> None:
    ref, spec = rig.make_machine(rig.name("vm"), running=True, nics=2), sealed(rig, switch=SWITCH, vlan=17)
    before, captures, hand = rig.describe(ref), adapter.isolation.capture(ref), effect("isolate", ledger)
    networks = rig.objects(ObjectKind.NETWORK)
    isolate(adapter, ref, spec, hand)
    assert spec.network is not None
    made = network_object(rig, spec.network.name)
    assert made.config.defaultPortConfig.vlan.vlanId == 17
    assert f"ferry token: {hand.token}" in made.config.description
    assert hand.reason in made.config.description
    assert {nic.network for nic in rig.nics(ref)} == {f"dvportgroup:{spec.network.name}"}
    assert failed(adapter.isolation.verify(ref, spec)) == []
    undo = effect("undo", ledger)
    adapter.isolation.ensure_released(ref, captures, undo)
    assert rig.describe(ref) == before
    assert adapter.isolation.ensure_network_removed(spec.network, undo)
    assert rig.objects(ObjectKind.NETWORK) == networks
    assert ledger.left(ObjectKind.NETWORK) == frozenset()


def test_a_distributed_portgroup_beside_others_is_not_made(adapter: Adapter, rig: VsphereRig) -> None:
    before = rig.objects(ObjectKind.NETWORK)
    spec = sealed(rig, switch=SWITCH)
    assert spec.network is not None
    with refused(ErrorKind.CONFLICT) as caught:
        adapter.isolation.ensure_network(spec.network, effect("network"))
    assert "DC0_DVPG0" in caught[0].message
    ref = rig.make_machine(rig.name("vm"))
    (machine,) = adapter.inventory.machines([ref.id])
    assert any("DC0_DVPG0" in f.detail for f in adapter.preflight.isolation(machine, spec) if not f.ok)
    assert rig.objects(ObjectKind.NETWORK) == before


def test_a_named_switch_with_an_uplink_seals_nothing(adapter: Adapter, rig: VsphereRig) -> None:
    before, spec = rig.objects(ObjectKind.NETWORK), sealed(rig, switch="vSwitch0", vlan=17)
    assert spec.network is not None
    with refused(ErrorKind.CONFLICT) as caught:
        adapter.isolation.ensure_network(spec.network, effect("network"))
    assert "uplink" in caught[0].message
    with refused(ErrorKind.CONFLICT):
        missing = spec.network.model_copy(update={"switch": "nowhere"})
        adapter.isolation.ensure_network(missing, effect("network"))
    assert rig.objects(ObjectKind.NETWORK) == before


def test_a_standard_network_stands_on_every_host_without_uplink(
    adapter: Adapter,
    rig: VsphereRig,
    ledger: Ledger,
) -> None:
    spec, hand = sealed(rig), effect("network", ledger)
    assert spec.network is not None
    adapter.isolation.ensure_network(spec.network, hand)
    for host in rig._hosts():
        network = host.configManager.networkSystem.networkInfo
        (group,) = [pg for pg in network.portgroup if pg.spec.name == spec.network.name]
        (switch,) = [vs for vs in network.vswitch if vs.name == group.spec.vswitchName]
        assert not switch.pnic
        assert switch.name.startswith("ferry-")
        assert len(switch.name) <= 31
        assert group.spec.policy.security.allowPromiscuous is False
    assert adapter.isolation.ensure_network_removed(spec.network, effect("undo", ledger))
    for host in rig._hosts():
        switches = host.configManager.networkSystem.networkInfo.vswitch
        assert [vs.name for vs in switches if vs.name == switch.name] == []


def test_another_portgroup_on_the_same_switch_spoils_the_proof(adapter: Adapter, rig: VsphereRig) -> None:
    ref, spec = rig.make_machine(rig.name("vm"), running=True), sealed(rig)
    isolate(adapter, ref, spec, effect("isolate"))
    assert failed(adapter.isolation.verify(ref, spec)) == []
    (word,) = [n.bridge for n in adapter.inventory.networks() if spec.network and n.name == spec.network.name]
    rig._add_portgroup(rig.name("net"), str(word))
    assert any("same VLAN" in words for words in failed(adapter.isolation.verify(ref, spec)))


def test_a_template_keeps_its_network(adapter: Adapter, rig: VsphereRig, ledger: Ledger) -> None:
    ref, spec = rig.make_machine(rig.name("vm")), sealed(rig)
    isolate(adapter, ref, spec, effect("isolate", ledger))
    rig._vm(ref).MarkAsTemplate()
    assert spec.network is not None
    assert not adapter.isolation.ensure_network_removed(spec.network, effect("undo", ledger))


def test_an_unplugged_guest_cannot_plug_itself_in(adapter: Adapter, rig: VsphereRig) -> None:
    ref = rig.make_machine(rig.name("vm"), running=True)
    before, captures = rig.describe(ref), adapter.isolation.capture(ref)
    isolate(adapter, ref, UNPLUGGED, effect("isolate"))
    (card,) = [d for d in rig._vm(ref).config.hardware.device if hasattr(d, "macAddress")]
    link = card.connectable
    assert (link.connected, link.startConnected, link.allowGuestControl) == (False, False, False)
    card.connectable.allowGuestControl = True
    change = vim.vm.device.VirtualDeviceSpec(operation="edit", device=card)
    rig._done(rig._vm(ref).ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[change])))
    assert not adapter.isolation.verify(ref, UNPLUGGED).holds
    adapter.isolation.ensure_isolated(ref, UNPLUGGED, (), effect("again"))
    assert adapter.isolation.verify(ref, UNPLUGGED).holds
    adapter.isolation.ensure_released(ref, captures, effect("undo"))
    assert rig.describe(ref) == before


def test_a_change_by_somebody_else_is_neither_lost_nor_in_the_way(adapter: Adapter, rig: VsphereRig) -> None:
    ref = rig.make_machine(rig.name("vm"), running=True)
    vm = rig._vm(ref)
    theirs = vim.vm.ConfigSpec(annotation="theirs")
    hand = Meddled(token("isolate"), lambda: rig._done(vm.ReconfigVM_Task(theirs)))
    adapter.isolation.ensure_isolated(ref, UNPLUGGED, (), hand)
    assert hand.mutations == 2
    assert vm.config.annotation == "theirs"
    assert adapter.isolation.verify(ref, UNPLUGGED).holds


def test_a_card_that_is_added_after_the_capture_is_moved_too(adapter: Adapter, rig: VsphereRig) -> None:
    ref, spec, hand = rig.make_machine(rig.name("vm"), running=True), sealed(rig), effect("isolate")
    (captured,) = adapter.isolation.capture(ref)
    card = vim.vm.device.VirtualVmxnet3(
        key=-1, backing=rig._backing(*captured.nic.network.split(":", 1)), addressType="generated"
    )
    added = vim.vm.ConfigSpec(deviceChange=[vim.vm.device.VirtualDeviceSpec(operation="add", device=card)])
    rig._done(rig._vm(ref).ReconfigVM_Task(added))
    isolate(adapter, ref, spec, hand)
    assert spec.network is not None
    assert [nic.network for nic in rig.nics(ref)] == [f"portgroup:{spec.network.name}"] * 2
    assert adapter.isolation.verify(ref, spec).holds


def test_a_change_under_way_after_the_capture_is_waited_for(adapter: Adapter, rig: VsphereRig) -> None:
    ref = rig.make_machine(rig.name("vm"), running=True)
    vm = rig._vm(ref)
    adapter.isolation.capture(ref)
    rig.sim.control("task_delay", method="ReconfigVM", ms=1000)
    theirs = vm.ReconfigVM_Task(vim.vm.ConfigSpec(annotation="theirs"))
    adapter.isolation.ensure_isolated(ref, UNPLUGGED, (), effect("isolate"))
    assert theirs.info.state == "success"
    assert vm.config.annotation == "theirs"
    assert adapter.isolation.verify(ref, UNPLUGGED).holds


def test_a_lost_reply_leaves_one_change(adapter: Adapter, rig: VsphereRig) -> None:
    ref, spec, hand = rig.make_machine(rig.name("vm"), running=True), sealed(rig), effect("isolate")
    assert spec.network is not None
    adapter.isolation.ensure_network(spec.network, hand)
    rig.sim.control("counts/reset")
    rig.sim.control("fault", method=RECONFIGURE, kind="reply-lost", times=1)
    with refused(ErrorKind.UNCERTAIN):
        adapter.isolation.ensure_isolated(ref, spec, (), hand)
    adapter.isolation.ensure_isolated(ref, spec, (), again(hand))
    assert adapter.isolation.verify(ref, spec).holds
    assert calls(rig)[RECONFIGURE] == 1


def test_a_controller_killed_during_a_slow_change_waits_for_it(adapter: Adapter, rig: VsphereRig) -> None:
    ref, spec, hand = rig.make_machine(rig.name("vm"), running=True), sealed(rig), Killed(token("isolate"))
    assert spec.network is not None
    adapter.isolation.ensure_network(spec.network, effect("network"))
    rig.sim.control("counts/reset")
    rig.sim.control("task_delay", method="ReconfigVM", ms=1500)
    with pytest.raises(Crash):
        adapter.isolation.ensure_isolated(ref, spec, (), hand)
    adapter.isolation.ensure_isolated(ref, spec, (), RecordingEffect(hand.token, hand.ledger))
    assert adapter.isolation.verify(ref, spec).holds
    assert calls(rig)[RECONFIGURE] == 1


def test_each_step_costs_few_calls(adapter: Adapter, rig: VsphereRig) -> None:
    first, spec = rig.make_machine(rig.name("vm"), running=True), sealed(rig)
    isolate(adapter, first, spec, effect("isolate"))
    ref = rig.make_machine(rig.name("vm"), running=True, nics=4)
    adapter.inventory.machines([ref.id])
    assert spec.network is not None
    for step, most in (
        (lambda: adapter.isolation.capture(ref), 1),
        (lambda: adapter.isolation.ensure_network(spec.network, effect("network")), 1),
        (lambda: adapter.isolation.ensure_isolated(ref, spec, (), effect("isolate")), 4),
        (lambda: adapter.isolation.verify(ref, spec), 1),
    ):
        rig.sim.control("counts/reset")
        step()
        assert rig.sim.control("counts")["total"] <= most


def test_a_stranger_s_portgroup_on_a_later_host_is_a_conflict_that_names_the_host(
    adapter: Adapter, rig: VsphereRig
) -> None:
    spec = sealed(rig).network
    assert spec is not None
    later = sorted(rig._hosts(), key=lambda host: str(host._moId))[-1]
    theirs = vim.host.PortGroup.Specification(
        name=spec.name, vlanId=0, vswitchName="vSwitch0", policy=vim.host.NetworkPolicy()
    )
    system = later.configManager.networkSystem
    hand = Meddled(token("network"), lambda: system.AddPortGroup(theirs))
    with refused(ErrorKind.CONFLICT) as errors:
        adapter.isolation.ensure_network(spec, hand)
    assert f"another portgroup {spec.name}" in str(errors[0])
    assert later.name in str(errors[0])
    (group,) = [pg for pg in system.networkInfo.portgroup if pg.spec.name == spec.name]
    assert group.spec.vswitchName == "vSwitch0"


def test_a_network_that_cannot_be_marked_is_not_called_made(adapter: Adapter, rig: VsphereRig) -> None:
    spec, hand = sealed(rig).network, effect("network")
    assert spec is not None
    rig.sim.control("fault", method="SetField", kind="denied")
    with refused(ErrorKind.DENIED):
        adapter.isolation.ensure_network(spec, hand)
    rig.sim.control("faults/clear")
    assert adapter.isolation.ensure_network(spec, again(hand)).token == hand.token


def test_room_is_judged_by_datastores_that_were_just_read_with_the_networks_and_by_no_older_ones(
    adapter: Adapter, rig: VsphereRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    (machine,) = adapter.inventory.machines([rig.make_machine(rig.name("vm")).id])
    asked = []
    for just_now in (60.0, -1.0):
        monkeypatch.setattr("providers.vsphere.room._JUST_NOW", just_now)
        adapter.preflight._datastores._until = 0.0  # type: ignore[attr-defined]
        adapter.inventory.networks()
        rig.sim.control("counts/reset")
        assert all(f.ok for f in adapter.preflight.snapshot(machine, Consistency.CRASH))
        asked.append(calls(rig).get("RetrievePropertiesEx", 0))
    assert asked == [0, 1]
