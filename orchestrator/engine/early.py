"""What the first hosts of a run need to know of their endpoints, read while the engine is still starting.

Only looks, and only shortens the way: what is not here in time, or cannot be read, each host reads for
itself, and tells.
"""

import logging
from collections.abc import Callable
from functools import partial

from orchestrator.changeset.changes import ChangeSet, ObservedEndpoint
from orchestrator.diagnostics import FerryError
from orchestrator.engine import schedule
from orchestrator.engine.runtime import MAX_PARALLEL, Engine
from orchestrator.model.machine import Machine

_Read = Callable[[Engine, ChangeSet, str, ObservedEndpoint], None]

log = logging.getLogger("ferry.engine")


def look(engine: Engine, change_set: ChangeSet, digest: str) -> None:
    """Log in to each endpoint of the change set, once, and read the networks and the machines of the hosts
    that begin, both at a time. Returns at once."""
    for endpoint in change_set.endpoints:
        for read in (_networks, _machines):
            engine.beside(partial(_tried, read, engine, change_set, digest, endpoint))


def machines_of(identity: str) -> str:
    """Return the name under which an endpoint's machines are shared."""
    return f"machines of {identity}"


def _machines(engine: Engine, change_set: ChangeSet, digest: str, endpoint: ObservedEndpoint) -> None:
    identity, settings = endpoint.info.identity, endpoint.settings
    wanted = [h.source.ref.id for h in change_set.hosts if h.plan.endpoint == settings.name]
    wanted = wanted[: schedule.limit_of(change_set, identity, MAX_PARALLEL)]
    inventory = engine.connections.to(settings).inventory

    def machines() -> dict[str, Machine]:
        return {machine.ref.id: machine for machine in inventory.machines(wanted)}

    if wanted:
        engine.sites.get(machines_of(identity), digest, machines)


def _networks(engine: Engine, _: ChangeSet, digest: str, endpoint: ObservedEndpoint) -> None:
    inventory = engine.connections.to(endpoint.settings).inventory
    engine.sites.get(endpoint.info.identity, digest, inventory.networks)


def _tried(
    read: _Read, engine: Engine, change_set: ChangeSet, digest: str, endpoint: ObservedEndpoint
) -> None:
    try:
        read(engine, change_set, digest, endpoint)
    except FerryError as error:
        log.debug("early look at %s: %s", endpoint.settings.name, error)
    except Exception:
        log.debug("early look at %s", endpoint.settings.name, exc_info=True)
