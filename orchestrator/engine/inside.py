"""Facts of a run's host that come from inside a server: brought by a person, or collected through its agent.

Kept as evidence like those read from a disk, and compared at once. Refused where they are plainly another
server's.
"""

from orchestrator.diagnostics import Refused
from orchestrator.engine import evidence
from orchestrator.engine.actions.source import wrong_identity
from orchestrator.engine.actions.target import judge, machine_ref
from orchestrator.engine.job import Job
from orchestrator.engine.runtime import Engine
from orchestrator.engine.upkeep import held
from orchestrator.guest.collectors import Collector, collect_in_guest
from orchestrator.lifecycle.builds import release_of
from orchestrator.model.facts import ServerFacts
from orchestrator.model.target import StagedTarget
from orchestrator.parity.result import ParityResult

STEP = "collect"
"""What collecting in a guest is called in its token."""
_TARGET_FACTS = ("facts-refresh", "facts-target")


def take_facts(
    engine: Engine, run: str, host: str, facts: ServerFacts, *, target: bool
) -> ParityResult | None:
    """Keep facts as those of a run's host, or of its target, and compare; None where the other side is
    unknown yet.

    Raises Refused (codes "no-host", "busy", "other-server"), FerryError (code "no-target").
    """
    with held(engine, run, host) as job:
        return _taken(job, facts, target=target)


def collect_inside(
    engine: Engine, run: str, host: str, *, target: bool
) -> tuple[ServerFacts, ParityResult | None]:
    """Run the collector in the running guest, through its agent; then as `take_facts`.

    Raises ProviderError too (UNSUPPORTED: no agent answers), and FerryError (code "collector-failed").
    """
    with held(engine, run, host) as job:
        if target:
            staged = job.need("staged", StagedTarget)
            ref, collector = machine_ref(staged), Collector.POWERSHELL
        else:
            ref, collector = job.ref, Collector.CSCRIPT
        channel, effect = job.adapter(ref.endpoint).guests, job.effect(STEP, ref.endpoint)
        facts = collect_in_guest(channel, ref, collector, effect)
        return facts, _taken(job, facts, target=target)


def _taken(job: Job, facts: ServerFacts, *, target: bool) -> ParityResult | None:
    reasons = _not_the_target(job, facts) if target else _not_the_host(job, facts)
    if reasons:
        what = f"the replacement of {job.name}" if target else job.name
        message = f"these are not the facts of {what}: {'; '.join(reasons)}"
        raise Refused(message, hint="nothing was kept; bring those of the right server", code="other-server")
    job.keep("facts-refresh" if target else "facts-source", facts)
    old = job.recall("facts-source", ServerFacts)
    new = facts if target else _newest_target(job)
    if old is None or new is None or job.host.plan.target is None:
        return None
    result = judge(job, new)
    job.keep("refresh", result)
    return result


def _newest_target(job: Job) -> ServerFacts | None:
    found = [evidence.latest(job.runtime.state, job.run, job.name, kind) for kind in _TARGET_FACTS]
    known = [one for one in found if one is not None]
    return ServerFacts.model_validate_json(max(known, key=lambda one: one.at).body) if known else None


def _not_the_host(job: Job, facts: ServerFacts) -> tuple[str, ...]:
    reasons = list(wrong_identity(facts.identity, job.host.plan.expect))
    known = job.recall("facts-source", ServerFacts)
    before = known.identity.hostname if known is not None else None
    now = facts.identity.hostname
    if before and now and before.casefold() != now.casefold():
        reasons.append(f"it was called {before} before, these say {now}")
    return tuple(reasons)


def _not_the_target(job: Job, facts: ServerFacts) -> tuple[str, ...]:
    found, wanted = release_of(facts.identity), str(job.target.release)
    reasons = []
    if found is None or found.key != wanted:
        reasons.append(f"the plan stages Windows Server {wanted}, these are of build {facts.identity.build}")
    old = job.recall("facts-source", ServerFacts)
    # After the cut-over it may bear the old server's name.
    names = {job.target.computer_name, (old.identity.hostname if old is not None else None) or ""}
    now = facts.identity.hostname
    if now and now.casefold() not in {name.casefold() for name in names}:
        reasons.append(f"the plan calls it {job.target.computer_name}, these say {now}")
    return tuple(reasons)
