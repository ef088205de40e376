"""From a plan file to a change set: decode, read the endpoints with roles that cannot write, build."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator import registry
from orchestrator.app import secrets
from orchestrator.contract.provider import Reader
from orchestrator.diagnostics import Diagnostic, InvalidInput
from orchestrator.model.endpoint import EndpointSettings
from orchestrator.model.plan import PlanFile
from orchestrator.parity.pack import profile_names
from orchestrator.planfile.decode import check_plan, load_plan

if TYPE_CHECKING:
    from orchestrator.changeset.changes import ChangeSet
    from orchestrator.changeset.observe import KnownOf


def preview(path: Path, now: datetime, known_of: "KnownOf") -> "ChangeSet":
    """Build the change set of a plan file.

    Raises InvalidInput (plan, settings, machines that are not there) and ProviderError (an endpoint).
    """
    # Here: whoever only checks a plan file builds nothing from it.
    from orchestrator.changeset.build import build_change_set
    from orchestrator.changeset.observe import observe

    plan = load(path, now)
    used = used_endpoints(plan)
    with open_readers(used) as readers:
        return build_change_set(plan, observe(plan, readers, known_of), now)


def load(path: Path, now: datetime) -> PlanFile:
    """Read and check a plan file. Raises InvalidInput with every error."""
    return load_plan(path, today=now.date(), profiles=profile_names())


def check(path: Path, now: datetime) -> tuple[PlanFile | None, tuple[Diagnostic, ...]]:
    """Read and check a plan file; return all problems, warnings too."""
    return check_plan(path, now.date(), profile_names())


def used_endpoints(plan: PlanFile) -> tuple[EndpointSettings, ...]:
    """Return the endpoints that hosts of the plan name; an unused one is never connected to."""
    names = {host.endpoint for host in plan.hosts}
    names |= {host.target.endpoint for host in plan.hosts if host.target is not None}
    names |= {host.lift.endpoint for host in plan.hosts if host.lift is not None}
    return tuple(endpoint for endpoint in plan.endpoints if endpoint.name in names)


@contextmanager
def open_readers(
    endpoints: tuple[EndpointSettings, ...], *, to_act: bool = False
) -> Iterator[Mapping[str, Reader]]:
    """Connect to each endpoint for reading; closed at the end, whatever happens.

    `to_act`: with the rights of a run, for reads that the endpoint keeps from lesser connections.
    """
    providers = registry.load_all(endpoint.provider for endpoint in endpoints)
    problems = [
        _named(endpoint, d)
        for endpoint in endpoints
        for d in providers[endpoint.provider].check_settings(endpoint)
    ]
    if problems:
        raise InvalidInput(tuple(problems))
    with ExitStack() as stack:
        readers: dict[str, Reader] = {}
        for endpoint in endpoints:
            provider = providers[endpoint.provider]
            connect = provider.open if to_act else provider.open_reader
            reader = connect(endpoint, secrets.resolve)
            stack.callback(reader.close)
            readers[endpoint.name] = reader
        yield readers


def _named(endpoint: EndpointSettings, problem: Diagnostic) -> Diagnostic:
    path = problem.path or f"endpoints.{endpoint.name}"
    return Diagnostic(problem.code, problem.summary, problem.hint, problem.location, path, problem.severity)
