"""Claims as they stand on the machines: list them, break a dead run's."""

import getpass
from datetime import datetime
from pathlib import Path

from orchestrator.app import planning, runs
from orchestrator.changeset.changes import ObservedEndpoint
from orchestrator.diagnostics import Diagnostic, InvalidInput, Refused
from orchestrator.engine.upkeep import break_claim as break_mark
from orchestrator.model.endpoint import EndpointInfo
from orchestrator.model.machine import Claim, Machine
from orchestrator.model.plan import PlanFile


def list_claims(path: Path, now: datetime) -> tuple[tuple[str, Machine], ...]:
    """Return each host of a plan with its machine as it is now; machines that are not there are left out."""
    found, _ = _read(planning.load(path, now))
    return found


def break_claim(path: Path, host: str, run: str, reason: str, url: str | None, now: datetime) -> Claim:
    """Take the claim of `run` off a host's machine, journalled. Raises Refused when another run holds it,
    or none."""
    plan = planning.load(path, now)
    found, infos = _read(plan)
    machine = dict(found).get(host)
    if machine is None:
        names = ", ".join(name for name, _ in found)
        raise InvalidInput(
            (Diagnostic("no-host", f"no machine of a host {host!r} is there", f"there are: {names}"),)
        )
    claim = machine.claim
    if claim is None or claim.run != run:
        message = f"{host} is not held by run {run}: " + (
            "nobody holds it" if claim is None else f"{claim.run} does"
        )
        raise Refused(message, hint="`ferry claim list` shows who holds what", code="claim")
    settings = next(e for e in plan.endpoints if e.name == machine.ref.endpoint)
    endpoint = ObservedEndpoint(settings=settings, info=infos[settings.name])
    with runs.working(url, {settings.provider}) as engine:
        break_mark(engine, endpoint, machine, claim, by=getpass.getuser(), reason=reason)
    return claim


def _read(plan: PlanFile) -> tuple[tuple[tuple[str, Machine], ...], dict[str, EndpointInfo]]:
    """Read the hosts' machines in one call per endpoint."""
    sources = {host.endpoint for host in plan.hosts}
    found: dict[tuple[str, str], Machine] = {}
    infos: dict[str, EndpointInfo] = {}
    with planning.open_readers(tuple(e for e in plan.endpoints if e.name in sources)) as readers:
        for name, reader in readers.items():
            wanted = [host.vm for host in plan.hosts if host.endpoint == name]
            infos[name] = reader.inventory.about()
            for machine in reader.inventory.machines(wanted):
                found |= {(name, machine.ref.name): machine, (name, machine.ref.id): machine}
    pairs = ((host.name, found.get((host.endpoint, host.vm))) for host in plan.hosts)
    return tuple((name, machine) for name, machine in pairs if machine is not None), infos
