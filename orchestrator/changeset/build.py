"""Builds a change set from a plan, what was observed, and the time. Pure."""

from datetime import datetime

from orchestrator.changeset.changes import ChangeSet, HostChange, Kind, ObservedEndpoint
from orchestrator.changeset.observe import Observations
from orchestrator.changeset.steps import apply_steps
from orchestrator.diagnostics import Diagnostic, InvalidInput
from orchestrator.model.network import Network
from orchestrator.model.plan import HostPlan, PlanFile


def build_change_set(plan: PlanFile, observed: Observations, created_at: datetime) -> ChangeSet:
    """Return the change set. Raises InvalidInput with every machine and image that is not there."""
    problems = [d for host in plan.hosts for d in _missing(host, observed)]
    if problems:
        raise InvalidInput(tuple(problems))
    used = {host.endpoint for host in plan.hosts} | {
        h.target.endpoint for h in plan.hosts if h.target is not None
    }
    return ChangeSet(
        kind=Kind.APPLY,
        name=plan.name,
        owner=plan.owner,
        plan_path=plan.path,
        plan_sha256=plan.sha256,
        change=plan.change,
        created_at=created_at,
        endpoints=tuple(
            ObservedEndpoint(settings=e, info=observed.endpoints[e.name].info)
            for e in plan.endpoints
            if e.name in used
        ),
        hosts=tuple(_host(host, observed) for host in plan.hosts),
        waves=plan.waves,
        stop_wave_after=plan.stop_wave_after,
    )


def _missing(host: HostPlan, observed: Observations) -> list[Diagnostic]:
    view = observed.endpoints[host.endpoint]
    found = []
    if host.vm not in view.machines:
        summary = f"host {host.name}: endpoint {host.endpoint} has no machine {host.vm!r}"
        found.append(
            Diagnostic("no-machine", summary, "check source.vm; names are case-sensitive", path=host.name)
        )
    target = host.target
    if target is not None and target.image not in observed.endpoints[target.endpoint].images:
        summary = f"host {host.name}: endpoint {target.endpoint} has no golden image {target.image!r}"
        found.append(Diagnostic("no-image", summary, "check target.image", path=host.name))
    return found


def _host(host: HostPlan, observed: Observations) -> HostChange:
    view = observed.endpoints[host.endpoint]
    source, known = view.machines[host.vm], observed.known.get(host.name)
    target = host.target
    image = None if target is None else observed.endpoints[target.endpoint].images[target.image]
    return HostChange(
        plan=host,
        source=source,
        known=known,
        image=image,
        networks=tuple(
            named_networks(host, {k: tuple(v.networks.values()) for k, v in observed.endpoints.items()})
        ),
        checks=observed.checks[host.name],
        steps=apply_steps(host, source, known, image),
    )


def named_networks(host: HostPlan, networks: dict[str, tuple[Network, ...]]) -> list[Network]:
    """Return those of `networks` (by endpoint) that the host's steps name: the isolation's and the
    target's."""
    wanted = []
    if host.isolation is not None and host.isolation.network is not None:
        wanted.append((host.endpoint, host.isolation.network.name))
    if host.target is not None:
        wanted.append((host.target.endpoint, host.target.network.name))
    return [n for endpoint, name in wanted for n in networks.get(endpoint, ()) if n.name == name]
