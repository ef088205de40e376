"""Cut off and prove it. The way back is stored before the first change."""

from orchestrator.changeset.changes import StepKind
from orchestrator.diagnostics import FerryError
from orchestrator.engine.actions.networks import ensure_network
from orchestrator.engine.job import Job
from orchestrator.engine.outcome import Outcome, done, failed
from orchestrator.model.facts import ServerFacts
from orchestrator.model.network import IsolationSpec, NicCapture


def isolate(job: Job) -> Outcome:
    """Move every card; what was there before is stored first, once, and never overwritten by a repeat."""
    spec = _spec(job)
    if job.recall("captures", tuple[NicCapture, ...]) is None:
        captured = job.read(lambda: job.source.isolation.capture(job.ref))
        job.keep("captures", list(captured), once=True)
    if spec.network is not None:
        ensure_network(job, StepKind.ISOLATE, job.ref.endpoint, spec.network)
    effect, addresses = job.effect(StepKind.ISOLATE, job.ref.endpoint), _addresses(job)
    machine = job.reconciled(
        "isolate", lambda: job.source.isolation.ensure_isolated(job.ref, spec, addresses, effect)
    )
    return done(f"{len(machine.nics)} network card(s) {spec.mode.value}")


def verify(job: Job) -> Outcome:
    """Prove it from the hypervisor's own view. Where it does not hold the host failed, and stays as isolated
    as it is."""
    spec = _spec(job)
    proof = job.read(lambda: job.source.isolation.verify(job.ref, spec))
    job.keep("isolation", proof)
    if proof.holds:
        return done(f"{len(proof.findings)} findings, all hold")
    broken = (
        "; ".join(f"{f.check}: {f.detail}" for f in proof.findings if not f.ok) or "nothing could be checked"
    )
    message = f"the isolation of {job.ref.name} is not proved: {broken}"
    hint = "it stays as isolated as it is; mend this and resume the run, or undo it"
    return failed("not-isolated", message, hint)


def _spec(job: Job) -> IsolationSpec:
    if job.host.plan.isolation is None:
        message = f"{job.name} has no isolation in this change set"
        raise FerryError(message, code="no-isolation")
    return job.host.plan.isolation


def _addresses(job: Job) -> tuple[str, ...]:
    """Return the guest's fixed addresses, without their prefix length, for the filter against spoofing."""
    facts = job.recall("facts-source", ServerFacts)
    if facts is None or facts.network is None:
        return ()
    found = (a.partition("/")[0] for i in facts.network.interfaces if not i.dhcp for a in i.addresses)
    return tuple(dict.fromkeys(found))
