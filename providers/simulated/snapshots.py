"""Snapshots of simulated machines, and their frozen disks.

As with external snapshots of a real hypervisor, a snapshot freezes the image that was written so far and lets
the guest write an overlay; removing it merges the overlay down, so nothing written since is lost. The base
keeps its path.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.provider import Capability, Effect, FrozenDisk, ObjectKind
from orchestrator.model.machine import Consistency, Machine, MachineRef, PowerState, Snapshot
from providers.simulated.imagefiles import FrozenFile, copy_sparse, leftovers
from providers.simulated.inventory import to_machine, to_snapshot
from providers.simulated.power import switch
from providers.simulated.preflight import snapshot_findings
from providers.simulated.site import Site, conflict, find, short
from providers.simulated.world import Centre, FileMove, SimDisk, SimMachine, SimSnapshot

CAPABILITY = {
    Consistency.CRASH: Capability.SNAPSHOT_CRASH,
    Consistency.OFFLINE: Capability.SNAPSHOT_OFFLINE,
    Consistency.FILESYSTEM: Capability.SNAPSHOT_FILESYSTEM,
    Consistency.APPLICATION: Capability.SNAPSHOT_APPLICATION,
    Consistency.MEMORY: Capability.SNAPSHOT_MEMORY,
}


def snapshot_id(ref: MachineRef, token: str) -> str:
    """Return the id of the snapshot that this token makes on this machine."""
    return f"snap-{short(f'{ref.id}/{token}')}"


class SimSnapshots:
    """Implements the role Snapshots."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def ensure_snapshot(
        self, ref: MachineRef, name: str, consistency: Consistency, effect: Effect
    ) -> Snapshot:
        """Freeze all disks but removable and read-only ones."""
        self._site.need(CAPABILITY[consistency], "this simulation knows crash and offline consistency")
        machine = find(self._site.read("snapshots.look", ref), ref)
        if bearing(machine, effect.token) is None:
            self._refuse_unless_possible(ref, name, consistency, effect.token)
            for object_kind, object_id in self._objects(machine, ref, effect.token):
                effect.intend(object_kind, object_id, name)
            what = f"snapshot {ref.name} as {name}"
            with self._site.change("snapshots.ensure_snapshot", effect, what, ref) as centre:
                machine = find(centre, ref)
                if bearing(machine, effect.token) is None:
                    self._take(machine, ref, name, effect.token)
        return self._confirmed(ref, effect)

    def _refuse_unless_possible(
        self, ref: MachineRef, name: str, consistency: Consistency, token: str
    ) -> None:
        centre = self._site.read("snapshots.look", ref)
        machine = find(centre, ref)
        if any(snapshot.name == name for snapshot in machine.snapshots):
            message = f"{ref.name} has a snapshot called {name} that is not of {token}"
            raise conflict(message, "remove or rename it")
        seen = to_machine(machine, self._site.endpoint)
        findings = snapshot_findings(centre, seen, consistency, centre.free_bytes)
        if hindrances := "; ".join(finding.detail for finding in findings if not finding.ok):
            message = f"{ref.name} cannot be snapshotted: {hindrances}"
            raise ProviderError(ErrorKind.PERMANENT, message, hint="clear the hindrance and try again")

    def _objects(self, machine: SimMachine, ref: MachineRef, token: str) -> list[tuple[ObjectKind, str]]:
        frozen = [disk for disk in machine.disks if disk.frozen_by_snapshots]
        overlays = [(ObjectKind.DISK, str(self._overlay(machine, disk, token))) for disk in frozen]
        return [(ObjectKind.SNAPSHOT, snapshot_id(ref, token)), *overlays]

    def _overlay(self, machine: SimMachine, disk: SimDisk, token: str) -> Path:
        return self._site.world.images / f"{short(machine.id)}-{disk.key}.{short(token)}.overlay"

    def _take(self, machine: SimMachine, ref: MachineRef, name: str, token: str) -> None:
        if any(snapshot.name == name for snapshot in machine.snapshots):
            message = f"{ref.name} got a snapshot called {name} meanwhile"
            raise conflict(message)
        frozen = [disk for disk in machine.disks if disk.frozen_by_snapshots]
        overlays = {disk.key: self._overlay(machine, disk, token) for disk in frozen}
        freeze(machine, snapshot_id(ref, token), name, token, overlays)

    def _confirmed(self, ref: MachineRef, effect: Effect) -> Snapshot:
        """Read the snapshot back, and complete the ledger where a crash left it behind."""
        machine = find(self._site.read("snapshots.look", ref), ref)
        snapshot = bearing(machine, effect.token)
        if snapshot is None:
            message = f"the snapshot of {ref.name} is gone right after it was made"
            raise ProviderError(ErrorKind.UNCERTAIN, message)
        for object_kind, object_id in self._objects(machine, ref, effect.token):
            if effect.owns(object_kind, object_id):
                effect.made(object_kind, object_id)
        return to_snapshot(snapshot)

    def ensure_snapshot_removed(self, ref: MachineRef, token: str, effect: Effect) -> None:
        """Merge the overlay down, or delete what a crash left of a snapshot that never came to be."""
        self._site.need(Capability.SNAPSHOT_REMOVE)
        machine = find(self._site.read("snapshots.look", ref), ref)
        objects = self._objects(machine, ref, token)
        if bearing(machine, token) is not None:
            if not effect.owns(*objects[0]):
                message = f"{ref.name} has a snapshot of {token}, but this state's ledger does not know it"
                raise conflict(message, "remove it with the state that made it")
            with self._site.change(
                "snapshots.ensure_snapshot_removed", effect, f"merge {token}", ref
            ) as centre:
                _merge(centre, find(centre, ref), token)
        self._drop_orphans(machine, ref, objects[1:], effect)
        for object_kind, object_id in objects:
            if effect.owns(object_kind, object_id):
                effect.removed(object_kind, object_id)

    def _drop_orphans(
        self, machine: SimMachine, ref: MachineRef, objects: list[tuple[ObjectKind, str]], effect: Effect
    ) -> None:
        """Delete overlays that a process left which died before the snapshot was written down."""
        used = {path for disk in machine.disks for path in disk.chain}
        for kind, path in objects:
            left = leftovers(Path(path)) if path not in used and effect.owns(kind, path) else []
            if left:
                with self._site.change("snapshots.drop_orphan", effect, f"delete {path}", ref) as centre:
                    centre.pending += [FileMove(source=name, target=None) for name in left]

    def ensure_reverted(self, ref: MachineRef, token: str, effect: Effect) -> Machine:
        """Throw away what was written since the snapshot.

        The machine is left off; its cards stay where they are.
        """
        self._site.need(Capability.SNAPSHOT_REVERT)
        machine = find(self._site.read("snapshots.look", ref), ref)
        _revertible(machine, ref, token)
        what = f"revert {ref.name} to {token}"
        with self._site.change("snapshots.ensure_reverted", effect, what, ref) as centre:
            machine = find(centre, ref)
            _revert(centre, machine, _revertible(machine, ref, token))
        return to_machine(machine, self._site.endpoint)


def bearing(machine: SimMachine, token: str) -> SimSnapshot | None:
    """Return the machine's snapshot that bears the token."""
    return next((snapshot for snapshot in machine.snapshots if snapshot.token == token), None)


def freeze(
    machine: SimMachine, snapshot_id: str, name: str, token: str | None, overlays: Mapping[str, Path]
) -> None:
    """Let the machine write these overlays (by disk key) from now on, and note their snapshot."""
    for disk in machine.disks:
        if disk.key in overlays:
            copy_sparse(Path(disk.chain[0]), overlays[disk.key])
            disk.chain.insert(0, str(overlays[disk.key]))
    machine.snapshots.append(
        SimSnapshot(
            id=snapshot_id,
            name=name,
            token=token,
            created_at=datetime.now(UTC),
            consistency=Consistency.OFFLINE if machine.power is PowerState.OFF else Consistency.CRASH,
            overlays={key: str(path) for key, path in overlays.items()},
            parent=machine.snapshots[-1].id if machine.snapshots else None,
        )
    )


def _merge(centre: Centre, machine: SimMachine, token: str) -> None:
    snapshot = bearing(machine, token)
    if snapshot is None:
        return
    for disk in machine.disks:
        overlay = snapshot.overlays.get(disk.key)
        if overlay is not None:
            below = disk.chain[disk.chain.index(overlay) + 1]
            disk.chain.remove(overlay)
            centre.pending.append(FileMove(source=overlay, target=below))
    at = machine.snapshots.index(snapshot)
    if at + 1 < len(machine.snapshots):
        machine.snapshots[at + 1].parent = snapshot.parent
    machine.snapshots.remove(snapshot)


def _revertible(machine: SimMachine, ref: MachineRef, token: str) -> SimSnapshot:
    snapshot = bearing(machine, token)
    if snapshot is None:
        message = f"{ref.name} has no snapshot of {token}"
        raise ProviderError(ErrorKind.NOT_FOUND, message)
    if machine.snapshots[-1] is not snapshot:
        message = f"{ref.name} has a later snapshot, {machine.snapshots[-1].name}"
        raise conflict(message, "remove the later one first")
    return snapshot


def _revert(centre: Centre, machine: SimMachine, snapshot: SimSnapshot) -> None:
    switch(centre, machine, PowerState.OFF)
    for disk in machine.disks:
        if disk.key in snapshot.overlays:
            fresh = Path(f"{disk.chain[0]}.reverted")
            copy_sparse(Path(disk.chain[1]), fresh)
            centre.pending.append(FileMove(source=str(fresh), target=disk.chain[0]))


class SimDiskSource:
    """Implements the role DiskSource."""

    def __init__(self, site: Site) -> None:
        self._site = site

    @contextmanager
    def open_frozen(self, ref: MachineRef, token: str) -> Iterator[tuple[FrozenDisk, ...]]:
        """Open the frozen image of each disk that the snapshot took along."""
        self._site.need(Capability.DISK_SOURCE)
        machine = find(self._site.read("disks.open_frozen", ref), ref)
        snapshot = bearing(machine, token)
        if snapshot is None:
            message = f"{ref.name} has no snapshot of {token}"
            raise ProviderError(ErrorKind.NOT_FOUND, message)
        with ExitStack() as stack:
            yield tuple(
                _open(stack, disk, snapshot.overlays[disk.key])
                for disk in machine.disks
                if disk.key in snapshot.overlays
            )


def _open(stack: ExitStack, disk: SimDisk, overlay: str) -> FrozenFile:
    frozen = disk.chain[disk.chain.index(overlay) + 1]
    try:
        descriptor = os.open(frozen, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        message = f"the frozen image {frozen} cannot be read: {error.strerror}"
        raise ProviderError(ErrorKind.PERMANENT, message) from error
    stack.callback(os.close, descriptor)
    return FrozenFile(disk.key, descriptor, disk.size_bytes)
