"""External snapshots: all writable disks at once, the token in the snapshot's description, overlays beside
the images.

libvirt makes and merges them; no image of the source is touched here.
"""

import xml.etree.ElementTree as ET
from typing import Any

import libvirt

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.provider import Effect, ObjectKind, unsupported
from orchestrator.model.machine import Consistency, Machine, MachineRef, Snapshot
from orchestrator.model.network import Finding
from providers.kvm.convert import TOKEN_LINE, SnapshotView
from providers.kvm.faults import conflict, permanent
from providers.kvm.inventory import KvmInventory
from providers.kvm.link import Link, act
from providers.kvm.merge import Merger
from providers.kvm.overlays import Overlays, overlay_path
from providers.kvm.preflight import REMOVABLE_SINCE, KvmPreflight, snapshot_disks
from providers.kvm.storage import tell_pools

_POSSIBLE = (Consistency.CRASH, Consistency.OFFLINE)


class KvmSnapshots:
    """The Snapshots role."""

    def __init__(self, link: Link, inventory: KvmInventory, preflight: KvmPreflight) -> None:
        self._link = link
        self._inventory = inventory
        self._preflight = preflight
        self._overlays = Overlays(link, inventory)
        self._merger = Merger(link)

    def ensure_snapshot(
        self, ref: MachineRef, name: str, consistency: Consistency, effect: Effect
    ) -> Snapshot:
        """See the contract. `crash` of a stopped machine gives `offline`, which is more."""
        if consistency not in _POSSIBLE:
            what = f"a snapshot with {consistency} consistency"
            raise unsupported(what, "use crash, or offline with the machine off")
        domain = self._link.domain(ref)
        machine = self._inventory.machine(ref)
        known = any(snapshot.token == effect.token for snapshot in machine.snapshots)
        found = self._bearing(domain, effect.token) if known else None
        if found is None:
            found = self._make(domain, machine, name, consistency, effect)
        elif not effect.owns(ObjectKind.SNAPSHOT, _id(ref, effect.token)):
            raise _foreign(ref, found)
        for path in found.overlays.values():
            effect.made(ObjectKind.DISK, path)
        effect.made(ObjectKind.SNAPSHOT, _id(ref, effect.token))
        tell_pools(self._link, found.overlays.values(), there=True, effect=effect)
        self._check(domain, ref, found, consistency, effect)
        return found.snapshot

    def ensure_snapshot_removed(self, ref: MachineRef, token: str, effect: Effect) -> None:
        """See the contract."""
        domain = self._link.domain(ref)
        self._remove_one(domain, ref, token, effect)
        self._overlays.clear(self._inventory.machine(ref), token, effect)
        if effect.owns(ObjectKind.SNAPSHOT, _id(ref, token)):
            effect.removed(ObjectKind.SNAPSHOT, _id(ref, token))

    def ensure_reverted(self, ref: MachineRef, token: str, effect: Effect) -> Machine:  # noqa: ARG002
        """Not on KVM yet."""
        what = "reverting to a snapshot"
        raise unsupported(what, "remove the snapshot, which keeps all writes, or revert by hand in libvirt")

    def bearing(self, ref: MachineRef, token: str) -> SnapshotView | None:
        """Return the snapshot that bears the token. A read."""
        return self._bearing(self._link.domain(ref), token)

    def _bearing(self, domain: Any, token: str) -> SnapshotView | None:
        return next((v for v in self._inventory.snapshots(domain) if v.snapshot.token == token), None)

    def _make(
        self, domain: Any, machine: Machine, name: str, consistency: Consistency, effect: Effect
    ) -> SnapshotView:
        ref = machine.ref
        if any(snapshot.name == name for snapshot in machine.snapshots):
            message = f"machine {ref.name} has a snapshot {name} that is not of this step"
            raise conflict(message, "give the snapshot another name")
        self._overlays.clear(machine, effect.token, effect)
        _refuse(ref, self._preflight.snapshot(machine, consistency))
        overlays = {disk.key: overlay_path(disk, effect.token) for disk in snapshot_disks(machine)}
        for path in overlays.values():
            effect.intend(ObjectKind.DISK, path, f"overlay of {ref.name}")
        effect.intend(ObjectKind.SNAPSHOT, _id(ref, effect.token), name)
        flags = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC
        text = _snapshot_xml(machine, name, effect.token, overlays)
        try:
            act(effect, f"snapshot {ref.name}", domain.snapshotCreateXML, text, flags)
        except ProviderError as error:
            if error.kind is not ErrorKind.UNCERTAIN and self._bearing(domain, effect.token) is None:
                self._overlays.forget_missing(iter(overlays.values()), effect)
                effect.removed(ObjectKind.SNAPSHOT, _id(ref, effect.token))
            raise
        made = self._bearing(domain, effect.token)
        if made is None:
            message = f"libvirt made the snapshot {name} of {ref.name}, but does not list it"
            raise permanent(message)
        return made

    def _check(
        self, domain: Any, ref: MachineRef, found: SnapshotView, asked: Consistency, effect: Effect
    ) -> None:
        """Read back what was got; less than asked is taken away again."""
        got = found.snapshot.consistency
        if got not in (asked, Consistency.OFFLINE):
            self.ensure_snapshot_removed(ref, effect.token, effect)
            message = f"the snapshot of {ref.name} came out as {got}, not {asked}; it was removed again"
            raise conflict(message, "somebody started the machine meanwhile; shut it down and try again")
        chains = self._inventory.chains(domain)
        for key, path in found.overlays.items():
            if path not in (layer.path for layer in chains.get(key, ())):
                message = f"disk {key} of {ref.name} is not written to its overlay {path} after the snapshot"
                raise permanent(message, "compare virsh domblklist with virsh snapshot-dumpxml")

    def _remove_one(self, domain: Any, ref: MachineRef, token: str, effect: Effect) -> None:
        found = self._bearing(domain, token)
        if found is None:
            self._merger.finish(domain, ref, token, effect)
            return
        if not effect.owns(ObjectKind.SNAPSHOT, _id(ref, token)):
            raise _foreign(ref, found)
        if self._link.version() < REMOVABLE_SINCE:
            what = "removing an external snapshot with libvirt before 9.0"
            raise unsupported(
                what, "update libvirt, or merge by virsh blockcommit and snapshot-delete --metadata"
            )
        machine = self._inventory.machine(ref)
        self._merger.merge(domain, machine, found, token, effect)
        tell_pools(self._link, found.overlays.values(), there=False, effect=effect)
        self._check_merged(domain, ref, found, token)

    def _check_merged(self, domain: Any, ref: MachineRef, found: SnapshotView, token: str) -> None:
        """Re-read: the snapshot is gone, and no chain holds its overlays."""
        left = [
            p for d in self._inventory.machine(ref).disks for p in d.chain if p in found.overlays.values()
        ]
        if left or self._bearing(domain, token) is not None:
            message = (
                f"snapshot {found.snapshot.name} of {ref.name} was removed, but {left or 'it'} is still there"
            )
            raise permanent(message, "see virsh domblklist and virsh snapshot-list; a repeat tries again")


def _id(ref: MachineRef, token: str) -> str:
    """The ledger's id: what can be told again after the snapshot is gone."""
    return f"{ref.id}/{token}"


def _refuse(ref: MachineRef, findings: tuple[Finding, ...]) -> None:
    faults = [f"{f.check}: {f.detail}" for f in findings if not f.ok]
    if faults:
        message = f"machine {ref.name} cannot be snapshotted: {'; '.join(faults)}"
        raise ProviderError(ErrorKind.UNSUPPORTED, message, hint="mend that first, then try again")


def _foreign(ref: MachineRef, found: SnapshotView) -> ProviderError:
    message = f"snapshot {found.snapshot.name} of {ref.name} is not in the ledger of this state"
    return conflict(message, "it is left alone; use the state that made it, or remove it by virsh")


def _snapshot_xml(machine: Machine, name: str, token: str, overlays: dict[str, str]) -> str:
    root = ET.Element("domainsnapshot")
    ET.SubElement(root, "name").text = name
    ET.SubElement(root, "description").text = f"{TOKEN_LINE}{token}"
    disks = ET.SubElement(root, "disks")
    for disk in machine.disks:
        path = overlays.get(disk.key)
        if path is None:
            ET.SubElement(disks, "disk", name=disk.key, snapshot="no")
            continue
        element = ET.SubElement(disks, "disk", name=disk.key, snapshot="external", type="file")
        ET.SubElement(element, "driver", type="qcow2")
        ET.SubElement(element, "source", file=path)
    return ET.tostring(root, encoding="unicode")
