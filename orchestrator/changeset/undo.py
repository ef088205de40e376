"""Builds the change set that takes a run back, from what its ledger and evidence show. Pure."""

from collections.abc import Mapping
from datetime import datetime

from orchestrator.changeset.changes import ChangeSet, HostChange, Kind, KnownIdentity, Step, StepKind
from orchestrator.model.base import Value
from orchestrator.model.network import NicCapture
from orchestrator.model.target import StagedTarget


class Undoable(Value):
    """What one host's part of a run left behind, by its ledger and evidence. Nothing: there is nothing to
    take back."""

    snapshot_token: str | None = None
    captures: tuple[NicCapture, ...] = ()
    staged: StagedTarget | None = None
    known: KnownIdentity | None = None
    """Which Windows the run found the host to be."""
    networks: tuple[str, ...] = ()
    claimed: bool = False
    """The run's mark is still on the machine."""

    @property
    def empty(self) -> bool:
        """Tell whether the host was never changed."""
        return not (self.snapshot_token or self.captures or self.staged or self.networks or self.claimed)


def build_undo(
    original: ChangeSet,
    run: str,
    left: Mapping[str, Undoable],
    created_at: datetime,
    *,
    hosts: tuple[str, ...] = (),
    destroy_targets: bool = False,
    delete_disks: bool = False,
    only_release: bool = False,
) -> ChangeSet:
    """Return the undo of `run`, the waves in reverse; `hosts` limits it, `only_release` keeps snapshot and
    target."""
    chosen = [h for h in reversed(original.hosts) if not hosts or h.plan.name in hosts]
    changed = [h for h in chosen if not left.get(h.plan.name, Undoable()).empty]
    return original.model_copy(
        update={
            "kind": Kind.UNDO,
            "undo_of": run,
            "created_at": created_at,
            "hosts": tuple(_host(h, left[h.plan.name], destroy_targets, only_release) for h in changed),
            "waves": tuple(reversed(original.waves)),
            "destroy_targets": destroy_targets,
            "delete_disks": delete_disks,
        }
    )


def _host(host: HostChange, left: Undoable, destroy: bool, only_release: bool) -> HostChange:
    """The dependencies of the way there do not bind the way back: each host is taken back by itself."""
    steps = _steps(host, left, destroy, only_release)
    plan = host.plan.model_copy(update={"depends_on": ()})
    return host.model_copy(
        update={"steps": steps, "plan": plan, "checks": (), "known": left.known or host.known}
    )


def _steps(host: HostChange, left: Undoable, destroy: bool, only_release: bool) -> tuple[Step, ...]:
    name = host.source.ref.name
    steps = [_step(StepKind.CLAIM, f"Take the claim on {name} over from the run that is taken back")]
    if left.staged is not None and not only_release:
        condition = (
            "also if it was changed since" if destroy else "only if nobody has changed it since staging"
        )
        steps.append(_step(StepKind.REMOVE_TARGET, f"Stop and remove {left.staged.name}, {condition}"))
    if left.captures:
        values = tuple(
            (f"card {c.key}", f"{c.nic.network}, link {'up' if c.nic.link_up else 'down'}")
            for c in left.captures
        )
        title = f"Give {name} its network back: it is unpatched and will be reachable again"
        steps.append(_step(StepKind.RELEASE, title, values))
    if left.snapshot_token and not only_release:
        steps.append(
            _step(StepKind.REMOVE_SNAPSHOT, f"Remove our snapshot of {name} by merging; all writes are kept")
        )
    return (*steps, _step(StepKind.RELEASE_CLAIM, "Take the mark off"))


def _step(kind: StepKind, title: str, values: tuple[tuple[str, str], ...] = ()) -> Step:
    return Step(kind=kind, title=title, values=values, mutates=True)


def reexposes(change_set: ChangeSet) -> bool:
    """Tell whether carrying this out gives a legacy server its network back (architecture, section 6, rule
    5)."""
    return any(step.kind is StepKind.RELEASE for host in change_set.hosts for step in host.steps)
