"""Networks that steps need or leave. Two hosts of one process never make the same network at once."""

from orchestrator.changeset.changes import StepKind
from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.provider import ObjectKind
from orchestrator.engine import ledger
from orchestrator.engine.job import Job
from orchestrator.model.network import Network, NetworkSpec


def ensure_network(job: Job, step: StepKind, endpoint: str, spec: NetworkSpec) -> Network:
    """Return the network, made if the plan says so."""
    adapter, effect = job.adapter(endpoint), job.effect(step, endpoint)
    with job.engine.lock(f"network {job.endpoint(endpoint).info.identity} {spec.name}"):
        return job.reconciled(f"network {spec.name}", lambda: adapter.isolation.ensure_network(spec, effect))


def remove_unused_networks(job: Job) -> tuple[str, ...]:
    """Remove those networks of the host's plan that this state made and nothing uses; return their names."""
    return tuple(spec.name for endpoint, spec in _planned(job) if _remove(job, endpoint, spec))


def _planned(job: Job) -> list[tuple[str, NetworkSpec]]:
    plan, found = job.host.plan, []
    if plan.isolation is not None and plan.isolation.network is not None:
        found.append((plan.endpoint, plan.isolation.network))
    if plan.target is not None:
        found.append((plan.target.endpoint, plan.target.network))
    return [(endpoint, spec) for endpoint, spec in found if spec.create]


def _remove(job: Job, endpoint: str, spec: NetworkSpec) -> bool:
    identity, adapter = job.endpoint(endpoint).info.identity, job.adapter(endpoint)
    with job.engine.lock(f"network {identity} {spec.name}"):
        known = [n for n in job.read(adapter.inventory.networks) if n.name == spec.name]
        if not any(n.token is not None and ledger.knows_token(job.runtime.state, n.token) for n in known):
            return False
        effect = job.effect(StepKind.RELEASE_CLAIM, endpoint)
        try:
            return job.reconciled(
                f"remove network {spec.name}",
                lambda: adapter.isolation.ensure_network_removed(spec, effect),
            )
        except ProviderError as error:
            # Somebody changed it since: it is left, and said, rather than the whole way back stopped.
            if error.kind is not ErrorKind.CONFLICT:
                raise
            job.note("left", {"kind": ObjectKind.NETWORK.value, "name": spec.name, "reason": error.message})
            return False
