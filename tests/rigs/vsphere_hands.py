"""The vSphere adapter's roles for power and snapshots over one simulated vCenter, beside a plain pyvmomi
connection that looks at the same machines and changes them as another administrator would."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pyVmomi import vim

from orchestrator.contract.conformance.effect import Ledger, RecordingEffect
from orchestrator.contract.conformance.support import token
from orchestrator.model.endpoint import EndpointSettings
from orchestrator.model.machine import MachineRef
from orchestrator.model.secret import SecretRef
from providers.vsphere.batch import filters, of, read
from providers.vsphere.inventory import VsphereInventory
from providers.vsphere.link import Link
from providers.vsphere.power import VspherePower
from providers.vsphere.preflight import VspherePreflight
from providers.vsphere.snapshots import VsphereSnapshots
from tests.rigs.vcsim import Vcsim

BLOCK = 64 * 1024
NETWORK, QUARANTINE = "VM Network", "quarantine"
_CARD = vim.vm.device.VirtualEthernetCard


@dataclass(frozen=True)
class Made:
    """A machine of the rig's."""

    ref: MachineRef
    moref: str


class Hands:
    """One connection of the adapter's; `again()` is that of a controller that starts anew."""

    def __init__(self, sim: Vcsim) -> None:
        self.sim = sim
        self._si = sim.connect()
        self._number = 0
        self._add_portgroup(QUARANTINE)
        self._open()

    def _open(self) -> None:
        endpoint = EndpointSettings(
            name="vc",
            provider="vsphere",
            max_parallel=8,
            settings={
                "server": self.sim.server,
                "port": self.sim.port,
                "username": self.sim.user,
                "password": SecretRef(env="RIG_VC_PASSWORD"),
                "ca_file": str(self.sim.ca_file),
            },
        )
        self.link = Link(endpoint, lambda ref: self.sim.password)
        self.inventory = VsphereInventory(self.link)
        self.power = VspherePower(self.link, self.inventory)
        self.preflight = VspherePreflight(self.link, self.inventory)
        self.snapshots = VsphereSnapshots(self.link, self.inventory, self.preflight)

    def again(self) -> None:
        """Start the controller anew: nothing is known. The other administrator logs in again, too."""
        self.link.close()
        self._si = self.sim.connect()
        self._open()

    def close(self) -> None:
        self.link.close()

    def machine(self, *, running: bool = True, tools: bool = False, **more: Any) -> Made:
        self._number += 1
        name = f"app{self._number:02}"
        guest = {"hostname": name, "full_name": "Microsoft Windows Server 2008 (64-bit)"} if tools else {}
        given = {"disks": [{"size": 4 << 20, "bus": "scsi"}], "nics": [NETWORK]} | more
        made = self.sim.control(
            "machine",
            name=name,
            running=running,
            tools=tools,
            guest=guest,
            guest_id="winLonghorn64Guest",
            **given,
        )
        return Made(MachineRef(endpoint="vc", id=made["instance_uuid"], name=name), made["moref"])

    def vm(self, made: Made) -> Any:
        return vim.VirtualMachine(made.moref, self._si._stub)

    def done(self, task: Any) -> Any:
        """Wait for a task and return its result. Raises its fault."""
        for _ in range(2000):
            state = str(task.info.state)
            if state not in ("queued", "running"):
                break
            time.sleep(0.01)
        if state != "success":
            raise task.info.error
        return getattr(task.info, "result", None)

    def nodes(self, made: Made) -> list[Any]:
        """Return the nodes of the snapshot tree, read through a collector: it may be unset."""
        collector = self._si.content.propertyCollector
        asked = of(vim.VirtualMachine, [self.vm(made)], ("name", "snapshot"))
        (seen,) = read(collector, filters([asked]))
        info = seen.props.get("snapshot")
        return list(_walk(info.rootSnapshotList)) if info is not None else []

    def card(self, made: Made) -> Any:
        return next(d for d in self.vm(made).config.hardware.device if isinstance(d, _CARD))

    def place(self, made: Made) -> tuple[str, bool]:
        """Return the card's network, and whether its link is up."""
        card = self.card(made)
        on = str(self.vm(made).runtime.powerState) == "poweredOn"
        link = card.connectable.connected if on else card.connectable.startConnected
        return card.backing.deviceName, bool(link)

    def move(self, made: Made, network: str, *, up: bool = True, guest_control: bool = True) -> None:
        card = self.card(made)
        found = next(n for n in self._si.content.rootFolder.childEntity[0].network if n.name == network)
        card.backing = _CARD.NetworkBackingInfo(deviceName=network, network=found)
        card.connectable.startConnected = card.connectable.connected = up
        card.connectable.allowGuestControl = guest_control
        change = vim.vm.device.VirtualDeviceSpec(operation="edit", device=card)
        self.done(self.vm(made).ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[change])))

    def option(self, made: Made, key: str, value: str | None = None) -> str:
        """Return an option of the machine's; set it first if a value is given."""
        vm = self.vm(made)
        if value is not None:
            option = vim.option.OptionValue(key=key, value=value)
            self.done(vm.ReconfigVM_Task(vim.vm.ConfigSpec(extraConfig=[option])))
        return next((str(o.value) for o in vm.config.extraConfig if o.key == key), "")

    def is_on(self, made: Made) -> bool:
        return str(self.vm(made).runtime.powerState) == "poweredOn"

    def fill(self, made: Made, byte: int) -> None:
        self.sim.control("fill", moref=made.moref, disk=0, offset=0, length=BLOCK, byte=byte)

    def first_byte(self, made: Made) -> int:
        found = self.sim.control("read", moref=made.moref, disk=0, offset=0, length=1)
        return base64.b64decode(found["data"])[0]

    def _add_portgroup(self, name: str) -> None:
        root = self._si.content.rootFolder
        view = self._si.content.viewManager.CreateContainerView(root, [vim.HostSystem], True)
        spec = vim.host.PortGroup.Specification(
            name=name, vlanId=0, vswitchName="vSwitch0", policy=vim.host.NetworkPolicy()
        )
        for host in view.view:
            host.configManager.networkSystem.AddPortGroup(spec)
        view.DestroyView()


def effect(step: str, ledger: Ledger | None = None) -> RecordingEffect:
    return RecordingEffect(token(step), ledger if ledger is not None else Ledger())


def _walk(nodes: list[Any]) -> Iterator[Any]:
    for node in nodes:
        yield node
        yield from _walk(node.childSnapshotList or [])
