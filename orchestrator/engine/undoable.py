"""What a run left behind, by its ledger and evidence: the input of `changeset.undo.build_undo`. Reads
only."""

from orchestrator.changeset.changes import ChangeSet, HostChange, KnownIdentity, StepKind
from orchestrator.changeset.undo import Undoable
from orchestrator.contract.provider import ObjectKind
from orchestrator.engine import evidence, ledger, runs
from orchestrator.engine.effect import token_of
from orchestrator.engine.state import State
from orchestrator.history import LedgerEntry
from orchestrator.model.facts import ServerFacts
from orchestrator.model.network import NicCapture
from orchestrator.model.target import StagedTarget


def undoable(state: State, run: str, *, delete_disks: bool = False) -> tuple[ChangeSet, dict[str, Undoable]]:
    """Return the run's change set and, by host, what there is to take back. Raises NoSuchRun.

    `delete_disks`: disks that an earlier undo has kept are to be taken back as well.
    """
    change_set = runs.change_set(state, runs.row(state, run).digest)
    left = {h.plan.name: undoable_host(state, run, h, delete_disks=delete_disks) for h in change_set.hosts}
    return change_set, left


def undoable_host(state: State, run: str, host: HostChange, *, delete_disks: bool) -> Undoable:
    """Return what one host's part of the run left behind."""
    name = host.plan.name
    there = ledger.entries(state, run=run, host=name, there=True)
    snapshot = token_of(run, name, StepKind.SNAPSHOT.value)
    has_snapshot = any(e.token == snapshot for e in there)
    return Undoable(
        snapshot_token=snapshot if has_snapshot else None,
        captures=_captures(state, run, name),
        staged=_staged(state, run, host, there, delete_disks),
        known=_known(state, run, name),
        claimed=any(e.kind == ObjectKind.CLAIM for e in there),
        networks=tuple(e.object_id for e in there if e.kind == ObjectKind.NETWORK),
    )


def _known(state: State, run: str, host: str) -> KnownIdentity | None:
    found = evidence.latest(state, run, host, "facts-source")
    if found is None:
        return None
    identity = ServerFacts.model_validate_json(found.body).identity
    return KnownIdentity(identity=identity, at=found.at, run=run)


def _captures(state: State, run: str, host: str) -> tuple[NicCapture, ...]:
    """A captured host counts as isolated until an undo has released it."""
    return evidence.read(state, run, host, "captures", tuple[NicCapture, ...]) or ()


def _staged(
    state: State, run: str, host: HostChange, there: tuple[LedgerEntry, ...], delete_disks: bool
) -> StagedTarget | None:
    """Return the target; of one that was never finished, what the ledger knows: without a fingerprint."""
    token = token_of(run, host.plan.name, StepKind.STAGE.value)
    mine = [e for e in there if e.token == token and e.kind != ObjectKind.NETWORK]
    by_kind = {kind: [e.object_id for e in mine if e.kind == kind] for kind in ObjectKind}
    stored = evidence.read(state, run, host.plan.name, "staged", StagedTarget)
    if stored is not None:
        counts = by_kind[ObjectKind.VM] or by_kind[ObjectKind.MEDIUM] or (delete_disks and mine)
        return stored if counts else None
    target = host.plan.target
    if target is None or not mine:
        return None
    return StagedTarget(
        endpoint=target.endpoint,
        id=next(iter(by_kind[ObjectKind.VM]), target.vm),
        name=target.vm,
        token=token,
        fingerprint="",
        disks=tuple(by_kind[ObjectKind.DISK]),
        medium=next(iter(by_kind[ObjectKind.MEDIUM]), None),
    )
