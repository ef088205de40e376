"""The conformance rig of the vSphere adapter: one simulator, looked at and changed with pyvmomi itself and
through the simulator's control port, never through the adapter."""

from __future__ import annotations

import base64
import itertools
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pyVmomi import VmomiJSONEncoder, vim, vmodl

from orchestrator.contract.conformance.rig import BLOCK, DISK_BYTES, Fault, GuestPrograms, Oddity
from orchestrator.contract.provider import ObjectKind, Provider
from orchestrator.model.endpoint import EndpointSettings
from orchestrator.model.machine import MachineRef, Nic
from orchestrator.model.secret import SecretRef
from providers.vsphere import provider
from tests.rigs.vcsim import Vcsim, vcsim

PRODUCTION = "VM Network"
"""The ordinary network: on a switch with a physical card."""
_CLAIM = "ferry-claim"
_GUEST = ("guest-user", "Gu3st-Passw0rd")
_CARD = vim.vm.device.VirtualEthernetCard
_PASSING = re.compile(
    r"\"(changeVersion|modified|changeTrackingSupported|vmxConfigChecksum|instanceId)\": [^\n]*\n"
)


class VsphereRig:
    """Implements `Rig` on one simulator."""

    uplink = ""
    golden_image = "golden"
    oddities = frozenset(Oddity)
    guest_folder = "C:\\Windows\\Temp\\"
    guest_programs = GuestPrograms(
        echo=(r"C:\Tools\echo.exe",), fail=(r"C:\Tools\fail.exe",), sleep=(r"C:\Tools\sleep.exe",)
    )

    def __init__(self, sim: Vcsim, folder: Path, under_test: Provider = provider) -> None:
        self.sim = sim
        self.provider = under_test
        self.endpoint = EndpointSettings(
            name="vc",
            provider="vsphere",
            max_parallel=8,
            settings={
                "server": sim.server,
                "port": sim.port,
                "username": sim.user,
                "password": SecretRef(env="RIG_VC_PASSWORD"),
                "ca_file": str(sim.ca_file),
                "guest_username": _GUEST[0],
                "guest_password": SecretRef(env="RIG_GUEST_PASSWORD"),
            },
        )
        self._si = sim.connect()
        self.faults = VsphereFaults(sim, self._si)
        self._numbers = itertools.count(1)
        self._slow: list[Any] = []
        golden = folder / "golden.raw"
        golden.write_bytes(b"\x42" * BLOCK + bytes(DISK_BYTES - BLOCK))
        self._golden = golden
        sim.control(
            "template",
            name=self.golden_image,
            disks=[{"image": str(golden), "bus": "scsi"}],
            nics=[PRODUCTION],
            guest_id="windows2019srvNext_64Guest",
            tools=True,
        )
        self.site_network = "site-filtered"
        self._add_portgroup(self.site_network, "vSwitch0")
        self._kept = {g.spec.name for host in self._hosts() for g in host.config.network.portgroup}

    def secrets(self, ref: SecretRef) -> str:
        return {"RIG_VC_PASSWORD": self.sim.password, "RIG_GUEST_PASSWORD": _GUEST[1]}[str(ref.env)]

    def name(self, stem: str) -> str:
        # "vm-7" would be a managed object id as well.
        return f"{stem}x{next(self._numbers)}"

    # Machines

    def make_machine(
        self, name: str, *, running: bool = False, nics: int = 1, disks: int = 1, oddity: Oddity | None = None
    ) -> MachineRef:
        disk: dict[str, Any] = {"size": DISK_BYTES, "bus": "scsi"}
        if oddity is Oddity.SHARED_DISK:
            disk["sharing"] = "sharingMultiWriter"
        if oddity is Oddity.PASSTHROUGH:
            disk["rdm"] = "physicalMode"
        made = self.sim.control(
            "machine",
            name=name,
            running=running,
            disks=[disk] * disks,
            nics=[PRODUCTION] * nics,
            guest_id="winLonghorn64Guest",
            cdrom=True,
        )
        if oddity in (Oddity.DEEP_CHAIN, Oddity.BUSY):
            self._spoil(made["moref"], oddity)
        return MachineRef(endpoint=self.endpoint.name, id=made["instance_uuid"], name=name)

    def _spoil(self, moref: str, oddity: Oddity) -> None:
        vm = vim.VirtualMachine(moref, self._si._stub)
        if oddity is Oddity.DEEP_CHAIN:
            for number in range(8):
                self._done(vm.CreateSnapshot_Task(f"old-{number}", "", False, False))
            return
        self.sim.control("task_delay", method="ReconfigVM", ms=2000)
        self._slow.append(vm.ReconfigVM_Task(vim.vm.ConfigSpec()))
        self.sim.control("task_delay", method="ReconfigVM", ms=0)

    def make_guest(self, name: str) -> MachineRef:
        ref = self.make_machine(name, running=True)
        self.sim.control(
            "guest", moref=self._vm(ref)._moId, username=_GUEST[0], password=_GUEST[1], ready=True, files={}
        )
        return ref

    def guest_file(self, ref: MachineRef, path: str) -> bytes | None:
        found = self.sim.control("guest_file", moref=self._vm(ref)._moId, path=path)["content"]
        return None if found is None else base64.b64decode(found)

    def delete_machine(self, ref: MachineRef) -> None:
        self.sim.control("delete", moref=self._vm(ref)._moId)

    def set_running(self, ref: MachineRef, running: bool) -> None:
        self.sim.control("power", moref=self._vm(ref)._moId, on=running)

    def is_running(self, ref: MachineRef) -> bool:
        return str(self._vm(ref).runtime.powerState) == "poweredOn"

    def redefine(self, ref: MachineRef) -> None:
        vm = self._vm(ref)
        spec = vim.vm.ConfigSpec(memoryMB=vm.config.hardware.memoryMB * 2)
        self._done(vm.ReconfigVM_Task(spec))

    def describe(self, ref: MachineRef) -> str:
        vm = self._vm(ref)
        config = json.dumps(vm.config, cls=VmomiJSONEncoder.VmomiJSONEncoder, indent=1, sort_keys=True)
        nodes = _nodes(getattr(vm, "snapshot", None))  # unset, the simulator says nothing of it
        snapshots = [(n.snapshot._moId, n.name, n.description) for n in nodes]
        return f"{vm.runtime.powerState}\n{snapshots}\n{_PASSING.sub('', config)}"

    def _vm(self, ref: MachineRef) -> Any:
        found = self._si.content.searchIndex.FindByUuid(None, ref.id, True, True)
        assert found is not None, f"{ref.name} is not there"
        return found

    def _vms(self, *paths: str) -> list[tuple[str, dict[str, Any]]]:
        """Every machine's id and these properties, in one call: a call for each is slow with hundreds."""
        content, pc = self._si.content, vmodl.query.PropertyCollector
        view = content.viewManager.CreateContainerView(content.rootFolder, [vim.VirtualMachine], True)
        walk = pc.TraversalSpec(name="view", type=vim.view.ContainerView, path="view", skip=False)
        start = pc.ObjectSpec(obj=view, skip=True, selectSet=[walk])
        wanted = pc.PropertySpec(type=vim.VirtualMachine, pathSet=list(paths), all=False)
        spec = pc.FilterSpec(objectSet=[start], propSet=[wanted])
        found = content.propertyCollector.RetrieveContents([spec])
        view.DestroyView()
        return [(one.obj._moId, {p.name: p.val for p in one.propSet}) for one in found]

    def tidy(self) -> None:
        """Remove what a test made, but the rig's own template and networks: listings stay short."""
        while self._slow:
            done(self._slow.pop())
        for moref, props in self._vms("name"):
            if props["name"] != self.golden_image:
                self.sim.control("delete", moref=moref)
        for host in self._hosts():
            system = host.configManager.networkSystem
            network = host.config.network
            for group in network.portgroup:
                if group.spec.name not in self._kept:
                    system.RemovePortGroup(group.spec.name)
            for switch in network.vswitch:
                if switch.name != "vSwitch0":
                    system.RemoveVirtualSwitch(switch.name)

    def _done(self, task: Any) -> Any:
        return done(task)

    # Disks

    def fill(self, ref: MachineRef, disk: int, offset: int, length: int, byte: int) -> None:
        moref = self._vm(ref)._moId
        self.sim.control("fill", moref=moref, disk=disk, offset=offset, length=length, byte=byte)

    def read(self, ref: MachineRef, disk: int, offset: int, length: int) -> bytes:
        moref = self._vm(ref)._moId
        found = self.sim.control("read", moref=moref, disk=disk, offset=offset, length=length)
        return base64.b64decode(found["data"])

    def foreign_snapshot(self, ref: MachineRef, name: str) -> str:
        vm = self._vm(ref)
        made = self._done(vm.CreateSnapshot_Task(name, "of another administrator", False, False))
        return f"{vm._moId}/{made._moId}"

    # Networks

    def nics(self, ref: MachineRef) -> tuple[Nic, ...]:
        vm = self._vm(ref)
        on = str(vm.runtime.powerState) == "poweredOn"
        return tuple(
            Nic(
                key=card.macAddress.lower(),
                model=type(card).__name__.rpartition(".")[2].removeprefix("Virtual").lower(),
                network=self._network_word(card),
                link_up=card.connectable.connected if on else card.connectable.startConnected,
            )
            for card in vm.config.hardware.device
            if isinstance(card, _CARD)
        )

    def _network_word(self, card: Any) -> str:
        if isinstance(card.backing, _CARD.DistributedVirtualPortBackingInfo):
            key = card.backing.port.portgroupKey
            return f"dvportgroup:{vim.dvs.DistributedVirtualPortgroup(key, self._si._stub).name}"
        return f"portgroup:{card.backing.deviceName}"

    def move_nic(self, ref: MachineRef, nic: Nic) -> None:
        vm, name = self._vm(ref), nic.network.partition(":")[2]
        card = next(
            c for c in vm.config.hardware.device if isinstance(c, _CARD) and c.macAddress.lower() == nic.key
        )
        card.backing = self._backing(nic.network.partition(":")[0], name)
        card.connectable.connected = nic.link_up and str(vm.runtime.powerState) == "poweredOn"
        card.connectable.startConnected = nic.link_up
        change = vim.vm.device.VirtualDeviceSpec(operation="edit", device=card)
        self._done(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[change])))

    def _backing(self, kind: str, name: str) -> Any:
        network = next(n for n in self._datacenter().network if n.name == name)
        if kind == "portgroup":
            return _CARD.NetworkBackingInfo(deviceName=name, network=network)
        switch = network.config.distributedVirtualSwitch
        port = vim.dvs.PortConnection(portgroupKey=network.key, switchUuid=switch.uuid)
        return _CARD.DistributedVirtualPortBackingInfo(port=port)

    def _datacenter(self) -> Any:
        children = self._si.content.rootFolder.childEntity
        return next(one for one in children if isinstance(one, vim.Datacenter))

    def _hosts(self) -> list[Any]:
        root = self._si.content.rootFolder
        view = self._si.content.viewManager.CreateContainerView(root, [vim.HostSystem], True)
        try:
            return list(view.view)
        finally:
            view.DestroyView()

    def _add_portgroup(self, name: str, switch: str) -> None:
        spec = vim.host.PortGroup.Specification(
            name=name, vlanId=0, vswitchName=switch, policy=vim.host.NetworkPolicy()
        )
        for host in self._hosts():
            host.configManager.networkSystem.AddPortGroup(spec)

    def foreign_network(self, name: str) -> None:
        self._add_portgroup(name, "vSwitch0")

    # Everything

    def objects(self, kind: ObjectKind) -> frozenset[str]:
        match kind:
            case ObjectKind.VM:
                found = self._vms("config.instanceUuid", "config.template")
                return frozenset(p["config.instanceUuid"] for _, p in found if not p["config.template"])
            case ObjectKind.SNAPSHOT:
                trees = [(moref, _nodes(props.get("snapshot"))) for moref, props in self._vms("snapshot")]
                return frozenset(f"{moref}/{n.snapshot._moId}" for moref, nodes in trees for n in nodes)
            case ObjectKind.CLAIM:
                found = self._vms("config.extraConfig")
                return frozenset(moref for moref, p in found if _option(p.get("config.extraConfig", ())))
            case ObjectKind.NETWORK:
                return frozenset(network.name for network in self._datacenter().network)
            case ObjectKind.DISK:
                # A disk is a descriptor and a file of bytes beside it.
                files = self.sim.control("files")["files"]
                return frozenset(f for f in files if not f.endswith(("-flat.vmdk", "-delta.vmdk")))
            case ObjectKind.GUEST_FILE:
                files = self.sim.control("guest_files")["files"]
                return frozenset(f"{moref}:{path}" for moref, paths in files.items() for path in paths)
            case ObjectKind.FILTER | ObjectKind.MEDIUM:
                return frozenset()

    def golden_read(self, offset: int, length: int) -> bytes:
        return self._golden.read_bytes()[offset : offset + length]

    def texts(self) -> Iterable[str]:
        yield from self.sim.control("texts")["texts"]


def _nodes(info: Any) -> Iterator[Any]:
    waiting = list(info.rootSnapshotList) if info is not None else []
    while waiting:
        node = waiting.pop()
        yield node
        waiting += node.childSnapshotList or []


def _option(options: Any) -> str:
    return next((str(o.value) for o in options if o.key == _CLAIM), "")


def done(task: Any) -> Any:
    """Wait for a task with a collector of its own; return its result, raise its fault."""
    pc = vmodl.query.PropertyCollector
    collector = pc("propertyCollector", task._stub).CreatePropertyCollector()
    paths = ["info.state", "info.result", "info.error"]
    spec = pc.PropertySpec(type=vim.Task, pathSet=paths, all=False)
    collector.CreateFilter(pc.FilterSpec(objectSet=[pc.ObjectSpec(obj=task)], propSet=[spec]), False)
    known: dict[str, Any] = {}
    version = ""
    while known.get("info.state") not in ("success", "error"):
        update = collector.WaitForUpdatesEx(version, pc.WaitOptions(maxWaitSeconds=60))
        assert update is not None, f"{task._moId} does not end"
        version = update.version
        known |= {c.name: c.val for f in update.filterSet for o in f.objectSet for c in o.changeSet}
    collector.DestroyPropertyCollector()
    if known["info.state"] == "error":
        raise known["info.error"]
    return known.get("info.result")


class VsphereFaults:
    """Implements `Faults` by the rig's front."""

    can = frozenset(Fault)

    def __init__(self, sim: Vcsim, si: Any) -> None:
        self._sim = sim
        self._si = si

    @contextmanager
    def inject(self, fault: Fault) -> Iterator[None]:
        if fault is Fault.UNREACHABLE:
            self._sim.control("down", on=True)
        else:
            self._sim.control("fault", method="*", kind=str(fault), times=1)
        try:
            yield
        finally:
            self._sim.control("down", on=False)
            self._sim.control("faults/clear")
            self._si._stub.DropConnections()  # the rig's own ones were cut, too


@pytest.fixture(scope="module")
def shared_rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VsphereRig]:
    """One simulator for a module: a client's error can end it, and others shall not suffer."""
    folder = tmp_path_factory.mktemp("vsphere")
    with vcsim(folder) as sim:
        made = VsphereRig(sim, folder)
        yield made


@pytest.fixture
def rig(shared_rig: VsphereRig) -> Iterator[VsphereRig]:
    """The rig of one test: names never come twice, and what it made goes at its end."""
    yield shared_rig
    shared_rig.tidy()
