"""The replacement: stage it, take its inventory, compare."""

from datetime import timedelta
from functools import partial

from orchestrator.changeset.changes import StepKind
from orchestrator.contract.provider import ObjectKind
from orchestrator.engine import ledger
from orchestrator.engine.actions.networks import ensure_network
from orchestrator.engine.job import Job
from orchestrator.engine.outcome import Outcome, StopWork, done, failed
from orchestrator.model.facts import ServerFacts
from orchestrator.model.machine import Consistency, MachineRef, PowerState
from orchestrator.model.plan import ParitySpec
from orchestrator.model.target import StagedTarget
from orchestrator.parity.result import ParityResult, State, Verdict

REFRESH = "refresh"
"""What an inventory outside of a run's steps is called in its token."""
_INVENTORIES = (StepKind.INVENTORY_TARGET, StepKind.REMOVE_TARGET, REFRESH)
_LOOK_EVERY = 2.0


def stage(job: Job) -> Outcome:
    """Create and start the target, wait until its guest bears its name, take the answer medium out in any
    case.

    Where the hypervisor itself gives the answers, a guest that never confirms its name is a failure: it has
    neither name nor password as planned. With a medium it is only told: an image may lack an agent.
    """
    spec = job.target
    ensure_network(job, StepKind.STAGE, spec.endpoint, spec.network)
    adapter, effect = job.adapter(spec.endpoint), job.effect(StepKind.STAGE, spec.endpoint)
    staged = job.reconciled("stage", lambda: adapter.staging.ensure_target(spec, effect))
    job.keep("staged", staged)
    try:
        job.reconciled(
            "start", lambda: adapter.power.ensure_power(machine_ref(staged), PowerState.ON, effect)
        )
        named = _wait_for_name(job, staged)
    finally:
        # Also when it did not start: the medium holds a password. After a lost lease the check in it refuses.
        job.reconciled("medium", lambda: adapter.staging.ensure_medium_removed(staged, effect))
    if named is not None and staged.customizes:
        message = f"{staged.name} runs, but {named} within {spec.first_boot_limit}"
        hint = "look at its console; once it bears its name, `ferry run resume` goes on"
        return failed("not-customized", message, hint)
    return done(f"{staged.name} runs; {named or f'its guest bears the name {spec.computer_name}'}")


def machine_ref(staged: StagedTarget) -> MachineRef:
    """Return the reference of a staged machine."""
    return MachineRef(endpoint=staged.endpoint, id=staged.id, name=staged.name)


def _wait_for_name(job: Job, staged: StagedTarget) -> str | None:
    """Look until the guest bears its name, at most as long as the plan lets the first boot take; say in words
    why it is not confirmed, None where it is. Raises StopWork when a worker leaves that may as well look
    again later."""
    spec, adapter = job.target, job.adapter(job.target.endpoint)
    until = job.now() + (spec.first_boot_limit if _first_boot(staged) else timedelta(0))
    pause = min(_LOOK_EVERY, max(spec.first_boot_limit / timedelta(seconds=5), 0.05))
    while not job.read(lambda: adapter.staging.customized(staged, spec.computer_name)):
        if job.now() >= until:
            return f"no guest agent has confirmed the name {spec.computer_name}"
        if job.engine.stopping.is_set():
            words = f"the wait for its name {spec.computer_name} was cut short"
            if staged.customizes:
                raise StopWork(words)
            return words
        job.runtime.sleep(pause)
        job.lease.check()
    return None


def _first_boot(staged: StagedTarget) -> bool:
    return staged.medium is not None or staged.customizes


def inventory_target(job: Job) -> Outcome:
    """Take the target's inventory."""
    staged = job.need("staged", StagedTarget)
    facts = read_target(job, staged, StepKind.INVENTORY_TARGET)
    job.keep("facts-target", facts)
    found = facts.identity
    return done(f"{found.product_name or 'Windows'}, build {found.build}")


def read_target(job: Job, staged: StagedTarget, step: StepKind | str) -> ServerFacts:
    """Read a target's facts as they are now, through a snapshot that is removed again, also after a
    failure."""
    clear_inventory_snapshots(job, staged, step)
    ref, adapter = machine_ref(staged), job.adapter(staged.endpoint)
    effect = job.effect(step, staged.endpoint)
    name = f"ferry-{job.run}-{step}"
    try:
        job.reconciled(
            "snapshot the target",
            lambda: adapter.snapshots.ensure_snapshot(ref, name, Consistency.CRASH, effect),
        )
        with adapter.disks.open_frozen(ref, effect.token) as disks:
            return job.runtime.collect(disks)
    finally:
        job.reconciled(
            "remove the target's snapshot",
            lambda: adapter.snapshots.ensure_snapshot_removed(ref, effect.token, effect),
        )


def clear_inventory_snapshots(job: Job, staged: StagedTarget, step: StepKind | str) -> None:
    """Remove the target's snapshots that inventories left which died before they could: what one holds is old
    by now."""
    ref, adapter = machine_ref(staged), job.adapter(staged.endpoint)
    identity, effect = job.endpoint(staged.endpoint).info.identity, job.effect(step, staged.endpoint)
    remove = adapter.snapshots.ensure_snapshot_removed
    for entry in ledger.entries(job.runtime.state, host=job.name, there=True):
        snapshot = (entry.endpoint, entry.kind) == (identity, ObjectKind.SNAPSHOT.value)
        if snapshot and entry.token.rpartition(".")[2] in _INVENTORIES:
            job.reconciled("remove an old inventory's snapshot", partial(remove, ref, entry.token, effect))


def parity(job: Job) -> Outcome:
    """Compare old and new. A difference fails the host only where the plan makes parity a gate."""
    spec = job.host.plan.parity or ParitySpec()
    result = judge(job, job.need("facts-target", ServerFacts))
    job.keep("parity", result)
    words = parity_words(result)
    if spec.gate and result.verdict in (Verdict.FAIL, Verdict.CANNOT_TELL):
        hint = f"`ferry parity {job.run} --host {job.name}` lists what is left to do"
        return failed("parity-gate", f"the parity gate of the plan is closed: {words}", hint)
    return done(words)


def judge(job: Job, new: ServerFacts) -> ParityResult:
    """Compare the old server's facts of this run with `new`, as the plan says."""
    # Here: a plan that only contains never compares.
    from orchestrator.parity.compare import compare

    spec = job.host.plan.parity or ParitySpec()
    old = job.need("facts-source", ServerFacts)
    return compare(old, new, spec, release=job.target.release, today=job.now().date())


def parity_words(result: ParityResult) -> str:
    """Return a result in one line."""
    waived = result.count(State.WAIVED)
    return f"{result.verdict.value}: {len(result.open_items)} open, {waived} waived"
