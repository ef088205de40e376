"""Steps on the legacy machine that do not touch its network: look again, snapshot, identity, inventory."""

from orchestrator.changeset.build import named_networks
from orchestrator.changeset.changes import StepKind
from orchestrator.changeset.safety import material_differences
from orchestrator.changeset.steps import effective_consistency
from orchestrator.diagnostics import Refused
from orchestrator.engine import ledger
from orchestrator.engine.actions.claims import release_mark
from orchestrator.engine.early import machines_of
from orchestrator.engine.job import Job
from orchestrator.engine.outcome import Outcome, done, failed
from orchestrator.engine.reads import together
from orchestrator.history import HostStatus
from orchestrator.lifecycle.verdict import is_server_2008_sp2
from orchestrator.model.facts import Identity, ServerFacts
from orchestrator.model.machine import Machine
from orchestrator.model.network import Finding, Network
from orchestrator.model.plan import Expect


def preflight(job: Job) -> Outcome:
    """Compare the world with what preview saw, and look for what would hinder a later step.

    What this run itself has made already (it is resumed) neither counts as a difference nor hinders.
    """
    machine, networks = together(lambda: _present(job), lambda: _networks(job))
    if differences := _differences(job, machine, networks):
        message = "not as it was when the change set was made: " + "; ".join(differences)
        raise Refused(
            message, hint="preview the plan again and have the new change set approved", code="stale"
        )
    if hindrances := [f.detail for f in _findings(job, machine) if not f.ok]:
        raise Refused("; ".join(hindrances), hint="clear this and resume the run", code="hindered")
    return done(f"{job.ref.name} is as it was observed")


def _present(job: Job) -> Machine:
    early = job.engine.sites.seen(machines_of(job.endpoint(job.host.plan.endpoint).info.identity), job.digest)
    machine = (early or {}).get(job.ref.id)
    if machine is None:
        found = job.read(lambda: job.source.inventory.machines([job.ref.id]))
        if not found:
            message = f"{job.ref.name} was there when the change set was made and is gone now"
            raise Refused(message, hint="preview the plan again", code="stale")
        machine = found[0]
    return machine


def _networks(job: Job) -> list[Network]:
    """Return the networks that the host's plan names, as they are now."""
    plan = job.host.plan
    endpoints = {plan.endpoint} | ({plan.target.endpoint} if plan.target is not None else set())
    return named_networks(plan, {name: job.networks(name) for name in sorted(endpoints)})


def _differences(job: Job, machine: Machine, networks: list[Network]) -> tuple[str, ...]:
    plan, image = job.host.plan, None
    if plan.target is not None:
        wanted = plan.target
        found = job.read(lambda: job.adapter(wanted.endpoint).inventory.images([wanted.image]))
        image = found[0] if found else None
    return material_differences(
        job.host,
        machine,
        networks,
        image,
        lambda token: ledger.knows_token(job.runtime.state, token),
        ignore=("nics",) if _begun(job, StepKind.ISOLATE) else (),
    )


def _findings(job: Job, machine: Machine) -> list[Finding]:
    plan, checks = job.host.plan, job.source.preflight
    found: list[Finding] = []
    if not _begun(job, StepKind.SNAPSHOT):
        consistency = effective_consistency(plan.snapshot, machine.power)
        found += job.read(lambda: checks.snapshot(machine, consistency))
    isolation = plan.isolation
    if isolation is not None and not _begun(job, StepKind.ISOLATE):
        found += job.read(lambda: checks.isolation(machine, isolation))
    if plan.target is not None and not _begun(job, StepKind.STAGE):
        found += job.read(lambda: job.adapter(job.target.endpoint).preflight.staging(job.target))
    return found


def _begun(job: Job, step: StepKind) -> bool:
    """Tell whether this run has (perhaps) changed something in this step before."""
    if step is StepKind.ISOLATE:
        return job.recall("captures", list) is not None
    token = job.token(step)
    return any(
        e.token == token for e in ledger.entries(job.runtime.state, run=job.run, host=job.name, there=True)
    )


def snapshot(job: Job) -> Outcome:
    """Snapshot the machine and keep what was got as evidence."""
    consistency = job.host.plan.snapshot
    name, effect = f"ferry-{job.run}", job.effect(StepKind.SNAPSHOT, job.ref.endpoint)
    made = job.reconciled(
        "snapshot", lambda: job.source.snapshots.ensure_snapshot(job.ref, name, consistency, effect)
    )
    job.keep("snapshot", made)
    return done(
        f"snapshot {made.name} ({made.consistency.value if made.consistency else 'unknown consistency'})"
    )


def identify(job: Job) -> Outcome:
    """Read from the snapshot which Windows it is. Another one than planned: our snapshot and claim go, the
    host is refused."""
    with job.source.disks.open_frozen(job.ref, job.token(StepKind.SNAPSHOT)) as disks:
        facts = job.runtime.collect(disks)
    reasons = wrong_identity(facts.identity, job.host.plan.expect)
    job.keep("facts-source", facts)
    if not reasons:
        found = facts.identity
        return done(f"Windows Server 2008 SP2, build {found.build}, {found.arch or 'unknown architecture'}")
    _withdraw(job)
    message = f"{job.ref.name} is not the server that was planned: {'; '.join(reasons)}"
    hint = "correct the plan file; nothing was changed, the snapshot was removed again"
    return failed("wrong-identity", message, hint, status=HostStatus.REFUSED)


def wrong_identity(found: Identity, expect: Expect) -> tuple[str, ...]:
    """Say why this is not the host that the plan means. Not known counts as not the one."""
    verdict = is_server_2008_sp2(found)
    reasons = [] if verdict.yes else list(verdict.reasons)
    if expect.build is not None and found.build != expect.build:
        reasons.append(f"the plan expects build {expect.build}, it is {found.build or 'unknown'}")
    if expect.arch is not None and (found.arch or "").casefold() != expect.arch.casefold():
        reasons.append(f"the plan expects {expect.arch}, it is {found.arch or 'unknown'}")
    return tuple(reasons)


def _withdraw(job: Job) -> None:
    token, effect = job.token(StepKind.SNAPSHOT), job.effect(StepKind.IDENTIFY, job.ref.endpoint)
    job.reconciled(
        "remove the snapshot", lambda: job.source.snapshots.ensure_snapshot_removed(job.ref, token, effect)
    )
    release_mark(job)


def inventory(job: Job) -> Outcome:
    """Say what the facts hold that identify has read from the same snapshot: no second read."""
    facts = job.need("facts-source", ServerFacts)
    sections = {
        "services": facts.services,
        "shares": facts.shares,
        "software": facts.software,
        "tasks": facts.tasks,
    }
    words = [f"{len(v)} {name}" if v is not None else f"{name} unknown" for name, v in sections.items()]
    return done(", ".join(words))
