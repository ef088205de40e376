"""Overlay files of our snapshots: their names, and what a crash left of them.

The name holds a hash of the token, so a file of that name is ours; it is removed only when the ledger says so
too, and no machine's
chain holds it.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from orchestrator.contract.errors import ProviderError
from orchestrator.contract.provider import Effect, ObjectKind
from orchestrator.model.machine import Disk, Machine
from providers.kvm.faults import conflict
from providers.kvm.inventory import KvmInventory
from providers.kvm.link import Link, act
from providers.kvm.preflight import snapshot_disks
from providers.kvm.storage import qemu_img


def token_mark(token: str, of: str = "") -> str:
    """Return the short hash that a file of this token (and disk) bears in its name."""
    return "ferry-" + hashlib.sha256(f"{token}\n{of}".encode()).hexdigest()[:12]


def overlay_path(disk: Disk, token: str) -> str:
    """Return the overlay of the snapshot that bears `token`: beside the image that is written now."""
    return _path(disk, Path(disk.source).parent, token)


class Overlays:
    """Looks after overlay files that no snapshot names."""

    def __init__(self, link: Link, inventory: KvmInventory) -> None:
        self._link = link
        self._inventory = inventory

    def clear(self, machine: Machine, token: str, effect: Effect) -> None:
        """Remove what a crashed attempt left of this token's overlays. Raises ProviderError: CONFLICT if a
        chain holds one, or it is not ours."""
        for path in dict.fromkeys(self._candidates(machine, token)):
            if self._exists(path):
                self._remove(path, effect)
            if effect.owns(ObjectKind.DISK, path):
                effect.removed(ObjectKind.DISK, path)

    def forget_missing(self, paths: Iterator[str], effect: Effect) -> None:
        """Take out of the ledger what a refused attempt did not make."""
        for path in paths:
            if self._link.local and not self._exists(path) and effect.owns(ObjectKind.DISK, path):
                effect.removed(ObjectKind.DISK, path)

    def _candidates(self, machine: Machine, token: str) -> Iterator[str]:
        for disk in snapshot_disks(machine):
            for image in disk.chain:
                if image.startswith("/"):
                    yield _path(disk, Path(image).parent, token)

    def _exists(self, path: str) -> bool:
        # On another machine libvirt itself refuses to make an overlay over a file that exists.
        return self._link.local and Path(path).exists()

    def _remove(self, path: str, effect: Effect) -> None:
        if not effect.owns(ObjectKind.DISK, path):
            message = f"{path} exists, and the ledger of this state does not know it"
            raise conflict(message, "it is left alone; move it away if nothing needs it")
        for machine in self._inventory.machines():
            if any(path in disk.chain for disk in machine.disks):
                message = f"{path} is in the chain of machine {machine.ref.name}, but no snapshot names it"
                raise conflict(
                    message, "somebody removed the snapshot's metadata; merge it by virsh blockcommit"
                )
        _refuse_if_open(path)
        act(effect, f"remove the orphaned overlay {path}", Path(path).unlink)


def _refuse_if_open(path: str) -> None:
    """A QEMU that was switched to it while libvirtd died writes it, whatever libvirt's chains say: its lock
    tells."""
    try:
        qemu_img(["info", "-f", "qcow2", path])
    except ProviderError as error:
        if "lock" in error.message:
            message = f"{path} is open in a running QEMU, but in no chain that libvirt knows"
            raise conflict(
                message, "it is left alone; restart that machine's QEMU, or merge by hand"
            ) from error


def _path(disk: Disk, folder: Path, token: str) -> str:
    return str(folder / f"{Path(disk.base).name}.{token_mark(token, disk.key)}")
