"""Staging and guests of the vSphere adapter over one simulated vCenter: targets from a template of the rig's,
with secrets that can be searched for."""

from __future__ import annotations

import base64
import time
from pathlib import Path
from typing import Any

from pyVmomi import vim

from orchestrator.contract.conformance.effect import Ledger, RecordingEffect
from orchestrator.contract.conformance.support import token
from orchestrator.model.endpoint import EndpointSettings
from orchestrator.model.machine import MachineRef, PowerState
from orchestrator.model.network import NetworkSpec
from orchestrator.model.secret import SecretRef
from orchestrator.model.target import CopyMode, StagedTarget, TargetSpec
from providers.vsphere.guests import VsphereGuests
from providers.vsphere.inventory import VsphereInventory
from providers.vsphere.link import Link
from providers.vsphere.power import VspherePower
from providers.vsphere.readiness import Readiness
from providers.vsphere.staging import VsphereStaging
from tests.rigs.vcsim import Vcsim

ADMIN, JOIN, GUEST = "Adm1n-Planted-17", "J0in-Planted-23", "Gu3st-Planted-31"
GUEST_USER = "guest-user"
NETWORK, TEMPLATE = "VM Network", "golden"
MIB = 1024**2
_BLOCK = 64 * 1024


def effect(step: str, ledger: Ledger | None = None) -> RecordingEffect:
    """Return a hand with a token of its own."""
    return RecordingEffect(token(step), Ledger() if ledger is None else ledger)


class Targets:
    """One connection of the adapter's; `again()` is that of a controller that starts anew."""

    def __init__(self, sim: Vcsim, folder: Path) -> None:
        self.sim = sim
        self.si = sim.connect()
        self._number = 0
        golden = folder / "golden.raw"
        golden.write_bytes(b"\x42" * _BLOCK + bytes(3 * _BLOCK))
        self.template(TEMPLATE, image=str(golden))
        self.account: dict[str, Any] = {
            "guest_username": GUEST_USER,
            "guest_password": SecretRef(env="GUEST"),
        }
        self.again()

    def again(self, **settings: Any) -> None:
        """Start the controller anew: nothing is known. `settings` change those of the endpoint."""
        common = {
            "server": self.sim.server,
            "port": self.sim.port,
            "username": self.sim.user,
            "password": SecretRef(env="VC"),
            "ca_file": str(self.sim.ca_file),
        }
        given = {k: v for k, v in (common | self.account | settings).items() if v is not None}
        endpoint = EndpointSettings(name="vc", provider="vsphere", max_parallel=8, settings=given)
        self.link = Link(endpoint, self._secret)
        self.inventory = VsphereInventory(self.link)
        self.staging = VsphereStaging(self.link, self.inventory)
        self.guests = VsphereGuests(self.link, self.inventory)
        self.power = VspherePower(self.link, self.inventory)
        self.readiness = Readiness(self.link, self.inventory)

    def _secret(self, ref: SecretRef) -> str:
        return {"VC": self.sim.password, "ADMIN": ADMIN, "JOIN": JOIN, "GUEST": GUEST}[str(ref.env)]

    def template(self, name: str, **changes: Any) -> str:
        """Make a template; return its managed object id."""
        image = changes.pop("image", None)
        disk = {"image": image, "bus": "scsi"} if image else {"size": 4 * _BLOCK, "bus": "scsi"}
        spec = {
            "disks": [disk],
            "nics": [NETWORK],
            "guest_id": "windows2022srvNext_64Guest",
            "tools": True,
        }
        return str(self.sim.control("template", name=name, **spec | changes)["moref"])

    def name(self, stem: str = "new") -> str:
        """Return a name that nothing bears."""
        self._number += 1
        return f"{stem}{self._number:02}"

    def spec(self, **changes: Any) -> TargetSpec:
        """Return the spec of a target."""
        fields: dict[str, Any] = {
            "endpoint": "vc",
            "release": 2025,
            "image": TEMPLATE,
            "copy_mode": CopyMode.FULL,
            "vm": self.name(),
            "cpus": 1,
            "memory_bytes": 256 * MIB,
            "network": NetworkSpec(name=NETWORK),
            "computer_name": "NEW01",
            "admin_password": SecretRef(env="ADMIN"),
        }
        return TargetSpec(**fields | changes)

    def start(self, staged: StagedTarget) -> None:
        """Power a target on for its first boot."""
        self.power.ensure_power(ref_of(staged), PowerState.ON, effect("start"))

    def guest(self, **changes: Any) -> MachineRef:
        """Make a running machine whose guest answers."""
        name = self.name("app")
        made = self.sim.control("machine", name=name, running=True, disks=[], nics=[NETWORK], tools=True)
        order = {"username": GUEST_USER, "password": GUEST, "ready": True} | changes
        self.sim.control("guest", moref=made["moref"], **order)
        return MachineRef(endpoint="vc", id=made["instance_uuid"], name=name)

    def change_guest(self, ref: MachineRef, **changes: Any) -> None:
        """Change a guest behind the adapter's back."""
        self.sim.control("guest", moref=self.moref(ref), **changes)

    def file(self, ref: MachineRef, path: str) -> bytes | None:
        """Return a file of a guest's."""
        content = self.sim.control("guest_file", moref=self.moref(ref), path=path)["content"]
        return None if content is None else base64.b64decode(content)

    def files(self, ref: MachineRef) -> list[str]:
        """Return all files of a guest."""
        return sorted(self.sim.control("guest_files")["files"].get(self.moref(ref), []))

    def moref(self, ref: MachineRef) -> str:
        """Return a machine's managed object id, by a look of the rig's own."""
        return str(self.si.content.searchIndex.FindByUuid(None, ref.id, True, True)._moId)

    def all_machines(self) -> list[Any]:
        """Return all machines and templates, by a look of the rig's own."""
        content = self.si.content
        view = content.viewManager.CreateContainerView(content.rootFolder, [vim.VirtualMachine], True)
        try:
            return list(view.view)
        finally:
            view.DestroyView()

    def machines(self, name: str) -> list[Any]:
        """Return all machines of a name."""
        return [one for one in self.all_machines() if one.name == name]

    def done(self, task: Any) -> Any:
        """Wait for a task that a test started as another administrator."""
        while str(task.info.state) in ("queued", "running"):
            time.sleep(0.02)
        assert str(task.info.state) == "success", task.info.error
        return task.info.result

    def disks(self) -> frozenset[str]:
        """Return the disk images in all datastores."""
        files = self.sim.control("files")["files"]
        return frozenset(f for f in files if not f.endswith(("-flat.vmdk", "-delta.vmdk")))

    def leaks(self) -> list[str]:
        """Return every text of vCenter's that holds a secret."""
        texts = self.sim.control("texts")["texts"]
        return [text for text in texts if any(secret in text for secret in (ADMIN, JOIN, GUEST))]


def ref_of(staged: StagedTarget) -> MachineRef:
    """Return how a target is addressed as a machine."""
    return MachineRef(endpoint=staged.endpoint, id=staged.id, name=staged.name)
