"""The rig's own vCenter where the simulator is not one: clones, customization, rights, tasks."""

import base64
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyVmomi import vim, vmodl

from tests.rigs.vcsim import Vcsim, vcsim
from tests.vsphere.vcsim_kit import card, edit, ended, inside, login, machine, until

ADMIN = "geheim-Admin-1"
JOIN = "geheim-Domain-2"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vcsim]:
    """One simulated vCenter for this module."""
    with vcsim(tmp_path_factory.mktemp("vc"), hosts=1, datastores=2, api="8.0.3.0") as running:
        yield running


@pytest.fixture(scope="module")
def si(site: Vcsim) -> vim.ServiceInstance:
    """A client of it."""
    return site.connect()


@contextlib.contextmanager
def lacking(site: Vcsim, *privileges: str) -> Iterator[None]:
    """The account has all privileges but these inside the block."""
    site.control("lacking", privileges=list(privileges))
    try:
        yield
    finally:
        site.control("lacking", privileges=[])


def test_stale_change_version_is_refused_and_every_change_moves_it(
    site: Vcsim, si: vim.ServiceInstance
) -> None:
    vm = machine(site, si, "version")
    before = vm.config.changeVersion
    ended(vm.ReconfigVM_Task(vim.vm.ConfigSpec(annotation="one", changeVersion=before)))
    assert vm.config.changeVersion != before
    with pytest.raises(vim.fault.ConcurrentAccess):
        ended(vm.ReconfigVM_Task(vim.vm.ConfigSpec(annotation="two", changeVersion=before)))
    assert vm.config.annotation == "one"


def test_card_keeps_its_mac_only_as_the_same_object(site: Vcsim, si: vim.ServiceInstance) -> None:
    vm = machine(site, si, "cards", running=True)
    old = card(vm)
    ended(vm.ReconfigVM_Task(edit(old)))
    assert (card(vm).macAddress, card(vm).connectable.connected) == (old.macAddress, True)
    fresh = vim.vm.device.VirtualVmxnet3(key=old.key, backing=old.backing)
    ended(vm.ReconfigVM_Task(edit(fresh)))
    assert card(vm).macAddress not in ("", old.macAddress)
    assert not card(vm).connectable.connected
    assert len(vm.network) == 1


def test_reconfigured_with_a_snapshot_the_disk_stays_on_its_delta(
    site: Vcsim, si: vim.ServiceInstance
) -> None:
    vm = machine(site, si, "delta")
    ended(vm.CreateSnapshot_Task("s", "", False, False))
    ended(vm.ReconfigVM_Task(edit(card(vm))))
    disk = next(d for d in vm.config.hardware.device if isinstance(d, vim.vm.device.VirtualDisk))
    assert disk.backing.fileName.endswith("-000001.vmdk")
    assert disk.backing.parent is not None


def test_network_that_is_not_there_is_refused_and_the_rig_lives(site: Vcsim, si: vim.ServiceInstance) -> None:
    vm = machine(site, si, "nonet")
    device = card(vm)
    device.backing = vim.vm.device.VirtualEthernetCard.NetworkBackingInfo(deviceName="no such")
    with pytest.raises(vim.fault.InvalidDeviceBacking):
        ended(vm.ReconfigVM_Task(edit(device)))
    port = vim.dvs.PortConnection(portgroupKey="dvportgroup-999", switchUuid="x")
    device.backing = vim.vm.device.VirtualEthernetCard.DistributedVirtualPortBackingInfo(port=port)
    with pytest.raises(vim.fault.NotFound):
        ended(vm.ReconfigVM_Task(edit(device)))
    device.backing = vim.vm.device.VirtualEthernetCard.NetworkBackingInfo(deviceName="VM Network")
    ended(vm.ReconfigVM_Task(edit(device)))
    assert [n.name for n in vm.network] == ["VM Network"]


def customization(name: str, cards: int = 1) -> vim.vm.customization.Specification:
    """Return a sysprep specification with two passwords."""
    custom = vim.vm.customization
    identity = custom.Sysprep(
        guiUnattended=custom.GuiUnattended(
            password=custom.Password(value=ADMIN, plainText=True),
            timeZone=110,
            autoLogon=False,
            autoLogonCount=0,
        ),
        userData=custom.UserData(
            fullName="x", orgName="x", computerName=custom.FixedName(name=name), productId=""
        ),
        identification=custom.Identification(
            joinDomain="corp.example",
            domainAdmin="join",
            domainAdminPassword=custom.Password(value=JOIN, plainText=True),
        ),
    )
    adapter = custom.IPSettings(ip=custom.FixedIp(ipAddress="192.0.2.7"), subnetMask="255.255.255.0")
    return custom.Specification(
        options=custom.WinOptions(changeSID=True, deleteAccounts=False, reboot="reboot"),
        identity=identity,
        globalIPSettings=custom.GlobalIPSettings(),
        nicSettingMap=[custom.AdapterMapping(adapter=adapter)] * cards,
    )


def clone(
    si: vim.ServiceInstance, source: vim.VirtualMachine, name: str, *, pool: bool = True, **more: Any
) -> vim.Task:
    """Start a clone into the source's folder, on the second datastore."""
    dc = si.content.rootFolder.childEntity[0]
    where = vim.vm.RelocateSpec(datastore=next(d for d in dc.datastore if d.name == "LocalDS_1"))
    if pool:
        where.pool = dc.hostFolder.childEntity[0].resourcePool
    return source.CloneVM_Task(
        source.parent, name, vim.vm.CloneSpec(location=where, **{"powerOn": False, "template": False, **more})
    )


def test_clone_is_what_the_specification_says_with_the_sources_bytes(
    site: Vcsim, si: vim.ServiceInstance, tmp_path: Path
) -> None:
    image = tmp_path / "gold.raw"
    image.write_bytes(b"ab" * 4096)
    source = machine(site, si, "gold", template=True, image=str(image), disks=[], tools=True)
    config = vim.vm.ConfigSpec(
        numCPUs=4,
        memoryMB=8192,
        annotation="ours",
        extraConfig=[vim.option.OptionValue(key="ferry.token", value="t1")],
    )
    vm = ended(clone(si, source, "copy", config=config))
    assert (vm.config.hardware.numCPU, vm.config.hardware.memoryMB) == (4, 8192)
    assert vm.config.annotation == "ours"
    assert {o.key: o.value for o in vm.config.extraConfig}["ferry.token"] == "t1"
    assert vm.config.instanceUuid != source.config.instanceUuid
    assert vm.config.uuid != source.config.uuid
    assert card(vm).macAddress != card(source).macAddress
    assert [d.name for d in vm.datastore] == ["LocalDS_1"]
    site.control("fill", moref=source._moId, disk=0, offset=0, length=2, byte=0)
    data = site.control("read", moref=vm._moId, disk=0, offset=0, length=4)["data"]
    assert base64.b64decode(data) == b"abab"
    assert site.govc("vm.info", "copy").count("4 vCPU(s)") == 1
    with pytest.raises(vim.fault.DuplicateName):
        ended(clone(si, source, "copy"))
    with pytest.raises(vmodl.fault.InvalidArgument):
        ended(clone(si, source, "other", pool=False))


def test_clone_is_there_only_when_its_task_ends(site: Vcsim, si: vim.ServiceInstance) -> None:
    source = machine(site, si, "gold-slow", template=True)
    site.control("task_delay", method="CloneVm", ms=300)
    try:
        task = clone(si, source, "slow")
        assert until(lambda: task.info.state) == "running"
        assert task in source.recentTask
        assert task.info.descriptionId == "VirtualMachine.clone"
        assert "slow" not in [one.name for one in source.parent.childEntity]
        assert ended(task).name == "slow"
    finally:
        site.control("task_delay", method="CloneVm", ms=0)


def events(si: vim.ServiceInstance, vm: vim.ManagedEntity) -> list[str]:
    """Return the kinds of a machine's events, oldest first."""
    by = vim.event.EventFilterSpec.ByEntity(entity=vm, recursion="self")
    found = si.content.eventManager.QueryEvents(vim.event.EventFilterSpec(entity=by))
    return [type(one).__name__.rpartition(".")[2] for one in sorted(found, key=lambda e: e.key)]


@pytest.mark.parametrize(
    ("outcome", "last"),
    [
        ("success", "CustomizationSucceeded"),
        ("failed", "CustomizationFailed"),
        ("sysprep-failed", "CustomizationSysprepFailed"),
        ("network-failed", "CustomizationNetworkSetupFailed"),
    ],
)
def test_customization_ends_as_ordered_and_tells_no_password(
    site: Vcsim, si: vim.ServiceInstance, outcome: str, last: str
) -> None:
    source = machine(
        site, si, f"gold-{outcome}", template=True, guest_id="windows2019srvNext_64Guest", tools=True
    )
    name = f"vm-{outcome}"
    site.control("customization", name=name, outcome=outcome, after_ms=20)
    vm = ended(clone(si, source, name, customization=customization("WEB01"), powerOn=True))
    until(lambda: any(kind.endswith(last) for kind in events(si, vm)))
    kinds = [kind for kind in events(si, vm) if "Customization" in kind]
    assert [kind.rpartition(".")[2] for kind in kinds] == ["CustomizationStartedEvent", last]
    state = "SUCCEEDED" if outcome == "success" else "FAILED"
    until(lambda: vm.guest.customizationInfo.customizationStatus == f"TOOLSDEPLOYPKG_{state}")
    texts = str(site.control("texts")) + str(vm.config) + str(vm.guest)
    assert ADMIN not in texts
    assert JOIN not in texts
    if outcome == "success":
        assert (vm.guest.hostName, vm.guest.guestOperationsReady) == ("WEB01", True)
        assert vm.guest.ipAddress == "192.0.2.7"
        inside(si).authManager.ValidateCredentialsInGuest(vm, login("Administrator", ADMIN))


def test_customization_that_does_not_fit_is_refused(site: Vcsim, si: vim.ServiceInstance) -> None:
    source = machine(site, si, "gold-nics", template=True, guest_id="windows2019srvNext_64Guest")
    with pytest.raises(vim.fault.NicSettingMismatch):
        ended(clone(si, source, "nics", customization=customization("X", cards=2)))
    assert "nics" not in [vm.name for vm in source.parent.childEntity]


def test_lacking_privilege_is_told_and_enforced(site: Vcsim, si: vim.ServiceInstance) -> None:
    vm, rights = machine(site, si, "rights"), si.content.authorizationManager
    wanted = ["VirtualMachine.State.CreateSnapshot", "VirtualMachine.Config.EditDevice", "Network.Assign"]
    session = si.content.sessionManager.currentSession.key
    with lacking(site, *wanted[:2]):
        told = rights.HasPrivilegeOnEntities([vm], session, wanted)[0].privAvailability
        assert {one.privId: one.isGranted for one in told} == dict(
            zip(wanted, (False, False, True), strict=True)
        )
        with pytest.raises(vim.fault.NoPermission) as refused:
            vm.CreateSnapshot_Task("s", "", False, False)
        assert refused.value.privilegeId == wanted[0]
        with pytest.raises(vim.fault.NoPermission):
            vm.ReconfigVM_Task(edit(card(vm)))
        ended(vm.ReconfigVM_Task(vim.vm.ConfigSpec(annotation="x")))
    moved = card(vm)
    moved.backing = vim.vm.device.VirtualEthernetCard.NetworkBackingInfo(deviceName="VM Network")
    with lacking(site, "Network.Assign"):
        ended(vm.ReconfigVM_Task(edit(card(vm))))
        with pytest.raises(vim.fault.NoPermission) as refused:
            vm.ReconfigVM_Task(edit(moved))
    assert refused.value.privilegeId == "Network.Assign"
    ended(vm.ReconfigVM_Task(edit(moved)))


def test_running_task_is_seen_refuses_another_and_can_be_cancelled(
    site: Vcsim, si: vim.ServiceInstance
) -> None:
    vm = machine(site, si, "busy")
    site.control("task_delay", method="CreateSnapshotEx", ms=60000)
    try:
        task = vm.CreateSnapshotEx_Task("slow", "", False, None)
        until(lambda: task.info.state == "running")
        assert task in vm.recentTask
        assert task in si.content.taskManager.recentTask
        assert task.info.descriptionId == "VirtualMachine.createSnapshotEx"
        assert (task.info.entity, task.info.entityName) == (vm, "busy")
        with pytest.raises(vim.fault.TaskInProgress) as refused:
            ended(vm.CreateSnapshot_Task("second", "", False, False))
        assert refused.value.task == task
        task.CancelTask()
        with pytest.raises(vmodl.fault.RequestCanceled):
            ended(task)
    finally:
        site.control("task_delay", method="CreateSnapshotEx", ms=0)
    ended(vm.CreateSnapshot_Task("third", "", False, False))
    assert [tree.name for tree in vm.snapshot.rootSnapshotList] == ["third"]


def test_user_event_and_custom_field_are_kept(site: Vcsim, si: vim.ServiceInstance) -> None:
    vm = machine(site, si, "told")
    si.content.eventManager.LogUserEvent(vm, "by alice under CHG-1")
    by = vim.event.EventFilterSpec.ByEntity(entity=vm, recursion="self")
    kept = vim.event.EventFilterSpec(entity=by, eventTypeId=["GeneralUserEvent"])
    (event,) = si.content.eventManager.QueryEvents(kept)
    assert event.message == "by alice under CHG-1"
    assert "by alice under CHG-1" in event.fullFormattedMessage
    fields = si.content.customFieldsManager
    field = fields.AddCustomFieldDef("ferry.claim", vim.Network)
    network = next(n for n in si.content.rootFolder.childEntity[0].network if n.name == "VM Network")
    for value in ("one", "two"):
        fields.SetField(network, field.key, value)
    assert [(one.key, one.value) for one in network.customValue] == [(field.key, "two")]
    assert "ferry.claim" in [one.name for one in fields.field]
