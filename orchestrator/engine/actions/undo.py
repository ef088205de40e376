"""The way back: target, isolation, snapshot of the run that is taken back, only as far as ledger and evidence
show them."""

from orchestrator.changeset.changes import StepKind
from orchestrator.changeset.undo import Undoable
from orchestrator.contract.provider import Adapter
from orchestrator.diagnostics import FerryError, Refused
from orchestrator.engine import evidence
from orchestrator.engine.actions.target import clear_inventory_snapshots, read_target
from orchestrator.engine.job import Job
from orchestrator.engine.outcome import Outcome, done, failed
from orchestrator.engine.undoable import undoable_host
from orchestrator.model.facts import ServerFacts
from orchestrator.model.network import NicCapture
from orchestrator.model.target import StagedTarget

_COMPARED = ("identity", "services", "shares", "software", "network", "tasks")


def _left(job: Job) -> Undoable:
    delete = job.change_set.delete_disks
    return undoable_host(job.runtime.state, job.origin, job.host, delete_disks=delete)


def remove_target(job: Job) -> Outcome:
    """Remove the target if nobody has changed it since staging, or if the change set names it for
    destruction."""
    staged = _left(job).staged
    if staged is None:
        return done("there is no target of ours")
    adapter, effect = job.adapter(staged.endpoint), job.effect(StepKind.REMOVE_TARGET, staged.endpoint)
    if job.read(lambda: adapter.staging.fingerprint(staged)) is not None:
        # First: on such a snapshot the target has another disk, which would count as a change.
        clear_inventory_snapshots(job, staged, StepKind.REMOVE_TARGET)
        if not job.change_set.destroy_targets and (changed := _changed(job, adapter, staged)):
            message = f"{staged.name} is not as it was staged: {changed}"
            hint = "look at it; `--destroy-targets` removes it all the same"
            raise Refused(message, hint=hint, code="target-changed")
    # Of a target that was never finished the disk is no good to anybody.
    keep = not job.change_set.delete_disks and bool(staged.fingerprint)
    job.reconciled(
        "remove the target",
        lambda: adapter.staging.ensure_target_removed(staged, effect, keep_disks=keep),
    )
    return done(f"{staged.name} is gone, {'its disks are kept' if keep else 'its disks too'}")


def _changed(job: Job, adapter: Adapter, staged: StagedTarget) -> str:
    """Say what differs from the staged state; "" is nothing. A target that was never finished has no state to
    differ from."""
    if not staged.fingerprint:
        return ""
    if job.read(lambda: adapter.staging.fingerprint(staged)) != staged.fingerprint:
        return "its definition was changed"
    baseline = job.recall("facts-target", ServerFacts, run=job.origin)
    if baseline is None:
        return ""
    try:
        now = read_target(job, staged, StepKind.REMOVE_TARGET)
    except FerryError as error:
        return f"its inventory cannot be taken ({error.message})"
    differing = [name for name in _COMPARED if getattr(now, name) != getattr(baseline, name)]
    return f"changed inside: {', '.join(differing)}" if differing else ""


def release(job: Job) -> Outcome:
    """Give every card back what it had, and look that it has it."""
    captures = _left(job).captures
    if not captures:
        return done("nothing is left to give back")
    effect = job.effect(StepKind.RELEASE, job.ref.endpoint)
    job.reconciled("release", lambda: job.source.isolation.ensure_released(job.ref, captures, effect))
    if left := _not_released(job, captures):
        message = f"{job.ref.name} has not got back what it had: {'; '.join(left)}"
        return failed("not-released", message, "look at these cards and resume the undo")
    # From now on the run's captures are history: nobody shall restore them over what people change later.
    with job.lease.guarded() as connection:
        evidence.put(connection, job.origin, job.name, "captures", [], job.now())
    return done(f"{len(captures)} network card(s) are as they were")


def _not_released(job: Job, captures: tuple[NicCapture, ...]) -> list[str]:
    now = {nic.key: nic for nic in job.machine(job.ref, job.source).nics}
    found = [f"card {c.key} is gone" for c in captures if c.key not in now]
    for wanted, nic in ((c.nic, now[c.key]) for c in captures if c.key in now):
        if nic != wanted:
            is_on, was_on = f"{nic.network}, filter {nic.filter or 'none'}", wanted.network
            found.append(
                f"card {wanted.key} is on {is_on}, was on {was_on}, filter {wanted.filter or 'none'}"
            )
    return found


def remove_snapshot(job: Job) -> Outcome:
    """Merge the run's snapshot away, keeping every write since."""
    token = job.token(StepKind.SNAPSHOT, run=job.origin)
    effect = job.effect(StepKind.REMOVE_SNAPSHOT, job.ref.endpoint)
    job.reconciled(
        "remove the snapshot", lambda: job.source.snapshots.ensure_snapshot_removed(job.ref, token, effect)
    )
    return done("the snapshot is merged, every write is kept")
