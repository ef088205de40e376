"""Reads the world for a preview, through roles that cannot write. One bulk call per endpoint and kind,
never one per host."""

from collections.abc import Callable, Mapping

from orchestrator.changeset.changes import KnownIdentity
from orchestrator.contract.provider import Reader
from orchestrator.model.base import Value
from orchestrator.model.endpoint import EndpointInfo
from orchestrator.model.machine import Machine
from orchestrator.model.network import Finding, Network
from orchestrator.model.plan import HostPlan, PlanFile
from orchestrator.model.target import GoldenImage

KnownOf = Callable[[str, Machine], KnownIdentity | None]
"""Looks up what stored evidence says of a host's machine."""


class EndpointView(Value):
    """What one endpoint showed. `machines` and `images` are keyed by the name or id that the plan uses."""

    info: EndpointInfo
    machines: dict[str, Machine]
    networks: dict[str, Network]
    images: dict[str, GoldenImage]


class Observations(Value):
    """Everything that a change set is built from, besides the plan and the time."""

    endpoints: dict[str, EndpointView]
    checks: dict[str, tuple[Finding, ...]]
    """Preflight findings per host."""
    known: dict[str, KnownIdentity]
    """Identities from stored evidence per host."""


def observe(plan: PlanFile, readers: Mapping[str, Reader], known_of: KnownOf) -> Observations:
    """Read every endpoint that the plan's hosts use. Raises ProviderError."""
    endpoints = {name: _view(plan, name, reader) for name, reader in readers.items()}
    checks: dict[str, tuple[Finding, ...]] = {}
    known: dict[str, KnownIdentity] = {}
    for host in plan.hosts:
        machine = endpoints[host.endpoint].machines.get(host.vm)
        if machine is None:
            continue
        checks[host.name] = _checks(host, machine, readers)
        identity = known_of(host.name, machine)
        if identity is not None:
            known[host.name] = identity
    return Observations(endpoints=endpoints, checks=checks, known=known)


def _view(plan: PlanFile, name: str, reader: Reader) -> EndpointView:
    wanted = sorted({host.vm for host in plan.hosts if host.endpoint == name})
    images = sorted(
        {h.target.image for h in plan.hosts if h.target is not None and h.target.endpoint == name}
    )
    found = reader.inventory.machines(wanted) if wanted else ()
    golden = reader.inventory.images(images) if images else ()
    by_key = {key: m for m in found for key in (*m.also, m.ref.name, m.ref.id)}
    return EndpointView(
        info=reader.inventory.about(),
        machines={key: by_key[key] for key in wanted if key in by_key},
        networks={n.name: n for n in reader.inventory.networks()},
        images={key: i for key in images for i in golden if key in (i.name, i.id)},
    )


def _checks(host: HostPlan, machine: Machine, readers: Mapping[str, Reader]) -> tuple[Finding, ...]:
    source = readers[host.endpoint].preflight
    found = list(source.snapshot(machine, host.snapshot))
    if machine.claim is not None:
        found.append(Finding(check="claim", ok=False, detail=f"claimed by run {machine.claim.run}"))
    if host.isolation is not None:
        found += source.isolation(machine, host.isolation)
    if host.target is not None and host.target.endpoint in readers:
        found += readers[host.target.endpoint].preflight.staging(host.target)
    return tuple(found)
