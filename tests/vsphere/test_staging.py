"""Targets on the rig's vCenter: one clone however the call ends, a customization that is waited for, secrets
that are nowhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from pyVmomi import vim

from orchestrator.contract.conformance.effect import Crash, Ledger, RecordingEffect
from orchestrator.contract.conformance.support import again
from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.provider import ObjectKind
from orchestrator.model.network import NetworkSpec
from orchestrator.model.secret import SecretRef
from orchestrator.model.target import CopyMode, DomainJoin, Placement, StaticAddress, TargetSpec
from providers.vsphere.networkrole import ensure_network
from tests.rigs.vcsim import vcsim
from tests.rigs.vsphere_targets import ADMIN, JOIN, MIB, NETWORK, Targets, effect, ref_of

CLONE = "CloneVM_Task"
DOMAIN = DomainJoin(name="corp.example", username="CORP\\joiner", password=SecretRef(env="JOIN"))


@pytest.fixture(scope="module")
def module_targets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Targets]:
    folder = tmp_path_factory.mktemp("vcenter")
    with vcsim(folder) as sim:
        yield Targets(sim, folder)


@pytest.fixture
def targets(module_targets: Targets) -> Iterator[Targets]:
    module_targets.again()
    yield module_targets
    module_targets.sim.control("faults/clear")
    module_targets.sim.control("task_delay", method="CloneVM", ms=0)
    module_targets.link.close()


class Killed(RecordingEffect):
    """The controller dies as soon as a task's id is known."""

    def task(self, what: str, reference: str) -> None:
        RecordingEffect.task(self, what, reference)
        raise Crash(what)


def refused(
    kind: ErrorKind, targets: Targets, spec: TargetSpec, hand: RecordingEffect | None = None
) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        targets.staging.ensure_target(spec, hand or effect("stage"))
    assert caught.value.kind is kind, caught.value
    return caught.value


def confirmed(targets: Targets, staged: Any, seconds: float = 10.0) -> bool | None:
    end = time.monotonic() + seconds
    while (now := targets.staging.customized(staged, "new01")) is not True and time.monotonic() < end:
        time.sleep(0.05)
    return now


class TestOneClone:
    """However the call ends."""

    def test_a_lost_reply_is_uncertain_and_the_repeat_finds_the_clone(self, targets: Targets) -> None:
        spec, hand = targets.spec(), effect("stage")
        targets.sim.control("fault", method=CLONE, kind="reply-lost", times=1)
        refused(ErrorKind.UNCERTAIN, targets, spec, hand)
        repeat = again(hand)
        staged = targets.staging.ensure_target(spec, repeat)
        assert (repeat.mutations, len(targets.machines(spec.vm))) == (0, 1)
        assert staged.disks
        assert not hand.ledger.intended

    def test_a_call_that_never_arrived_is_made_by_the_repeat(self, targets: Targets) -> None:
        spec, hand = targets.spec(), effect("stage")
        targets.sim.control("fault", method=CLONE, kind="cut", times=1)
        refused(ErrorKind.UNCERTAIN, targets, spec, hand)
        targets.staging.ensure_target(spec, again(hand))
        assert len(targets.machines(spec.vm)) == 1

    def test_a_controller_killed_in_a_slow_clone_and_back_at_once_makes_no_second(
        self, targets: Targets
    ) -> None:
        spec, hand = targets.spec(), Killed(effect("stage").token, Ledger())
        targets.sim.control("task_delay", method="CloneVM", ms=1500)
        with pytest.raises(Crash):
            targets.staging.ensure_target(spec, hand)
        assert targets.machines(spec.vm) == []
        targets.again()
        repeat = RecordingEffect(hand.token, hand.ledger)
        staged = targets.staging.ensure_target(spec, repeat)
        assert (repeat.mutations, len(targets.machines(spec.vm))) == (0, 1)
        assert targets.staging.ensure_target(spec, RecordingEffect(hand.token, hand.ledger)) == staged

    def test_two_at_once_with_one_token_make_one(self, targets: Targets) -> None:
        spec, hand = targets.spec(), effect("stage")
        targets.sim.control("task_delay", method="CloneVM", ms=500)
        found: list[Any] = []
        workers = [
            threading.Thread(
                target=lambda: found.append(
                    targets.staging.ensure_target(spec, RecordingEffect(hand.token, hand.ledger))
                )
            )
            for _ in range(2)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(30)
        assert len(targets.machines(spec.vm)) == 1
        assert [one.id for one in found] == [found[0].id] * len(found)

    def test_a_name_taken_meanwhile_is_a_conflict_and_left_alone(self, targets: Targets) -> None:
        spec = targets.spec()
        targets.sim.control(
            "fault", method=CLONE, kind="task-fault", fault="DuplicateName", message="taken", times=1,
            detail={"name": spec.vm, "object": {"type": "VirtualMachine", "value": "vm-1"}},
        )  # fmt: skip
        refused(ErrorKind.CONFLICT, targets, spec)
        assert targets.machines(spec.vm) == []

    def test_a_machine_of_that_name_is_a_conflict_before_anything_is_done(self, targets: Targets) -> None:
        spec, hand = targets.spec(), effect("stage")
        targets.sim.control("machine", name=spec.vm, disks=[], nics=[])
        assert "there is a machine" in refused(ErrorKind.CONFLICT, targets, spec, hand).message
        assert hand.mutations == 0

    def test_a_full_datastore_fails_and_leaves_nothing(self, targets: Targets) -> None:
        spec, before = targets.spec(), targets.disks()
        targets.sim.control(
            "fault", method=CLONE, kind="task-fault", fault="NoDiskSpace", message="full", times=1,
            detail={"file": "", "datastore": "LocalDS_0"},
        )  # fmt: skip
        assert "free some space" in refused(ErrorKind.PERMANENT, targets, spec).hint
        assert (targets.machines(spec.vm), targets.disks()) == ([], before)

    def test_rights_that_are_missing_are_denied(self, targets: Targets) -> None:
        targets.sim.control("fault", method=CLONE, kind="denied", times=1)
        refused(ErrorKind.DENIED, targets, targets.spec())


class TestShape:
    """What is made."""

    def test_an_overlay_is_unsupported(self, targets: Targets) -> None:
        error = refused(ErrorKind.UNSUPPORTED, targets, targets.spec(copy_mode=CopyMode.OVERLAY))
        assert "copy: full" in error.hint

    def test_a_machine_that_is_no_template_is_not_found(self, targets: Targets) -> None:
        name = targets.name("plain")
        targets.sim.control("machine", name=name, disks=[], nics=[NETWORK])
        refused(ErrorKind.NOT_FOUND, targets, targets.spec(image=name))

    def test_a_template_with_two_cards_is_refused(self, targets: Targets) -> None:
        name = targets.name("twocards")
        targets.template(name, nics=[NETWORK, NETWORK])
        assert "2 network cards" in refused(ErrorKind.PERMANENT, targets, targets.spec(image=name)).message

    def test_the_card_is_on_the_network_connected_with_a_new_address(self, targets: Targets) -> None:
        others = {card.macAddress for vm in targets.all_machines() for card in cards_of(vm)}
        spec = targets.spec(network=NetworkSpec(name="DC0_DVPG0"))
        staged = targets.staging.ensure_target(spec, effect("stage"))
        for start in (lambda: None, lambda: targets.start(staged)):
            start()
            [nic] = targets.inventory.machine(ref_of(staged)).nics
            assert (nic.network, nic.link_up) == ("dvportgroup:DC0_DVPG0", True)
        [machine] = targets.machines(spec.vm)
        [card] = cards_of(machine)
        assert card.macAddress not in others
        assert card.addressType != "manual"

    def test_placement_is_followed(self, targets: Targets) -> None:
        center = targets.si.content.rootFolder.childEntity[0]
        center.vmFolder.CreateFolder("Branch")
        spec = targets.spec(placement=Placement(folder="Branch", cluster="DC0_C0", datastore="LocalDS_0"))
        staged = targets.staging.ensure_target(spec, effect("stage"))
        assert f"/DC0/vm/Branch/{spec.vm}" in targets.inventory.machine(ref_of(staged)).also
        error = refused(ErrorKind.NOT_FOUND, targets, targets.spec(placement=Placement(folder="Brunch")))
        assert "/DC0/vm/Branch" in error.hint

    def test_a_change_by_hand_is_seen(self, targets: Targets) -> None:
        spec, hand = targets.spec(), effect("stage")
        staged = targets.staging.ensure_target(spec, hand)
        [machine] = targets.machines(spec.vm)
        targets.done(machine.ReconfigVM_Task(vim.vm.ConfigSpec(annotation="note", memoryMB=256)))
        assert targets.staging.fingerprint(staged) == staged.fingerprint
        targets.done(machine.ReconfigVM_Task(vim.vm.ConfigSpec(memoryMB=512)))
        assert targets.staging.fingerprint(staged) != staged.fingerprint
        assert (
            "512 MiB memory instead of 256" in refused(ErrorKind.CONFLICT, targets, spec, again(hand)).message
        )


class TestCustomization:
    """The first boot."""

    def test_name_and_event_together_confirm_it(self, targets: Targets) -> None:
        address = StaticAddress(ip="198.51.100.20/24", gateway="198.51.100.1", dns=("198.51.100.2",))
        staged = targets.staging.ensure_target(targets.spec(address=address), effect("stage"))
        assert staged.customizes
        assert staged.medium is None
        assert targets.staging.customized(staged, "NEW01") is None
        targets.start(staged)
        assert confirmed(targets, staged) is True
        assert targets.staging.customized(staged, "OTHER") is False
        assert targets.staging.fingerprint(staged) == staged.fingerprint

    @pytest.mark.parametrize(
        ("outcome", "event"),
        [
            ("failed", "CustomizationFailed"),
            ("sysprep-failed", "CustomizationSysprepFailed"),
            ("network-failed", "CustomizationNetworkSetupFailed"),
        ],
    )
    def test_a_failure_is_an_error_that_says_where_the_log_lies(
        self, targets: Targets, outcome: str, event: str
    ) -> None:
        spec = targets.spec()
        targets.sim.control("customization", name=spec.vm, outcome=outcome)
        staged = targets.staging.ensure_target(spec, effect("stage"))
        targets.start(staged)
        with pytest.raises(ProviderError, match=f"customization of {spec.vm} failed: {event}") as caught:
            confirmed(targets, staged)
        assert caught.value.kind is ErrorKind.PERMANENT
        assert "Panther" in caught.value.hint
        assert "guestcust.log" in caught.value.hint

    def test_one_that_never_ends_is_never_confirmed(self, targets: Targets) -> None:
        spec = targets.spec()
        targets.sim.control("customization", name=spec.vm, outcome="never")
        staged = targets.staging.ensure_target(spec, effect("stage"))
        targets.start(staged)
        assert confirmed(targets, staged, 0.5) is not True

    def test_another_machines_success_confirms_nothing(self, targets: Targets) -> None:
        done = targets.staging.ensure_target(targets.spec(), effect("stage"))
        targets.start(done)
        assert confirmed(targets, done) is True
        spec = targets.spec()
        targets.sim.control("customization", name=spec.vm, outcome="never")
        waiting = targets.staging.ensure_target(spec, effect("stage"))
        targets.start(waiting)
        assert confirmed(targets, waiting, 0.3) is not True

    def test_a_look_costs_two_calls(self, targets: Targets) -> None:
        staged = targets.staging.ensure_target(targets.spec(), effect("stage"))
        targets.start(staged)
        assert confirmed(targets, staged) is True
        targets.sim.control("counts/reset")
        targets.staging.customized(staged, "NEW01")
        assert targets.sim.control("counts")["total"] <= 2

    def test_secrets_are_nowhere(self, targets: Targets, caplog: pytest.LogCaptureFixture) -> None:
        spec, hand = targets.spec(domain=DOMAIN), effect("stage")
        staged = targets.staging.ensure_target(spec, hand)
        targets.start(staged)
        assert confirmed(targets, staged) is True
        again_taken = refused(ErrorKind.CONFLICT, targets, spec)
        targets.sim.control("fault", method=CLONE, kind="reply-lost", times=1)
        lost = refused(ErrorKind.UNCERTAIN, targets, targets.spec(domain=DOMAIN))
        for text in (repr(staged), repr(hand), repr(again_taken), repr(lost), str(lost), caplog.text):
            assert ADMIN not in text
            assert JOIN not in text
        assert targets.leaks() == []


class TestRemoval:
    """The way back."""

    def test_kept_disks_can_be_deleted_later(self, targets: Targets) -> None:
        before, ledger, spec = targets.disks(), Ledger(), targets.spec()
        staged = targets.staging.ensure_target(spec, effect("stage", ledger))
        targets.staging.ensure_target_removed(staged, effect("undo", ledger), keep_disks=True)
        assert targets.disks() - before == set(staged.disks)
        undo = effect("undo", ledger)
        targets.staging.ensure_target_removed(staged, undo, keep_disks=False)
        assert (targets.disks(), ledger.left(ObjectKind.DISK)) == (before, frozenset())
        repeat = again(undo)
        targets.staging.ensure_target_removed(staged, repeat, keep_disks=False)
        assert repeat.mutations == 0

    def test_a_kept_disk_that_another_machine_uses_by_now_stays(self, targets: Targets) -> None:
        ledger, spec = Ledger(), targets.spec()
        staged = targets.staging.ensure_target(spec, effect("stage", ledger))
        targets.staging.ensure_target_removed(staged, effect("undo", ledger), keep_disks=True)
        user = targets.sim.control("machine", name=targets.name("user"), disks=[{"size": MIB}], nics=[])
        attach(targets, str(user["moref"]), staged.disks[0])
        with pytest.raises(ProviderError, match="is a disk of machine user") as caught:
            targets.staging.ensure_target_removed(staged, effect("undo", ledger), keep_disks=False)
        assert caught.value.kind is ErrorKind.CONFLICT
        assert staged.disks[0] in targets.disks()

    def test_a_target_with_a_disk_of_somebody_elses_stays(self, targets: Targets) -> None:
        ledger, spec = Ledger(), targets.spec()
        staged = targets.staging.ensure_target(spec, effect("stage", ledger))
        other = targets.staging.ensure_target(targets.spec(), effect("stage", ledger_of_another := Ledger()))
        targets.staging.ensure_target_removed(other, effect("undo", ledger_of_another), keep_disks=True)
        attach(targets, targets.moref(ref_of(staged)), other.disks[0])
        for keep in (True, False):
            with pytest.raises(ProviderError, match="disks that are not ours") as caught:
                targets.staging.ensure_target_removed(staged, effect("undo", ledger), keep_disks=keep)
            assert caught.value.kind is ErrorKind.CONFLICT
        assert len(targets.machines(spec.vm)) == 1

    def test_disks_below_a_snapshot_are_not_kept_in_pieces(self, targets: Targets) -> None:
        ledger, spec = Ledger(), targets.spec()
        staged = targets.staging.ensure_target(spec, effect("stage", ledger))
        [machine] = targets.machines(spec.vm)
        targets.done(machine.CreateSnapshot_Task("theirs", "", False, False))
        with pytest.raises(ProviderError, match="has snapshots"):
            targets.staging.ensure_target_removed(staged, effect("undo", ledger), keep_disks=True)
        targets.staging.ensure_target_removed(staged, effect("undo", ledger), keep_disks=False)
        assert targets.machines(spec.vm) == []

    def test_a_lost_reply_at_the_removal_is_settled_by_the_repeat(self, targets: Targets) -> None:
        ledger, spec = Ledger(), targets.spec()
        staged = targets.staging.ensure_target(spec, effect("stage", ledger))
        targets.sim.control("fault", method="Destroy_Task", kind="reply-lost", times=1)
        undo = effect("undo", ledger)
        with pytest.raises(ProviderError) as caught:
            targets.staging.ensure_target_removed(staged, undo, keep_disks=False)
        assert caught.value.kind is ErrorKind.UNCERTAIN
        targets.staging.ensure_target_removed(staged, again(undo), keep_disks=False)
        assert targets.machines(spec.vm) == []
        assert not ledger.left(ObjectKind.VM) | ledger.left(ObjectKind.DISK)


class TestReadiness:
    """What would hinder."""

    def test_a_sound_spec_has_no_hindrance(self, targets: Targets) -> None:
        found = targets.readiness.findings(targets.spec())
        assert [one for one in found if not one.ok] == []
        assert {"release", "copy", "placement", f"template {targets.spec().image}"} <= {
            one.check for one in found
        }

    @pytest.mark.parametrize(
        ("changes", "check", "words"),
        [
            ({"release": 2019}, "release", "2022 and 2025 are"),
            ({"copy_mode": CopyMode.OVERLAY}, "copy", "copy: full"),
            ({"computer_name": "SIXTEENLETTERS-X"}, "computer name", "more than 15"),
            ({"memory_bytes": 257 * MIB}, "memory", "multiple of 4 MiB"),
            ({"image": "none"}, "template none", "is not there"),
            ({"release": 2022}, "template's system", "no Windows Server 2022"),
            ({"placement": Placement(datastore="ds9")}, "placement", "ds9 is not there"),
            ({"network": NetworkSpec(name="none")}, "network none", "does not create it"),
            ({"time_zone": "Nowhere"}, "time zone", "no index"),
        ],
    )
    def test_every_hindrance_is_found_and_said(
        self, targets: Targets, changes: dict[str, Any], check: str, words: str
    ) -> None:
        found = [one for one in targets.readiness.findings(targets.spec(**changes)) if not one.ok]
        assert check in [one.check for one in found]
        assert len(found) == (2 if check == "release" else 1)  # no template is one of a release that is none
        assert words in found[0].detail

    def test_a_template_without_tools_or_too_large_is_found(self, targets: Targets) -> None:
        bare, huge = targets.name("bare"), targets.name("huge")
        targets.template(bare, tools=False)
        found = [one for one in targets.readiness.findings(targets.spec(image=bare)) if not one.ok]
        assert [one.check for one in found] == ["VMware Tools"]
        moref = targets.template(huge, disks=[{"size": 8 * 1024**4, "bus": "scsi"}])
        found = [one for one in targets.readiness.findings(targets.spec(image=huge)) if not one.ok]
        assert [one.check for one in found] == ["room on LocalDS_0"]
        targets.sim.control("delete", moref=moref)  # it leaves no room for others

    def test_a_network_that_was_made_since_the_last_look_is_no_hindrance(self, targets: Targets) -> None:
        network = NetworkSpec(name=targets.name("staging"), create=True)
        targets.readiness.findings(targets.spec(network=network))
        ensure_network(targets.link, targets.inventory.known_networks, network, effect("stage"))
        found = targets.readiness.findings(targets.spec(network=network))
        assert [one for one in found if not one.ok] == []

    def test_a_fleet_is_not_listed_anew_for_every_target(self, targets: Targets) -> None:
        targets.readiness.findings(targets.spec())
        targets.sim.control("counts/reset")
        for _ in range(10):
            targets.readiness.findings(targets.spec())
        assert targets.sim.control("counts")["total"] <= 10


def cards_of(machine: Any) -> list[Any]:
    """Return a machine's network cards."""
    devices = machine.config.hardware.device
    return [one for one in devices if isinstance(one, vim.vm.device.VirtualEthernetCard)]


def attach(targets: Targets, moref: str, file: str) -> None:
    """Give a machine a disk that exists."""
    machine = vim.VirtualMachine(moref, targets.si._stub)
    disk = next(d for d in machine.config.hardware.device if isinstance(d, vim.vm.device.VirtualDisk))
    backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo(fileName=file, diskMode="persistent")
    added = vim.vm.device.VirtualDisk(
        key=-1,
        controllerKey=disk.controllerKey,
        unitNumber=5,
        capacityInKB=disk.capacityInKB,
        backing=backing,
    )
    edit = vim.vm.device.VirtualDeviceSpec(operation="add", device=added)
    targets.done(machine.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[edit])))
