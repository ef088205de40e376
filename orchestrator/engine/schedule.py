"""Which hosts run when: waves, levels of dependence, phases by endpoint. Pure, so that a replay decides the
same."""

from collections.abc import Mapping, Sequence

from orchestrator.changeset.changes import ChangeSet, HostChange, StepKind
from orchestrator.history import HostStatus
from orchestrator.model.base import Value

FAILURES = frozenset({HostStatus.FAILED, HostStatus.REFUSED})

TARGET_STEPS = frozenset({StepKind.STAGE, StepKind.INVENTORY_TARGET, StepKind.REMOVE_TARGET})
"""Steps that work on the target's endpoint; all others work on the legacy machine's, or on none."""


class Phase(Value):
    """Consecutive steps on one endpoint: `first` to `last`, both included. `identity` is the endpoint's, for
    whoever limits it."""

    identity: str
    limit: int
    first: int
    last: int


def levels(change_set: ChangeSet, wave: str) -> tuple[tuple[str, ...], ...]:
    """Return the wave's hosts, those first that depend on none in the wave. A cycle (refused long before)
    comes last, as one."""
    left = {h.plan.name: set(h.plan.depends_on) for h in change_set.hosts if h.plan.wave == wave}
    found = []
    while left:
        ready = tuple(name for name, needs in left.items() if not needs & left.keys()) or tuple(left)
        found.append(ready)
        left = {name: needs for name, needs in left.items() if name not in ready}
    return tuple(found)


def phases(change_set: ChangeSet, host: HostChange, most: int) -> tuple[Phase, ...]:
    """Group a host's steps by the endpoint that they work on; `most` is the highest limit that any endpoint
    gets."""
    identities = {e.settings.name: e.info.identity for e in change_set.endpoints}
    found: list[Phase] = []
    for position, step in enumerate(host.steps):
        target = host.plan.target
        name = target.endpoint if target is not None and step.kind in TARGET_STEPS else host.plan.endpoint
        identity = identities[name]
        if found and found[-1].identity == identity:
            found[-1] = found[-1].model_copy(update={"last": position})
        else:
            limit = limit_of(change_set, identity, most)
            found.append(Phase(identity=identity, limit=limit, first=position, last=position))
    return tuple(found)


def limit_of(change_set: ChangeSet, identity: str, most: int) -> int:
    """Return how many phases may run on an endpoint: of several names for it the strictest counts."""
    wanted = [e.settings.max_parallel for e in change_set.endpoints if e.info.identity == identity]
    return max(1, min(*wanted, most))


def why_not(change_set: ChangeSet, host: HostChange, statuses: Mapping[str, HostStatus]) -> str | None:
    """Say why a host may not begin as things stand, or None. The gate of the waves before, then its own
    dependencies."""
    for wave in change_set.waves[: change_set.waves.index(host.plan.wave)]:
        open_hosts = _not_done(change_set, wave, statuses)
        if open_hosts:
            return f"wave {wave} is not done: {', '.join(open_hosts)}"
    unmet = [name for name in host.plan.depends_on if statuses.get(name) is not HostStatus.DONE]
    if unmet:
        return f"it depends on {', '.join(unmet)}, which did not succeed"
    wave = host.plan.wave
    return wave_stopped(change_set, wave, [h for h in _of_wave(change_set, wave) if statuses[h] in FAILURES])


def wave_stopped(change_set: ChangeSet, wave: str, failures: Sequence[str]) -> str | None:
    """Say that a wave begins no more hosts after these failures, or None."""
    if len(failures) < max(1, change_set.stop_wave_after):
        return None
    return f"wave {wave} was stopped after {len(failures)} failure(s): {', '.join(failures)}"


def _not_done(change_set: ChangeSet, wave: str, statuses: Mapping[str, HostStatus]) -> Sequence[str]:
    return [name for name in _of_wave(change_set, wave) if statuses[name] is not HostStatus.DONE]


def _of_wave(change_set: ChangeSet, wave: str) -> list[str]:
    return [h.plan.name for h in change_set.hosts if h.plan.wave == wave]
