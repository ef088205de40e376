"""The mark on the machine: taken before the first effect, taken off after the last."""

from orchestrator.changeset.changes import Kind, StepKind
from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.provider import Adapter, Effect
from orchestrator.diagnostics import Refused
from orchestrator.engine.actions.networks import remove_unused_networks
from orchestrator.engine.family import replaceable_holder
from orchestrator.engine.job import Job
from orchestrator.engine.outcome import Outcome, done
from orchestrator.model.machine import Claim, MachineRef


def claim(job: Job) -> Outcome:
    """Claim the machine. Raises Refused (code "claimed") when another run holds it."""
    # Only an undo takes a claim over from somebody, so only an undo looks whose it is.
    held = job.machine(job.ref, job.source).claim if job.change_set.kind is Kind.UNDO else None
    succeeds = replaceable_holder(job.runtime.state, job.change_set, held)
    effect, mark = job.effect(StepKind.CLAIM, job.ref.endpoint), job.claim()
    try:
        job.reconciled(
            "claim", lambda: job.source.claims.ensure_claim(job.ref, mark, effect, succeeds=succeeds)
        )
    except ProviderError as error:
        if error.kind is not ErrorKind.CONFLICT:
            raise
        raise _claimed(job, error) from None
    return done(f"{job.ref.name} is held by run {job.run}")


def _claimed(job: Job, error: ProviderError) -> Refused:
    held = job.machine(job.ref, job.source).claim
    hint = error.hint or "wait for that run, resume it or undo it"
    if held is not None and held.state_id == job.runtime.state.state_id:
        hint = f"`ferry run resume {held.run}` or `ferry plan undo {held.run}`"
    return Refused(error.message, hint=hint, code="claimed")


def release(job: Job) -> Outcome:
    """Take our mark off; on the way back first remove networks of ours that nobody uses any more."""
    removed = remove_unused_networks(job) if job.change_set.kind is Kind.UNDO else ()
    release_mark(job)
    words = f"; removed network {', '.join(removed)}" if removed else ""
    return done(f"{job.ref.name} is no longer held{words}")


def release_mark(job: Job) -> None:
    """Take our mark off the machine."""
    effect, mark = job.effect(StepKind.RELEASE_CLAIM, job.ref.endpoint), job.claim()
    job.reconciled("release the claim", lambda: job.source.claims.ensure_released(job.ref, mark, effect))


def break_mark(adapter: Adapter, ref: MachineRef, expected: Claim, effect: Effect) -> None:
    """Take a dead run's mark off, if it is still exactly `expected`. Raises ProviderError (CONFLICT)
    otherwise."""
    adapter.claims.break_claim(ref, expected, effect)
