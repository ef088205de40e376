"""Taking a target back: the medium at once, the machine only when it is ours, the disks only when asked
for."""

from orchestrator.contract.conformance.effect import Ledger, RecordingEffect
from orchestrator.contract.conformance.rig import Rig
from orchestrator.contract.conformance.staging import (
    CAPABILITIES,
    OURS,
    Case,
    listed_now,
    specs,
    target_ref,
    target_spec,
)
from orchestrator.contract.conformance.support import (
    again,
    at_every_crash,
    at_every_lost_lease,
    effect,
    picture,
    refused,
    supported,
    token,
)
from orchestrator.contract.errors import ErrorKind
from orchestrator.contract.provider import Adapter, ObjectKind
from orchestrator.model.target import CopyMode, StagedTarget, TargetSpec


def _half_made(spec: TargetSpec, token: str, medium: str) -> StagedTarget:
    """Return what the ledger alone can say of a target whose machine was never made."""
    return StagedTarget(
        endpoint=spec.endpoint,
        id="00000000-0000-0000-0000-000000000000",
        name=spec.vm,
        token=token,
        fingerprint="",
        disks=(),
        medium=medium,
    )


class TestStagingRemoval:
    """ensure_medium_removed, ensure_target_removed."""

    def test_medium_is_gone_and_the_target_stays(self, adapter: Adapter, rig: Rig, ledger: Ledger) -> None:
        for spec in specs(adapter, rig):
            media = rig.objects(ObjectKind.MEDIUM)
            staged = adapter.staging.ensure_target(spec, effect("stage", ledger))
            assert len(rig.objects(ObjectKind.MEDIUM) - media) == (0 if staged.medium is None else 1)
            assert staged.medium is not None or staged.customizes
            rig.set_running(target_ref(staged), True)
            undo = effect("eject", ledger)
            adapter.staging.ensure_medium_removed(staged, undo)
            repeat = again(undo)
            adapter.staging.ensure_medium_removed(staged, repeat)
            assert repeat.mutations == 0
            assert rig.objects(ObjectKind.MEDIUM) == media
            assert staged.medium is None or staged.medium not in rig.describe(target_ref(staged))
            assert ledger.left(ObjectKind.MEDIUM) == frozenset()
            assert rig.is_running(target_ref(staged))

    def test_medium_of_a_half_made_target_is_removed(self, adapter: Adapter, rig: Rig) -> None:
        for mode, capability in CAPABILITIES.items():
            if not supported(capability, adapter, rig):
                continue
            media = rig.objects(ObjectKind.MEDIUM)

            def setup(mode: CopyMode = mode) -> TargetSpec:
                return target_spec(adapter, rig, mode)

            def act(spec: TargetSpec, hand: RecordingEffect) -> StagedTarget | None:
                if hand.crash_at is not None:
                    return adapter.staging.ensure_target(spec, hand)
                for medium in sorted(hand.ledger.left(ObjectKind.MEDIUM)):
                    adapter.staging.ensure_medium_removed(_half_made(spec, hand.token, medium), hand)
                return None

            def check(
                spec: TargetSpec, staged: StagedTarget | None, ledger: Ledger, media: frozenset[str] = media
            ) -> None:
                if staged is None:
                    assert rig.objects(ObjectKind.MEDIUM) == media
                    assert ledger.left(ObjectKind.MEDIUM) == frozenset()

            at_every_crash(setup, act, check)

    def test_running_target_is_removed_with_all_that_was_made(
        self, adapter: Adapter, rig: Rig, ledger: Ledger
    ) -> None:
        for spec in specs(adapter, rig):
            listed = listed_now(rig)
            staged = adapter.staging.ensure_target(spec, effect("stage", ledger))
            rig.set_running(target_ref(staged), True)
            undo = effect("undo", ledger)
            for hand in (undo, again(undo)):
                adapter.staging.ensure_target_removed(staged, hand, keep_disks=False)
            assert listed_now(rig) == listed
            assert adapter.staging.fingerprint(staged) is None
            assert not any(ledger.left(kind) for kind in OURS)

    def test_kept_disks_stay_and_are_not_overwritten_later(
        self, adapter: Adapter, rig: Rig, ledger: Ledger
    ) -> None:
        for spec in specs(adapter, rig):
            listed = listed_now(rig)
            staged = adapter.staging.ensure_target(spec, effect("stage", ledger))
            adapter.staging.ensure_target_removed(staged, effect("undo", ledger), keep_disks=True)
            kept = rig.objects(ObjectKind.DISK) - listed[ObjectKind.DISK]
            assert len(kept) == 1
            assert rig.objects(ObjectKind.VM) == listed[ObjectKind.VM]
            assert rig.objects(ObjectKind.MEDIUM) == listed[ObjectKind.MEDIUM]
            assert ledger.left(ObjectKind.DISK)
            second = adapter.staging.ensure_target(spec, effect("stage", ledger))
            assert not set(second.disks) & set(staged.disks)
            assert kept <= rig.objects(ObjectKind.DISK)

    def test_target_that_the_ledger_does_not_know_stays(self, adapter: Adapter, rig: Rig) -> None:
        for spec in specs(adapter, rig):
            staged = adapter.staging.ensure_target(spec, effect("stage"))
            before = picture(rig, target_ref(staged))
            with refused(ErrorKind.CONFLICT, ErrorKind.DENIED):
                adapter.staging.ensure_target_removed(staged, effect("undo"), keep_disks=False)
            assert picture(rig, target_ref(staged)) == before

    def test_machine_that_bears_another_token_stays(self, adapter: Adapter, rig: Rig, ledger: Ledger) -> None:
        for spec in specs(adapter, rig):
            staged = adapter.staging.ensure_target(spec, effect("stage", ledger))
            before = picture(rig, target_ref(staged))
            stranger = staged.model_copy(update={"token": token("stage")})
            with refused(ErrorKind.CONFLICT, ErrorKind.DENIED):
                adapter.staging.ensure_target_removed(stranger, effect("undo", ledger), keep_disks=False)
            assert picture(rig, target_ref(staged)) == before

    def test_ends_the_same_after_a_crash_or_a_lost_lease(self, adapter: Adapter, rig: Rig) -> None:
        for mode, capability in CAPABILITIES.items():
            if not supported(capability, adapter, rig):
                continue
            staged: dict[str, StagedTarget] = {}

            def setup(mode: CopyMode = mode) -> Case:
                return Case(target_spec(adapter, rig, mode), listed_now(rig))

            def act(case: Case, hand: RecordingEffect, staged: dict[str, StagedTarget] = staged) -> None:
                if case.spec.vm not in staged:
                    made = adapter.staging.ensure_target(case.spec, effect("stage", hand.ledger))
                    staged[case.spec.vm] = made
                adapter.staging.ensure_target_removed(staged[case.spec.vm], hand, keep_disks=False)

            def check(case: Case, result: None, ledger: Ledger) -> None:
                assert listed_now(rig) == case.listed
                assert not any(ledger.left(kind) for kind in OURS)

            at_every_crash(setup, act, check)
            at_every_lost_lease(rig, setup, act, check)
