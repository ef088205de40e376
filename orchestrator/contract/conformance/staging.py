"""Staging: a replacement that is new in every respect, overwrites nothing, leaks nothing, and can be taken
back."""

from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.contract.conformance.effect import Ledger, RecordingEffect
from orchestrator.contract.conformance.networks import network_spec
from orchestrator.contract.conformance.rig import BLOCK, Rig
from orchestrator.contract.conformance.support import (
    PASSWORD,
    PASSWORD_REF,
    again,
    at_every_crash,
    at_every_lost_lease,
    effect,
    observe,
    picture,
    refused,
    supported,
)
from orchestrator.contract.errors import ErrorKind
from orchestrator.contract.provider import Adapter, Capability, ObjectKind
from orchestrator.model.machine import MachineRef, PowerState
from orchestrator.model.target import CopyMode, StagedTarget, TargetSpec

CAPABILITIES = {CopyMode.OVERLAY: Capability.STAGE_OVERLAY, CopyMode.FULL: Capability.STAGE_FULL}

OURS = (ObjectKind.VM, ObjectKind.DISK, ObjectKind.MEDIUM)


def target_spec(adapter: Adapter, rig: Rig, copy_mode: CopyMode) -> TargetSpec:
    """Return the spec of a target on a staging network of its own."""
    network = network_spec(rig, None)
    adapter.isolation.ensure_network(network, effect("network"))
    return TargetSpec(
        endpoint=rig.endpoint.name,
        release=2025,
        image=rig.golden_image,
        copy_mode=copy_mode,
        vm=rig.name("new"),
        cpus=1,
        memory_bytes=256 * 1024**2,
        network=network,
        computer_name="NEW01",
        admin_password=PASSWORD_REF,
    )


def specs(adapter: Adapter, rig: Rig) -> Iterator[TargetSpec]:
    """Yield one spec for each declared copy mode; assert UNSUPPORTED for the others."""
    for mode, capability in CAPABILITIES.items():
        if supported(capability, adapter, rig):
            yield target_spec(adapter, rig, mode)


def target_ref(staged: StagedTarget) -> MachineRef:
    """Return how the target is addressed as a machine."""
    return MachineRef(endpoint=staged.endpoint, id=staged.id, name=staged.name)


def listed_now(rig: Rig) -> dict[ObjectKind, frozenset[str]]:
    """Return what the hypervisor lists of the kinds that staging makes."""
    return {kind: rig.objects(kind) for kind in OURS}


@dataclass(frozen=True, slots=True)
class Case:
    """A target to be, and what the hypervisor listed before."""

    spec: TargetSpec
    listed: dict[ObjectKind, frozenset[str]]


class TestStaging:
    """ensure_target, customized, fingerprint."""

    def test_target_is_as_specified_and_off(self, adapter: Adapter, rig: Rig) -> None:
        for spec in specs(adapter, rig):
            staged = adapter.staging.ensure_target(spec, effect("stage"))
            machine = observe(adapter, target_ref(staged))
            assert machine.ref == target_ref(staged)
            assert (machine.ref.name, machine.power) == (spec.vm, PowerState.OFF)
            assert (machine.cpus, machine.memory_bytes) == (spec.cpus, spec.memory_bytes)
            assert [nic.network.partition(":")[2] for nic in machine.nics] == [spec.network.name]
            assert rig.read(machine.ref, 0, 0, BLOCK) == rig.golden_read(0, BLOCK)
            assert any(rig.golden_read(0, BLOCK))

    def test_identity_and_address_are_new(self, adapter: Adapter, rig: Rig) -> None:
        for spec in specs(adapter, rig):
            others = adapter.inventory.machines()
            staged = adapter.staging.ensure_target(spec, effect("stage"))
            machine = observe(adapter, target_ref(staged))
            assert staged.id not in {other.ref.id for other in others}
            assert not {n.key for n in machine.nics} & {n.key for other in others for n in other.nics}

    def test_golden_image_is_never_written(self, adapter: Adapter, rig: Rig) -> None:
        for spec in specs(adapter, rig):
            golden = rig.golden_read(0, BLOCK)
            staged = adapter.staging.ensure_target(spec, effect("stage"))
            rig.fill(target_ref(staged), 0, 0, BLOCK, 0x77)
            assert rig.golden_read(0, BLOCK) == golden

    def test_repeat_finds_its_own_and_changes_nothing(self, adapter: Adapter, rig: Rig) -> None:
        for spec in specs(adapter, rig):
            first = effect("stage")
            staged = adapter.staging.ensure_target(spec, first)
            before, repeat = picture(rig, target_ref(staged)), again(first)
            assert adapter.staging.ensure_target(spec, repeat) == staged
            assert picture(rig, target_ref(staged)) == before
            assert repeat.mutations == 0

    def test_machine_of_that_name_is_left_alone(self, adapter: Adapter, rig: Rig) -> None:
        for spec in specs(adapter, rig):
            taken = rig.make_machine(spec.vm)
            before = picture(rig, taken)
            assert any(not finding.ok for finding in adapter.preflight.staging(spec))
            with refused(ErrorKind.CONFLICT):
                adapter.staging.ensure_target(spec, effect("stage"))
            assert picture(rig, taken) == before

    def test_preflight_finds_nothing_against_a_sound_spec(self, adapter: Adapter, rig: Rig) -> None:
        for spec in specs(adapter, rig):
            found = adapter.preflight.staging(spec)
            assert found
            assert [finding for finding in found if not finding.ok] == []

    def test_missing_image_is_refused_and_nothing_made(self, adapter: Adapter, rig: Rig) -> None:
        for spec in specs(adapter, rig):
            wrong, before = spec.model_copy(update={"image": rig.name("none")}), picture(rig)
            assert any(not finding.ok for finding in adapter.preflight.staging(wrong))
            with refused(ErrorKind.NOT_FOUND):
                adapter.staging.ensure_target(wrong, effect("stage"))
            assert picture(rig) == before

    def test_password_is_nowhere_but_in_the_medium(self, adapter: Adapter, rig: Rig) -> None:
        for spec in specs(adapter, rig):
            hand = effect("stage")
            staged = adapter.staging.ensure_target(spec, hand)
            with refused(ErrorKind.CONFLICT) as errors:
                adapter.staging.ensure_target(spec, effect("stage"))
            texts = [
                rig.describe(target_ref(staged)),
                repr(staged),
                repr(hand),
                repr(observe(adapter, target_ref(staged))),
            ]
            for text in (*texts, *rig.texts(), repr(errors), str(errors[0])):
                assert PASSWORD not in text

    def test_guest_that_does_not_run_confirms_nothing(self, adapter: Adapter, rig: Rig) -> None:
        for spec in specs(adapter, rig):
            staged = adapter.staging.ensure_target(spec, effect("stage"))
            assert adapter.staging.customized(staged, spec.computer_name) is None

    def test_fingerprint_changes_with_the_definition_only(
        self, adapter: Adapter, rig: Rig, ledger: Ledger
    ) -> None:
        for spec in specs(adapter, rig):
            staged = adapter.staging.ensure_target(spec, effect("stage", ledger))
            assert adapter.staging.fingerprint(staged) == staged.fingerprint
            for running in (True, False):
                rig.set_running(target_ref(staged), running)
                assert adapter.staging.fingerprint(staged) == staged.fingerprint
            adapter.staging.ensure_medium_removed(staged, effect("eject", ledger))
            assert adapter.staging.fingerprint(staged) == staged.fingerprint
            rig.redefine(target_ref(staged))
            assert adapter.staging.fingerprint(staged) not in (None, staged.fingerprint)

    def test_ends_the_same_after_a_crash_or_a_lost_lease(self, adapter: Adapter, rig: Rig) -> None:
        for mode, capability in CAPABILITIES.items():
            if not supported(capability, adapter, rig):
                continue

            def setup(mode: CopyMode = mode) -> Case:
                spec = target_spec(adapter, rig, mode)
                return Case(spec, listed_now(rig))

            def act(case: Case, hand: RecordingEffect) -> StagedTarget:
                return adapter.staging.ensure_target(case.spec, hand)

            def check(case: Case, staged: StagedTarget, ledger: Ledger) -> None:
                made = {kind: len(rig.objects(kind) - case.listed[kind]) for kind in OURS}
                media = 0 if staged.medium is None else 1
                assert made == {ObjectKind.VM: 1, ObjectKind.DISK: 1, ObjectKind.MEDIUM: media}
                assert rig.read(target_ref(staged), 0, 0, BLOCK) == rig.golden_read(0, BLOCK)
                assert not ledger.intended
                adapter.staging.ensure_target_removed(staged, effect("undo", ledger), keep_disks=False)
                assert listed_now(rig) == case.listed
                assert not any(ledger.left(kind) for kind in OURS)

            at_every_crash(setup, act, check)
            at_every_lost_lease(rig, setup, act, check)
