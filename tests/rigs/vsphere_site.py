"""A small site for tests of the whole command on the vSphere rig: legacy servers with real disk images, a
plan file, and `ferry` as a process. What is there is counted with pyvmomi itself, never read from ferry's
records."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.images import build
from pyVmomi import vim, vmodl

from tests.rigs.vcsim import Vcsim

PASSWORD = "Planted-Secret-7731"  # a made one that opens nothing
OFFICE = "VM Network"
GOLDEN = "win2022-golden"
_CARD = vim.vm.device.VirtualEthernetCard


@dataclass
class VsphereSite:
    """One site on one simulator. `folder` is the test's own; everything is named after `prefix`."""

    sim: Vcsim
    folder: Path
    prefix: str
    images: Path
    """Where raw images are kept between sites."""
    names: list[str] = field(default_factory=list)

    # The site ------------------------------------------------------------

    def legacy(self, host: str, *, image: str = "file01", running: bool = True) -> str:
        """Make a legacy server with a lab image as its disk; return the machine's name."""
        name = f"{self.prefix}-{host.lower()}"
        self.sim.control(
            "machine",
            name=name,
            running=running,
            disks=[{"image": str(raw_image(self.images, image)), "bus": "ide"}],
            nics=[OFFICE],
            guest_id="winLonghorn64Guest",
        )
        self.names.append(name)
        return name

    def plan(self, *hosts: str, target: bool = False, **changes: Any) -> Path:
        """Write a plan that seals these hosts off; with `target` each gets a replacement. `changes` replace
        top-level parts."""
        networks = {
            "sealed": {"endpoint": "vc", "name": f"{self.prefix}-q", "mode": "sealed", "create": True},
            "staging": {"endpoint": "vc", "name": f"{self.prefix}-s", "create": True},
        }
        plan: dict[str, Any] = {
            "ferry": 1,
            "name": self.prefix,
            "owner": "tests",
            "change": {"ticket": "CHG0006003"},
            "endpoints": {"vc": self.endpoint()},
            "networks": networks,
            "hosts": [self._host(host, target) for host in hosts],
        }
        path = self.folder / "plan.yaml"
        # JSON is YAML 1.2.
        path.write_text(json.dumps(plan | changes, indent=1), encoding="utf-8")
        return path

    def endpoint(self) -> dict[str, Any]:
        """The endpoint as a plan file has it."""
        return {
            "provider": "vsphere",
            "server": self.sim.server,
            "port": self.sim.port,
            "username": self.sim.user,
            "password": {"env": "SITE_VC_PASSWORD"},
            "ca_file": str(self.sim.ca_file),
            "max_parallel": 4,
        }

    def _host(self, host: str, target: bool) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "name": host,
            "source": {"endpoint": "vc", "vm": f"{self.prefix}-{host.lower()}"},
            "disposition": "contain",
            "contain": {"network": "sealed"},
        }
        if target:
            self._golden()
            entry["target"] = {
                "endpoint": "vc",
                "release": 2022,
                "image": GOLDEN,
                "vm": f"{self.prefix}-{host.lower()}n",
                "cpus": 1,
                "memory": "256MiB",
                "network": "staging",
                "computer_name": f"{host}N"[:15],
                "admin_password": {"env": "SITE_PASSWORD"},
                "first_boot_limit": "30s",
            }
            entry["parity"] = {"profile": "file-server"}
        return entry

    def _golden(self) -> None:
        with looking(self.sim) as si:
            there = any(name == GOLDEN for name, _ in named(si, vim.VirtualMachine))
        if not there:
            self.sim.control(
                "template",
                name=GOLDEN,
                disks=[{"image": str(raw_image(self.images, GOLDEN)), "bus": "scsi"}],
                nics=[OFFICE],
                guest_id="windows2019srvNext_64Guest",
                tools=True,
            )

    # ferry ------------------------------------------------------------

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no output may hold."""
        return PASSWORD, self.sim.password

    def environment(self, state: str = "state.db") -> dict[str, str]:
        """The environment of a ferry process with a state of that name in the test's folder."""
        own = {
            "FERRY_STATE": f"sqlite:///{self.folder / state}",
            "SITE_PASSWORD": PASSWORD,
            "SITE_VC_PASSWORD": self.sim.password,
            "FERRY_DEBUG": "1",
        }
        return os.environ | own

    def ferry(
        self, *words: object, state: str = "state.db", expect: int | None = 0
    ) -> subprocess.CompletedProcess[str]:
        """Run ferry to its end and check its exit code (None: any)."""
        command = [sys.executable, "-m", "orchestrator", *map(str, words)]
        done = subprocess.run(
            command, env=self.environment(state), text=True, capture_output=True, timeout=110, check=False
        )
        said = f"{words}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert expect is None or done.returncode == expect, said
        for secret in self.secrets:
            assert secret not in done.stdout + done.stderr
        return done

    def json(self, *words: object, state: str = "state.db", expect: int | None = 0) -> Any:
        """Run ferry with --json and return the document."""
        return json.loads(self.ferry(*words, "--json", state=state, expect=expect).stdout)

    # What the simulator says ------------------------------------------------------------

    def census(self) -> dict[str, list[str]]:
        """Everything of this site that there is: what must be the same after a crash as without."""
        with looking(self.sim) as si:
            mine = [vm for _, vm in self._mine(si, vim.VirtualMachine)]
            networks = [name for name, _ in self._mine(si, vim.Network)]
            found = {
                "machines": [vm.name for vm in mine],
                "networks": networks,
                "snapshots": [f"{vm.name}: {len(_nodes(vm))}" for vm in mine],
                "cards": [f"{vm.name}: {_cards(vm)}" for vm in mine],
                "chains": [f"{vm.name}: {_depths(vm)}" for vm in mine],
                "running": [vm.name for vm in mine if str(vm.runtime.powerState) == "poweredOn"],
                "claims": [
                    vm.name for vm in mine if any(o.key == "ferry-claim" for o in vm.config.extraConfig)
                ],
            }
        files = [f for f in self.sim.control("files")["files"] if f"{self.prefix}-" in f]
        return found | {"file count": [str(len(files))]}

    def macs(self, name: str) -> list[str]:
        """The addresses of a machine's cards."""
        with looking(self.sim) as si:
            vm = next(vm for called, vm in self._mine(si, vim.VirtualMachine) if called == name)
            return [d.macAddress for d in vm.config.hardware.device if isinstance(d, _CARD)]

    def remove(self) -> None:
        """Delete this site's machines; what networks it made stays with the simulator."""
        with looking(self.sim) as si:
            for _, vm in self._mine(si, vim.VirtualMachine):
                self.sim.control("delete", moref=vm._moId)

    def _mine(self, si: Any, kind: Any) -> list[tuple[str, Any]]:
        return [(name, one) for name, one in named(si, kind) if name.startswith(f"{self.prefix}-")]


def raw_image(folder: Path, name: str) -> Path:
    """Return a lab image as raw bytes, made once."""
    raw = folder / f"{name}.raw"
    if not raw.exists():
        built = build(name, folder)
        subprocess.run(["qemu-img", "convert", "-O", "raw", built, raw], check=True, timeout=120)
    return raw


@contextmanager
def looking(sim: Vcsim) -> Iterator[Any]:
    """A session of the test's own."""
    yield sim.connect()


def named(si: Any, kind: Any) -> list[tuple[str, Any]]:
    """All objects of a kind with their names, by name.

    In one call: what another site deletes meanwhile would be gone when it is asked for its name.
    """
    content, pc = si.content, vmodl.query.PropertyCollector
    view = content.viewManager.CreateContainerView(content.rootFolder, [kind], True)
    walk = pc.TraversalSpec(name="view", type=vim.view.ContainerView, path="view", skip=False)
    start = pc.ObjectSpec(obj=view, skip=True, selectSet=[walk])
    spec = pc.FilterSpec(objectSet=[start], propSet=[pc.PropertySpec(type=kind, pathSet=["name"], all=False)])
    found = content.propertyCollector.RetrieveContents([spec])
    view.DestroyView()
    return sorted(((one.propSet[0].val, one.obj) for one in found), key=lambda pair: pair[0])


def _nodes(vm: Any) -> list[Any]:
    info = getattr(vm, "snapshot", None)  # unset, the simulator says nothing of it
    waiting, found = list(info.rootSnapshotList) if info is not None else [], []
    while waiting:
        found.append(waiting.pop())
        waiting += found[-1].childSnapshotList or []
    return found


def _cards(vm: Any) -> list[str]:
    found = []
    for card in vm.config.hardware.device:
        if isinstance(card, _CARD):
            port = getattr(card.backing, "port", None)
            where = port.portgroupKey if port is not None else card.backing.deviceName
            found.append(f"{where} {'up' if card.connectable.startConnected else 'down'}")
    return found


def _depths(vm: Any) -> list[int]:
    found = []
    for disk in vm.config.hardware.device:
        if isinstance(disk, vim.vm.device.VirtualDisk):
            depth, backing = 0, disk.backing
            while backing is not None:
                depth, backing = depth + 1, backing.parent
            found.append(depth)
    return found
