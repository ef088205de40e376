"""Bytes of a machine's disks at a snapshot. A frozen base that is a flat file is read at random from its
datastore; everything else is exported.

It must not read a file that a machine writes: only what the snapshot froze.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from pyVmomi import vim

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.provider import FrozenDisk
from orchestrator.model.machine import MachineRef, PowerState
from providers.vsphere.batch import of
from providers.vsphere.convert import chain, devices_of, power
from providers.vsphere.faults import conflict, not_found, permanent
from providers.vsphere.files import Place
from providers.vsphere.inventory import VsphereInventory
from providers.vsphere.lease import disk_size, fetch_disks
from providers.vsphere.link import Link
from providers.vsphere.ranges import RangedDisk
from providers.vsphere.snapshots import bearing
from providers.vsphere.view import View

_DEVICES = "config.hardware.device"
_FLAT = vim.vm.device.VirtualDisk.FlatVer2BackingInfo


class VsphereDiskSource:
    """The DiskSource role."""

    def __init__(self, link: Link, inventory: VsphereInventory) -> None:
        self._link = link
        self._inventory = inventory

    @contextmanager
    def open_frozen(self, ref: MachineRef, token: str) -> Iterator[tuple[FrozenDisk, ...]]:
        """See the contract. The endpoint's `disk_access` chooses the way; `auto` exports what the datastore
        does not serve."""
        view = self._inventory.view(ref)
        node = bearing(view, token)
        if node is None:
            what = f"the snapshot of {ref.name} that this step made"
            raise not_found(what)
        devices = self._frozen_devices(ref, node.snapshot)
        disks = [disk for disk in devices if _in_snapshot(disk)]
        _refuse_written(ref, disks, view)
        with ExitStack() as stack:
            found = self._at_random(disks, view, stack)
            rest = [disk for disk in disks if disk.key not in found]
            if rest:
                start = node.snapshot.ExportSnapshot
                found |= fetch_disks(self._link, f"export {ref.name}", start, devices, rest, stack)
            yield tuple(found[disk.key] for disk in disks)

    @contextmanager
    def open_stopped(self, ref: MachineRef) -> Iterator[tuple[FrozenDisk, ...]]:
        """Export all disks of a stopped machine. vCenter keeps it off meanwhile. CONFLICT where it runs."""
        view = self._inventory.view(ref)
        if power(view.props) is not PowerState.OFF:
            message = f"machine {ref.name} is not stopped: only then can it be exported without a snapshot"
            raise conflict(message, "shut it down, or make a snapshot")
        devices = devices_of(view.props)
        disks = [disk for disk in devices if isinstance(disk, vim.vm.device.VirtualDisk)]
        with ExitStack() as stack:
            what = f"export {ref.name}"
            found = fetch_disks(self._link, what, view.vm.ExportVm, devices, disks, stack)
            yield tuple(found[disk.key] for disk in disks)

    def _frozen_devices(self, ref: MachineRef, snapshot: Any) -> list[Any]:
        what = f"read the snapshot of {ref.name}"
        spec = of(vim.vm.Snapshot, [snapshot], (_DEVICES,))
        seen = self._link.fetch(what, spec).get(snapshot._moId)
        if seen is None or _DEVICES not in seen.props:
            message = f"cannot {what}: vCenter does not say which disks it holds"
            raise permanent(message)
        return list(seen.props[_DEVICES])

    def _at_random(self, disks: Sequence[Any], view: View, stack: ExitStack) -> dict[int, FrozenDisk]:
        """Open what the datastore serves, as `disk_access` allows. Raises ProviderError."""
        access = self._link.settings.disk_access
        if access == "lease":
            return {}
        path = self._inventory.places.path(view.props.get("parent"), view.props["name"])
        datacenter = path.removeprefix("/").partition("/vm/")[0]
        found: dict[int, FrozenDisk] = {}
        for disk in disks:
            try:
                opened = self._ranged(disk, datacenter)
            except ProviderError as error:
                if access == "datastore" or error.kind is ErrorKind.TRANSIENT:
                    raise
                continue
            stack.callback(opened.close)
            found[disk.key] = opened
        return found

    def _ranged(self, disk: Any, datacenter: str) -> RangedDisk:
        backing = disk.backing
        flat = isinstance(backing, _FLAT) and backing.parent is None and backing.keyId is None
        place = Place.of(datacenter, str(backing.fileName or "")) if flat else None
        if place is None:
            message = f"disk {disk.key} lies in {chain(backing)[0]}, no flat file without a parent"
            raise ProviderError(ErrorKind.UNSUPPORTED, message, hint="say `disk_access: auto` or `lease`")
        return RangedDisk(self._link, place, str(disk.key), disk_size(disk))


def _in_snapshot(device: Any) -> bool:
    """Tell whether a device of a snapshot is a disk that the snapshot froze. It lists others, too."""
    if not isinstance(device, vim.vm.device.VirtualDisk):
        return False
    mode = str(getattr(device.backing, "diskMode", "") or "")
    physical = str(getattr(device.backing, "compatibilityMode", "") or "") == "physicalMode"
    return not mode.startswith("independent") and not physical


def _refuse_written(ref: MachineRef, disks: Sequence[Any], view: View) -> None:
    """Refuse a file of the snapshot that is the one which the machine writes now."""
    current = {
        chain(device.backing)[0]
        for device in devices_of(view.props)
        if isinstance(device, vim.vm.device.VirtualDisk)
    }
    for disk in disks:
        file = chain(disk.backing)[0]
        if file in current:
            message = f"{file} of {ref.name} belongs to its snapshot, but the machine writes it"
            raise permanent(message, "look at the machine's disks in vCenter: it may need consolidation")
