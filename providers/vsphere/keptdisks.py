"""Disks that outlived their target: deleted only where no machine uses them any more."""

from typing import Any

from pyVmomi import vim

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.provider import Effect
from providers.vsphere.batch import Hop, Seen, of
from providers.vsphere.convert import chain, devices_of
from providers.vsphere.faults import conflict
from providers.vsphere.link import Link
from providers.vsphere.placement import Ground, survey
from providers.vsphere.room import datastore_of


def ensure_disk_deleted(link: Link, path: str, effect: Effect) -> None:
    """Delete a disk's file ("[ds1] app07/app07.vmdk"). Not there: fine. Raises ProviderError: CONFLICT where
    a machine has it, or where several datastores bear that name."""
    ground, name = survey(link), datastore_of(path)
    stores = [
        s for s in ground.seen.values() if isinstance(s.obj, vim.Datastore) and s.props.get("name") == name
    ]
    holders = [store for store in stores if _there(link, store, path)]
    if not holders:
        return
    if len(holders) > 1:
        message = f"{path} may be on any of {len(holders)} datastores"
        raise conflict(message, "delete the right one in vCenter")
    _refuse_used(link, holders[0], path)
    center = _datacenter(ground, holders[0])
    manager, what = link.content.virtualDiskManager, f"delete {path}"
    try:
        link.run(effect, what, lambda: manager.DeleteVirtualDisk_Task(path, center))
    except ProviderError as error:
        if error.kind is not ErrorKind.NOT_FOUND:
            raise


def _there(link: Link, store: Seen, path: str) -> bool:
    """Ask the datastore's browser."""
    folder, _, file = path.rpartition("/")
    what = f"look for {path}"
    wanted = vim.host.DatastoreBrowser.SearchSpec(matchPattern=[file])
    browser = link.fetch(what, of(vim.Datastore, [store.obj], ("browser",)))[store.id].props["browser"]
    try:
        task = link.read(what, lambda: browser.SearchDatastore_Task(folder, wanted))
        found = link.outcome(what, task)
    except ProviderError as error:
        if error.kind is ErrorKind.NOT_FOUND:
            return False
        raise
    return any(one.path == file for one in found.file or ())


def _refuse_used(link: Link, store: Seen, path: str) -> None:
    hop = Hop(vim.Datastore, "vm", vim.VirtualMachine, ("name", "config.hardware.device"))
    seen = link.fetch(f"look who uses {path}", of(vim.Datastore, [store.obj], ("name",), hop))
    for one in seen.values():
        disks = [d for d in devices_of(one.props) if isinstance(d, vim.vm.device.VirtualDisk)]
        if any(path in chain(disk.backing) for disk in disks):
            message = f"{path} is a disk of machine {one.props.get('name')}"
            raise conflict(message, "it is left alone; detach it there first")


def _datacenter(ground: Ground, store: Seen) -> Any:
    center = ground.datacenter_of(store)
    return None if center is None else center.obj
