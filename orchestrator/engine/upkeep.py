"""Single deeds outside of a run's workflow: break a dead run's claim, look at parity again. Journalled like
all else."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator.changeset.changes import ObservedEndpoint
from orchestrator.contract.errors import LeaseLost
from orchestrator.diagnostics import Refused
from orchestrator.engine import journal, records, runs
from orchestrator.engine.actions.claims import break_mark
from orchestrator.engine.actions.target import REFRESH, judge, read_target
from orchestrator.engine.effect import EngineEffect
from orchestrator.engine.job import Job
from orchestrator.engine.lease import Lease
from orchestrator.engine.runtime import Engine
from orchestrator.model.machine import Claim, Machine
from orchestrator.model.target import StagedTarget
from orchestrator.parity.result import ParityResult

CLAIMS = "claims"
"""The journal's name for what was done to claims by hand: one chain per machine."""


def break_claim(
    engine: Engine, endpoint: ObservedEndpoint, machine: Machine, expected: Claim, *, by: str, reason: str
) -> None:
    """Take a dead run's mark off a machine, if it is still exactly `expected`.

    Raises Refused (code "alive") when it is of a run of this state that has not ended, ProviderError.
    """
    state = engine.runtime.state
    if expected.state_id == state.state_id:
        _refuse_alive(engine, expected.run)
    host = hashlib.sha256(f"{endpoint.info.identity}/{machine.ref.id}".encode()).hexdigest()[:16]
    lease = _take(engine, CLAIMS, host)
    try:
        data = {
            "machine": machine.ref.name,
            "id": machine.ref.id,
            "endpoint": endpoint.info.identity,
            "claim": expected.model_dump(mode="json"),
            "by": by,
            "reason": reason,
        }
        with lease.guarded() as connection:
            if not journal.head(state, CLAIMS):
                journal.append(connection, CLAIMS, journal.ROOT, "opened", {}, engine.runtime.clock())
            journal.append(connection, CLAIMS, host, "claim-break", data, engine.runtime.clock())
        effect = EngineEffect(state, lease, endpoint.info.identity, "break-claim", engine.runtime.clock)
        adapter = engine.connections.to(endpoint.settings)
        break_mark(adapter, machine.ref, expected, engine.runtime.wrap_effect(effect))
    finally:
        lease.release()


def _refuse_alive(engine: Engine, run: str) -> None:
    state = engine.runtime.state
    row = next((r for r in records.of_runs(state, [run], worked_on=True)), None)
    if row is not None and row.status not in runs.ENDED:
        message = f"run {run} of this very state has not ended"
        raise Refused(message, hint=f"`ferry run resume {run}` or `ferry run cancel {run}`", code="alive")


def refresh_parity(engine: Engine, run: str, host: str) -> ParityResult:
    """Take the target's inventory again and compare it with the old server's facts of the run; keep both as
    evidence.

    Raises Refused (codes "no-host", "busy"), FerryError (code "no-evidence" where the run has no target of
    this host).
    """
    with held(engine, run, host) as job:
        facts = read_target(job, job.need("staged", StagedTarget), REFRESH)
        job.keep("facts-refresh", facts)
        result = judge(job, facts)
        job.keep("refresh", result)
        return result


@contextmanager
def held(engine: Engine, run: str, host: str) -> Iterator[Job]:
    """Hold a run's host outside of its workflow. Raises Refused (codes "no-host", "busy")."""
    state = engine.runtime.state
    row = runs.row(state, run)
    change_set = runs.change_set(state, row.digest)
    change = next((h for h in change_set.hosts if h.plan.name == host), None)
    if change is None:
        message = f"run {run} has no host {host!r}"
        names = ", ".join(h.plan.name for h in change_set.hosts)
        raise Refused(message, hint=f"its hosts are: {names}", code="no-host")
    job = Job(engine, change_set, row.digest, change, _take(engine, run, host))
    try:
        yield job
    finally:
        job.lease.release()


def _take(engine: Engine, run: str, host: str) -> Lease:
    try:
        return engine.lease(run, host)
    except LeaseLost as error:
        raise Refused(error.message, hint="try again when it has finished", code="busy") from None
