"""The peers that bench isolate-vsphere measures against: what somebody writes in an afternoon for the same
job.

All do, for each machine: a mark of whose it is now in its extraConfig (the claim), a memory-less snapshot
without quiescing, the card moved to a quarantine network with its MAC kept, and a look whether vCenter says
so. All first make that network: on each host a switch without physical cards and a portgroup on it.

`minimal` is one process with one pyvmomi session and as many threads as ours has: one collector read finds
all machines; then `ReconfigVM_Task`, `CreateSnapshot_Task`, `ReconfigVM_Task`, each waited for with
`pyVim.task.WaitForTask`, and the devices are read before and after. Its threads have a property collector
each, since on the shared one waits get lost. `govc` is the loop that one writes first, a process for each
call, one machine after the other: it looks whether the machine is claimed, marks it, makes the snapshot,
moves the card, looks at card, snapshot and the host's switch, and takes the mark off, the four things that
`plan apply` does. `ansible` is one play over all machines with modules of community.vmware, eight machines
at a time as ours (its own default is five); it takes the mark off, too. It is a program of its own below
.cache, no part of ours.

None keeps a ledger or a journal, stores a way back, checks space, chains, disks or running tasks before,
sees to it that nobody else claims the machine in the same moment (no changeVersion), looks at the switch,
its uplinks and neighbours after, reads the card's link and the snapshot's truth back, writes an event for
other administrators, or can be repeated after a crash.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pyVim.connect import Disconnect, SmartConnect
from pyVim.task import WaitForTask
from pyVmomi import vim, vmodl

from tests.bench.site import AT_ONCE, QUARANTINE, Site
from tests.rigs.vcsim import govc

_PC = vmodl.query.PropertyCollector
_CARD = vim.vm.device.VirtualEthernetCard
_MARK = "bench.claim"
_SECONDS = 3600
_ROOT = Path(__file__).resolve().parents[2]
PLAYBOOK = Path(__file__).with_name("isolate_vsphere.yml")
ANSIBLE = _ROOT / ".cache" / "ansible"
"""The virtual environment that .ci/ansible makes: a program of its own, no part of ours."""


def minimal(one: Site) -> None:
    """Peer `minimal`: one session, AT_ONCE threads."""
    sim = one.sim
    si = SmartConnect(
        host=sim.server, port=sim.port, user=sim.user, pwd=sim.password, sslContext=sim.context()
    )
    try:
        network = _make_network(si)
        mine = threading.local()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda vm: _isolate(si, vm, network, mine), _find(si, one)))
    finally:
        Disconnect(si)


def _find(si: Any, one: Site) -> list[Any]:
    wanted = {ref.name for ref in one.refs}
    content = si.content
    view = content.viewManager.CreateContainerView(content.rootFolder, [vim.VirtualMachine], True)
    walk = _PC.TraversalSpec(name="view", type=vim.view.ContainerView, path="view", skip=False)
    spec = _PC.FilterSpec(
        objectSet=[_PC.ObjectSpec(obj=view, skip=True, selectSet=[walk])],
        propSet=[_PC.PropertySpec(type=vim.VirtualMachine, pathSet=["name"])],
    )
    found = content.propertyCollector.RetrieveContents([spec])
    view.Destroy()
    return [item.obj for item in found if item.propSet[0].val in wanted]


def _make_network(si: Any) -> Any:
    content = si.content
    view = content.viewManager.CreateContainerView(content.rootFolder, [vim.HostSystem], True)
    for host in view.view:
        system = host.configManager.networkSystem
        switch = vim.host.VirtualSwitch.Specification(numPorts=128)
        system.AddVirtualSwitch(vswitchName=QUARANTINE, spec=switch)
        group = vim.host.PortGroup.Specification(
            name=QUARANTINE, vlanId=0, vswitchName=QUARANTINE, policy=vim.host.NetworkPolicy()
        )
        system.AddPortGroup(portgrp=group)
    view.Destroy()
    datacenter = next(o for o in content.rootFolder.childEntity if isinstance(o, vim.Datacenter))
    return next(network for network in datacenter.network if network.name == QUARANTINE)


def _isolate(si: Any, vm: Any, network: Any, mine: threading.local) -> None:
    if not hasattr(mine, "collector"):
        mine.collector = si.content.propertyCollector.CreatePropertyCollector()
    mark = vim.option.OptionValue(key=_MARK, value="by the script")
    WaitForTask(vm.ReconfigVM_Task(vim.vm.ConfigSpec(extraConfig=[mark])), si=si, pc=mine.collector)
    snapshot = vm.CreateSnapshot_Task(
        name="before", description="before isolation", memory=False, quiesce=False
    )
    WaitForTask(snapshot, si=si, pc=mine.collector)
    card = next(d for d in vm.config.hardware.device if isinstance(d, _CARD))
    mac = card.macAddress
    card.backing = _CARD.NetworkBackingInfo(deviceName=QUARANTINE, network=network)
    change = vim.vm.device.VirtualDeviceSpec(operation="edit", device=card)
    WaitForTask(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[change])), si=si, pc=mine.collector)
    card = next(d for d in vm.config.hardware.device if isinstance(d, _CARD))
    assert card.backing.deviceName == QUARANTINE
    assert card.macAddress == mac


def govc_loop(one: Site) -> None:
    """Peer `govc`: a process for each call, one machine after the other."""
    for host in _govc(one, "ls", "-t", "HostSystem", "host/*").split():
        _govc(one, "host.vswitch.add", "-host", host, QUARANTINE)
        _govc(one, "host.portgroup.add", "-host", host, "-vswitch", QUARANTINE, QUARANTINE)
    for ref in one.refs:
        _by_govc(one, ref.name)


def _by_govc(one: Site, name: str) -> None:
    """Claim unless it is claimed, snapshot, isolate, verify card, snapshot and switch, release the claim."""
    about = _govc(one, "vm.info", "-e", name)
    assert _MARK not in about
    host = next(line.split(":")[1].strip() for line in about.splitlines() if line.startswith("  Host:"))
    _govc(one, "vm.change", "-vm", name, "-e", f"{_MARK}=by the loop")
    _govc(one, "snapshot.create", "-vm", name, "-m=false", "-q=false", "before")
    _govc(one, "vm.network.change", "-vm", name, "-net", QUARANTINE, "ethernet-0")
    assert QUARANTINE in _govc(one, "device.info", "-json", "-vm", name, "ethernet-0")
    assert "before" in _govc(one, "snapshot.tree", "-vm", name)
    switches = json.loads(_govc(one, "host.vswitch.info", "-json", "-host", host))["vswitch"]
    assert not next(switch for switch in switches if switch["name"] == QUARANTINE).get("pnic")
    _govc(one, "vm.change", "-vm", name, "-e", f"{_MARK}=")


def _govc(one: Site, *words: str) -> str:
    command = [str(govc()), *words]
    environment = dict(one.sim.govc_env())
    return subprocess.run(
        command, env=environment, check=True, capture_output=True, text=True, timeout=_SECONDS
    ).stdout


def missing_ansible() -> str | None:
    """Say what is missing for peer `ansible`, or None."""
    return None if (ANSIBLE / "bin" / "ansible-playbook").exists() else "Ansible: run .ci/ansible"


def ansible(one: Site, folder: Path, *, forks: int) -> None:
    """Peer `ansible`: the whole command, its inventory written before and not counted."""
    inventory = folder / "hosts.json"
    hosts = {ref.name: None for ref in one.refs}
    inventory.write_text(json.dumps({"all": {"hosts": hosts}}))
    environment = os.environ | {
        "ANSIBLE_HOME": str(folder / "ansible"),
        "ANSIBLE_LOCALHOST_WARNING": "False",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_DEPRECATION_WARNINGS": "False",
        "VMWARE_HOST": one.sim.server,
        "VMWARE_PORT": str(one.sim.port),
        "VMWARE_USER": one.sim.user,
        "VMWARE_PASSWORD": one.sim.password,
        "VMWARE_VALIDATE_CERTS": "true",
        # Its modules know no file of an authority; Python's own variable does.
        "SSL_CERT_FILE": str(one.sim.ca_file),
        "REQUESTS_CA_BUNDLE": str(one.sim.ca_file),
    }
    # The simulator names cards otherwise than vCenter.
    options = ["-i", inventory, "-f", str(forks), "-e", "card_label=ethernet-0"]
    command = [ANSIBLE / "bin" / "ansible-playbook", *options, PLAYBOOK]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=_SECONDS, cwd=folder
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
