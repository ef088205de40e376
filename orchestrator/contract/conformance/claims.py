"""Claims: of several that want the machine exactly one gets it, everybody can see who, and only the right
one can take it off."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from orchestrator.contract.conformance.effect import Ledger, RecordingEffect
from orchestrator.contract.conformance.rig import Rig
from orchestrator.contract.conformance.support import (
    again,
    at_every_crash,
    at_every_lost_lease,
    effect,
    needs,
    observe,
    refused,
)
from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.provider import Adapter, Capability, ObjectKind, Reader
from orchestrator.model.machine import Claim, MachineRef

RACERS = 8


def _claim(run: str, **fields: object) -> Claim:
    return Claim.model_validate(
        {"run": run, "digest": "d" * 64, "state_id": "state-1", "host": "ws1"} | fields
    )


OURS = _claim("run-1")
THEIRS = _claim("run-2", state_id="state-2", host="ws2")


class TestClaims:
    """ensure_claim, ensure_released, break_claim."""

    @needs(Capability.CLAIMS)
    def test_claim_is_visible_to_every_reader(self, adapter: Adapter, rig: Rig, reader: Reader) -> None:
        ref = rig.make_machine(rig.name("vm"))
        assert adapter.claims.ensure_claim(ref, OURS, effect("claim")) == OURS
        (seen,) = reader.inventory.machines([ref.id])
        assert seen.claim == OURS

    @needs(Capability.CLAIMS)
    def test_repeat_changes_nothing(self, adapter: Adapter, rig: Rig) -> None:
        ref, first = rig.make_machine(rig.name("vm")), effect("claim")
        adapter.claims.ensure_claim(ref, OURS, first)
        listed, repeat = rig.objects(ObjectKind.CLAIM), again(first)
        assert adapter.claims.ensure_claim(ref, OURS, repeat) == OURS
        assert rig.objects(ObjectKind.CLAIM) == listed
        assert repeat.mutations == 0

    @needs(Capability.CLAIMS)
    def test_same_holder_updates_its_generation(self, adapter: Adapter, rig: Rig, ledger: Ledger) -> None:
        ref = rig.make_machine(rig.name("vm"))
        adapter.claims.ensure_claim(ref, OURS, effect("claim", ledger))
        listed = len(rig.objects(ObjectKind.CLAIM))
        later = OURS.model_copy(update={"generation": 2})
        assert adapter.claims.ensure_claim(ref, later, effect("claim", ledger)) == later
        assert observe(adapter, ref).claim == later
        assert len(rig.objects(ObjectKind.CLAIM)) == listed

    @needs(Capability.CLAIMS)
    def test_other_holder_is_refused_and_told_who_has_it(self, adapter: Adapter, rig: Rig) -> None:
        ref = rig.make_machine(rig.name("vm"))
        adapter.claims.ensure_claim(ref, OURS, effect("claim"))
        described = rig.describe(ref)
        for other in (THEIRS, _claim("run-2"), _claim("run-1", state_id="state-2")):
            with refused(ErrorKind.CONFLICT) as errors:
                adapter.claims.ensure_claim(ref, other, effect("claim"))
            assert OURS.run in str(errors[0])
        assert observe(adapter, ref).claim == OURS
        assert rig.describe(ref) == described

    @needs(Capability.CLAIMS)
    def test_successor_takes_over_only_from_the_run_it_names(self, adapter: Adapter, rig: Rig) -> None:
        ref = rig.make_machine(rig.name("vm"))
        adapter.claims.ensure_claim(ref, OURS, effect("claim"))
        undo = _claim("undo-1")
        with refused(ErrorKind.CONFLICT):
            adapter.claims.ensure_claim(ref, undo, effect("claim"), succeeds="run-9")
        assert adapter.claims.ensure_claim(ref, undo, effect("claim"), succeeds=OURS.run) == undo
        assert observe(adapter, ref).claim == undo
        with refused(ErrorKind.CONFLICT):
            adapter.claims.ensure_claim(ref, OURS, effect("claim"))

    @needs(Capability.CLAIMS)
    def test_release_leaves_the_machine_as_it_was(self, adapter: Adapter, rig: Rig, ledger: Ledger) -> None:
        ref = rig.make_machine(rig.name("vm"))
        described, listed = rig.describe(ref), rig.objects(ObjectKind.CLAIM)
        adapter.claims.ensure_claim(ref, OURS, effect("claim", ledger))
        assert rig.objects(ObjectKind.CLAIM) != listed
        for _ in range(2):
            adapter.claims.ensure_released(ref, OURS, effect("release", ledger))
        assert observe(adapter, ref).claim is None
        assert rig.describe(ref) == described
        assert rig.objects(ObjectKind.CLAIM) == listed
        assert ledger.left(ObjectKind.CLAIM) == frozenset()

    @needs(Capability.CLAIMS)
    def test_claim_of_another_is_not_released(self, adapter: Adapter, rig: Rig) -> None:
        ref = rig.make_machine(rig.name("vm"))
        adapter.claims.ensure_claim(ref, THEIRS, effect("claim"))
        with refused(ErrorKind.CONFLICT):
            adapter.claims.ensure_released(ref, OURS, effect("release"))
        assert observe(adapter, ref).claim == THEIRS

    @needs(Capability.CLAIMS)
    def test_only_the_exact_claim_is_broken(self, adapter: Adapter, rig: Rig) -> None:
        ref = rig.make_machine(rig.name("vm"))
        held = _claim("run-1", generation=3)
        adapter.claims.ensure_claim(ref, held, effect("claim"))
        for wrong in (_claim("run-1", generation=2), _claim("run-1"), THEIRS):
            with refused(ErrorKind.CONFLICT):
                adapter.claims.break_claim(ref, wrong, effect("break"))
        assert observe(adapter, ref).claim == held
        adapter.claims.break_claim(ref, held, effect("break"))
        assert observe(adapter, ref).claim is None
        adapter.claims.ensure_claim(ref, THEIRS, effect("claim"))

    @needs(Capability.CLAIMS)
    def test_of_many_at_once_exactly_one_wins(self, adapter: Adapter, rig: Rig) -> None:
        ref, start = rig.make_machine(rig.name("vm")), Barrier(RACERS)
        listed = len(rig.objects(ObjectKind.CLAIM))

        def race(number: int) -> Claim | ErrorKind:
            claim = _claim(f"run-{number}", state_id=f"state-{number}")
            start.wait(timeout=10)
            try:
                return adapter.claims.ensure_claim(ref, claim, effect("claim"))
            except ProviderError as error:
                return error.kind

        with ThreadPoolExecutor(RACERS) as pool:
            outcomes = list(pool.map(race, range(RACERS)))
        winners = [outcome for outcome in outcomes if isinstance(outcome, Claim)]
        assert len(winners) == 1
        assert outcomes.count(ErrorKind.CONFLICT) == RACERS - 1
        assert observe(adapter, ref).claim == winners[0]
        assert len(rig.objects(ObjectKind.CLAIM)) == listed + 1

    @needs(Capability.CLAIMS)
    def test_claiming_ends_the_same_after_a_crash_or_a_lost_lease(self, adapter: Adapter, rig: Rig) -> None:
        def setup() -> MachineRef:
            return rig.make_machine(rig.name("vm"))

        def act(ref: MachineRef, hand: RecordingEffect) -> Claim:
            return adapter.claims.ensure_claim(ref, OURS, hand)

        def check(ref: MachineRef, claim: Claim, ledger: Ledger) -> None:
            assert observe(adapter, ref).claim == claim == OURS
            assert len(ledger.present) == 1
            assert not ledger.intended

        at_every_crash(setup, act, check)
        at_every_lost_lease(rig, setup, act, check)

    @needs(Capability.CLAIMS)
    def test_releasing_ends_the_same_after_a_crash_or_a_lost_lease(self, adapter: Adapter, rig: Rig) -> None:
        def setup() -> tuple[MachineRef, str]:
            ref = rig.make_machine(rig.name("vm"))
            described = rig.describe(ref)
            adapter.claims.ensure_claim(ref, OURS, effect("claim"))
            return ref, described

        def act(scene: tuple[MachineRef, str], hand: RecordingEffect) -> None:
            adapter.claims.ensure_released(scene[0], OURS, hand)

        def check(scene: tuple[MachineRef, str], result: None, ledger: Ledger) -> None:
            assert observe(adapter, scene[0]).claim is None
            assert rig.describe(scene[0]) == scene[1]

        at_every_crash(setup, act, check)
        at_every_lost_lease(rig, setup, act, check)
