"""Legacy servers for benches on vSphere: machines on a simulated vCenter of its own, one card each on one
network.

The simulator runs on the same machine and takes its share of the processors, from ours as from the peers;
its front adds what is asked for as latency to each call. Nothing is left behind.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyVmomi import vim

from orchestrator.model.endpoint import EndpointSettings
from orchestrator.model.machine import MachineRef
from orchestrator.model.secret import SecretRef
from tests.rigs import vcsim as rig
from tests.rigs.vcsim import GOVC, Vcsim, vcsim

MIB = 1024**2
OFFICE = "VM Network"
QUARANTINE = "bench-quarantine"
PASSWORD = "FERRY_BENCH_VCENTER_PASSWORD"
"""The environment variable that holds the password while a bench runs."""
AT_ONCE = 8


@dataclass
class Site:
    """Machines on one simulated vCenter. `fresh` makes them anew, as no run has ever touched them."""

    sim: Vcsim
    refs: list[MachineRef] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._si = self.sim.connect()
        self._moids: dict[str, str] = {}
        self._macs: dict[str, str] = {}

    @property
    def endpoint(self) -> EndpointSettings:
        """The endpoint "lab" as a plan names it."""
        settings: dict[str, Any] = self.settings | {"password": SecretRef(env=PASSWORD)}
        return EndpointSettings(name="lab", provider="vsphere", max_parallel=AT_ONCE, settings=settings)

    @property
    def settings(self) -> dict[str, Any]:
        """What a plan file says of the endpoint, but for the password."""
        sim = self.sim
        return {
            "server": sim.server,
            "port": sim.port,
            "username": sim.user,
            "ca_file": str(sim.ca_file),
        }

    def secret(self, ref: SecretRef) -> str:
        """Resolve the one reference of the endpoint."""
        assert ref.env == PASSWORD, ref
        return self.sim.password

    def fresh(self, count: int) -> None:
        """Remove what is there and make `count` stopped machines, without latency."""
        self.latency(0)
        self.clear()
        for number in range(count):
            name = f"bench-{number:03d}"
            made = self.sim.control(
                "machine", name=name, disks=[{"size": MIB}], nics=[OFFICE], guest_id="winLonghorn64Guest"
            )
            self._moids[name] = made["moref"]
            self.refs.append(MachineRef(endpoint="lab", id=made["instance_uuid"], name=name))
            self._macs[name] = self.card(name).macAddress

    def clear(self) -> None:
        """Remove the machines, and the network with its switch if there is one."""
        for moid in self._moids.values():
            self.sim.control("delete", moref=moid)
        for host in self.hosts():
            system = host.configManager.networkSystem
            info = system.networkInfo
            mine = [group.spec for group in info.portgroup if group.spec.name == QUARANTINE]
            for spec in mine:
                system.RemovePortGroup(spec.name)
            for switch in {spec.vswitchName for spec in mine} - {"vSwitch0"}:
                system.RemoveVirtualSwitch(switch)
        self.refs, self._moids, self._macs = [], {}, {}

    def latency(self, milliseconds: int) -> None:
        """Delay each call so long."""
        self.sim.control("latency", ms=milliseconds)

    def is_done(self) -> None:
        """Check, with a connection of its own, that each machine has one snapshot and its card is moved."""
        self.latency(0)
        for ref in self.refs:
            machine = self.machine(ref.name)
            snapshots = machine.snapshot.rootSnapshotList
            assert len(snapshots) == 1, f"{ref.name} has {len(snapshots)} snapshots"
            assert not snapshots[0].childSnapshotList, f"{ref.name} has a second snapshot"
            card = self.card(ref.name)
            assert card.backing.deviceName == QUARANTINE, f"{ref.name} is not moved"
            assert card.macAddress == self._macs[ref.name], f"{ref.name} has a new MAC"
        assert self.refs

    def machine(self, name: str) -> Any:
        """The managed object of a machine."""
        return vim.VirtualMachine(self._moids[name], self._si._stub)

    def card(self, name: str) -> Any:
        """Its network card."""
        devices = self.machine(name).config.hardware.device
        return next(d for d in devices if isinstance(d, vim.vm.device.VirtualEthernetCard))

    def hosts(self) -> list[Any]:
        """All hosts."""
        content = self._si.content
        view = content.viewManager.CreateContainerView(content.rootFolder, [vim.HostSystem], True)
        try:
            return list(view.view)
        finally:
            view.DestroyView()


@contextmanager
def site(*, start_seconds: int = 0, **inventory: int) -> Iterator[Site]:
    """A simulated vCenter for one bench; see Vcsim for the inventory's words. `start_seconds`: how long it
    may take to start, where the rig's own limit is too short for its size."""
    rig.START_SECONDS = max(rig.START_SECONDS, start_seconds)
    with (
        tempfile.TemporaryDirectory(prefix="ferry-bench-") as folder,
        vcsim(Path(folder), hosts=2, portgroups=1, datastores=1, **inventory) as sim,
    ):
        yield Site(sim)


def versions(one: Site) -> dict[str, str]:
    """What the figures depend on besides Python."""
    about = one._si.content.about
    return {
        "simulator": f"govmomi v0.52.0, {about.version} build {about.build}",
        "govc": GOVC.rpartition("@")[2],
    }
