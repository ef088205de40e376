"""Which privileges this account has, and what needs each: asked of vCenter in one call. Reads only."""

from collections.abc import Iterable, Mapping
from typing import Any

from orchestrator.model.network import Finding
from providers.vsphere.faults import permanent
from providers.vsphere.inventory import VsphereInventory
from providers.vsphere.link import Link

NEEDED: Mapping[str, str] = {
    "System.Read": "seeing machines, networks and datastores",
    "VirtualMachine.Config.AdvancedConfig": "claims: the mark on a machine that a run holds it",
    "Global.LogEvent": "telling other administrators who did what, in vCenter's events",
    "VirtualMachine.State.CreateSnapshot": "making snapshots",
    "VirtualMachine.State.RemoveSnapshot": "removing snapshots and consolidating disks",
    "VirtualMachine.State.RevertToSnapshot": "reverting to a snapshot",
    "VirtualMachine.State.RenameSnapshot": "reverting to a snapshot: the cards are noted in its description",
    "VirtualMachine.Interact.PowerOn": "starting machines and targets",
    "VirtualMachine.Interact.PowerOff": "stopping targets",
    "VirtualMachine.Interact.DeviceConnection": "isolation: a card's link",
    "VirtualMachine.Config.EditDevice": "isolation: a card's network",
    "Network.Assign": "isolation and staging: attaching a card to a network",
    "Host.Config.Network": "creating and removing a network on standard switches",
    "Global.ManageCustomFields": "marking such a network as ours",
    "Global.SetCustomField": "marking such a network as ours",
    "DVPortgroup.Create": "creating a network on a distributed switch",
    "DVPortgroup.Modify": "marking that network as ours",
    "DVPortgroup.Delete": "removing that network again",
    "VApp.Export": "reading frozen disks by an export lease",
    "Datastore.Browse": "reading frozen disks from the datastore",
    "Datastore.FileManagement": "reading frozen disks from the datastore",
    "VirtualMachine.Provisioning.DeployTemplate": "staging: cloning the template",
    "VirtualMachine.Inventory.CreateFromExisting": "staging: cloning the template",
    "VirtualMachine.Provisioning.Customize": "staging: customization (sysprep)",
    "Datastore.AllocateSpace": "staging: the target's disks; snapshots' own files",
    "Resource.AssignVMToPool": "staging: placing the target",
    "VirtualMachine.Config.CPUCount": "staging: the target's processors",
    "VirtualMachine.Config.Memory": "staging: the target's memory",
    "VirtualMachine.Config.Annotation": "staging: the note on the target that says whose it is",
    "VirtualMachine.Inventory.Delete": "removing a target",
    "VirtualMachine.Config.RemoveDisk": "removing a target and keeping its disks",
    "VirtualMachine.GuestOperations.Query": "inventory in the guest by VMware Tools",
    "VirtualMachine.GuestOperations.Execute": "inventory in the guest by VMware Tools",
    "VirtualMachine.GuestOperations.Modify": "inventory in the guest: bringing and deleting the collector",
}
"""Privileges by id, with what needs them."""
_GLOBAL = "Global."
"""The group that only the root folder grants."""


def rights_findings(link: Link, inventory: VsphereInventory) -> tuple[Finding, ...]:
    """Return one finding for each privilege, as the endpoint's datacenter, or the root folder, grants it.

    A privilege that is granted further down only counts as missing. Raises ProviderError.
    """
    root, top = link.content.rootFolder, inventory.places.root()

    def ask() -> Any:
        session = link.content.sessionManager.currentSession
        if session is None:
            return None
        entities = list({one._moId: one for one in (root, top)}.values())
        manager = link.content.authorizationManager
        return manager.HasPrivilegeOnEntities(entities, session.key, list(NEEDED))

    answer = link.read("ask for this account's privileges", ask)
    if answer is None:
        message = "vCenter does not say which session this is, so its privileges cannot be asked for"
        raise permanent(message)
    return tuple(judge(granted(answer), root._moId, top._moId))


def granted(answer: Iterable[Any]) -> dict[tuple[str, str], bool]:
    """Read the answer: by managed object id and privilege."""
    return {
        (one.entity._moId, privilege.privId): bool(privilege.isGranted)
        for one in answer
        for privilege in one.privAvailability or ()
    }


def judge(found: Mapping[tuple[str, str], bool], root: str, top: str) -> Iterable[Finding]:
    """Yield a finding for each privilege: `root` grants the global ones, `top` all others."""
    for privilege, purpose in NEEDED.items():
        where = root if privilege.startswith(_GLOBAL) else top
        ok = found.get((where, privilege), False)
        detail = f"for {purpose}" if ok else f"missing; needed for {purpose}"
        yield Finding(check=f"privilege {privilege}", ok=ok, detail=detail)
