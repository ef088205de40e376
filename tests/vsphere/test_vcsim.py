"""The vSphere rig itself: what other tests lean on when they say what a vCenter does."""

from __future__ import annotations

import base64
import hashlib
import http.client
import ssl
import subprocess
import time
import urllib.parse
from collections.abc import Iterator
from http.client import RemoteDisconnected
from pathlib import Path
from typing import Any

import pytest
from pyVmomi import vim

from tests.rigs.vcsim import ControlError, Vcsim, vcsim

MIB = 1 << 20


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vcsim]:
    """One simulated vCenter."""
    with vcsim(tmp_path_factory.mktemp("vcsim")) as running:
        yield running


@pytest.fixture
def api(site: Vcsim) -> Any:
    """A raw pyvmomi connection of this test: another test lets all sessions expire."""
    return site.connect()


class Machine:
    """A machine of the rig with what a test asks of it."""

    def __init__(self, site: Vcsim, api: Any, name: str, **spec: Any) -> None:
        spec = {"disks": [{"size": MIB}], "running": True, "tools": True} | spec
        self.site = site
        self.moref = site.control("machine", name=name, **spec)["moref"]
        self.vm = vim.VirtualMachine(self.moref, api._stub)

    def fill(self, byte: int, disk: int = 0) -> None:
        self.site.control("fill", moref=self.moref, disk=disk, offset=100, length=MIB - 200, byte=byte)

    def byte(self, disk: int = 0) -> int:
        got = self.site.control("read", moref=self.moref, disk=disk, offset=MIB // 2, length=1)
        return base64.b64decode(got["data"])[0]

    def snapshot(self, name: str, memory: bool = False, quiesce: bool = False) -> Any:
        return done(self.vm.CreateSnapshot_Task(name, "", memory, quiesce))

    def names(self) -> list[str]:
        info = getattr(self.vm, "snapshot", None)
        return [node.name for node in info.rootSnapshotList] if info else []


def done(task: Any) -> Any:
    """Wait for a task and return its result, or raise its fault."""
    limit = time.monotonic() + 20
    while task.info.state in ("queued", "running"):
        assert time.monotonic() < limit, "the task does not end"
        time.sleep(0.02)
    if task.info.state == "error":
        raise task.info.error
    return task.info.result


def get(site: Vcsim, path: str, **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPSConnection(site.server, site.port, context=site.context(), timeout=20)
    try:
        connection.request("GET", path, headers=headers)
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


def test_it_serves_pyvmomi_over_tls_that_only_its_ca_verifies(site: Vcsim, api: Any) -> None:
    assert api.content.about.apiType == "VirtualCenter"
    stranger = ssl.create_default_context()
    connection = http.client.HTTPSConnection(site.server, site.port, context=stranger, timeout=20)
    with pytest.raises(ssl.SSLCertVerificationError):
        connection.request("GET", "/sdk")
    connection.close()
    der = ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate((site.server, site.port)))
    assert hashlib.sha256(der).hexdigest() == site.fingerprint


def test_a_machine_is_seen_as_it_was_asked_for(site: Vcsim, api: Any) -> None:
    guest = {"hostname": "LOOK", "addresses": ["192.0.2.7"], "build": "7601"}
    disks = [{"size": MIB, "bus": "ide"}, {"size": 2 * MIB, "mode": "independent_persistent"}]
    machine = Machine(site, api, "look", disks=disks, nics=["DC0_DVPG0", "VM Network"], guest=guest)
    devices = machine.vm.config.hardware.device
    found = [d for d in devices if isinstance(d, vim.vm.device.VirtualDisk)]
    assert [(d.controllerKey, d.capacityInBytes, d.backing.diskMode) for d in found] == [
        (200, MIB, "persistent"),
        (1000, 2 * MIB, "independent_persistent"),
    ]
    cards = [d for d in devices if isinstance(d, vim.vm.device.VirtualEthernetCard)]
    assert all(c.connectable.connected and c.connectable.startConnected for c in cards)
    assert len({c.macAddress for c in cards}) == 2
    assert machine.vm.guest.ipAddress == "192.0.2.7"
    site.control("power", moref=machine.moref, on=False)
    assert machine.vm.guest.toolsRunningStatus == "guestToolsNotRunning"


def test_a_snapshot_keeps_the_bytes_and_a_revert_brings_them_back(site: Vcsim, api: Any) -> None:
    disks = [{"size": MIB}, {"size": MIB}, {"size": MIB, "mode": "independent_persistent"}]
    machine = Machine(site, api, "revert", disks=disks, annotation="before")
    for disk in range(3):
        machine.fill(1, disk)
    snapshot = machine.snapshot("one")
    for disk in range(3):
        machine.fill(2, disk)
    done(machine.vm.ReconfigVM_Task(vim.vm.ConfigSpec(annotation="after", memoryMB=8192)))
    assert [machine.byte(disk) for disk in range(3)] == [2, 2, 2]
    done(snapshot.RevertToSnapshot_Task())
    assert [machine.byte(disk) for disk in range(3)] == [1, 1, 2]
    assert (machine.vm.config.annotation, machine.vm.config.hardware.memoryMB) == ("before", 4096)
    assert machine.vm.runtime.powerState == "poweredOff"


def test_quiescing_is_reported_only_where_it_happens(site: Vcsim, api: Any) -> None:
    for name, spec, quiesced in (
        ("q1", {}, True),
        ("q2", {"tools": False}, False),
        ("q3", {"running": False}, False),
    ):
        machine = Machine(site, api, name, **spec)
        machine.snapshot("q", quiesce=True)
        (node,) = machine.vm.snapshot.rootSnapshotList
        assert (node.quiesced, node.state) == (quiesced, "poweredOff"), name


def test_a_root_snapshot_with_children_goes_and_the_disk_is_merged(site: Vcsim, api: Any) -> None:
    machine = Machine(site, api, "root")
    machine.fill(1)
    first = machine.snapshot("first")
    machine.fill(2)
    machine.snapshot("second")
    machine.fill(3)
    done(first.RemoveSnapshot_Task(removeChildren=False))
    assert machine.names() == ["second"]
    done(machine.vm.snapshot.currentSnapshot.RevertToSnapshot_Task())
    assert machine.byte() == 2
    done(machine.vm.RemoveAllSnapshots_Task())
    assert machine.byte() == 2
    files = [name for name in site.control("files")["files"] if " root/" in name]
    assert files == ["[LocalDS_0] root/root-flat.vmdk", "[LocalDS_0] root/root.vmdk"]


def test_without_consolidation_the_deltas_stay_until_they_are_consolidated(site: Vcsim, api: Any) -> None:
    machine = Machine(site, api, "deltas")
    snapshot = machine.snapshot("one")
    machine.fill(5)
    done(snapshot.RemoveSnapshot_Task(removeChildren=False, consolidate=False))
    assert machine.names() == []
    assert machine.vm.runtime.consolidationNeeded
    done(machine.vm.ConsolidateVMDisks_Task())
    assert not machine.vm.runtime.consolidationNeeded
    assert machine.byte() == 5


def test_a_lost_reply_leaves_the_snapshot_and_a_cut_call_none(site: Vcsim, api: Any) -> None:
    machine = Machine(site, api, "lost")
    for kind, left in (("cut", []), ("reply-lost", ["s"])):
        site.control("fault", method="CreateSnapshot_Task", object="lost", kind=kind)
        with pytest.raises(RemoteDisconnected):
            machine.vm.CreateSnapshot_Task("s", "", False, False)
        limit = time.monotonic() + 10
        while machine.names() != left and time.monotonic() < limit:
            time.sleep(0.02)
        assert machine.names() == left


def test_a_task_ends_with_the_fault_that_was_asked_for(site: Vcsim, api: Any) -> None:
    machine = Machine(site, api, "faulty")
    site.control(
        "fault",
        method="CreateSnapshot_Task",
        object=machine.moref,
        kind="task-fault",
        fault="ApplicationQuiesceFault",
    )
    with pytest.raises(vim.fault.ApplicationQuiesceFault):
        machine.snapshot("s", quiesce=True)
    assert machine.names() == []
    with pytest.raises(ControlError, match="no such fault type"):
        site.control("fault", method="*", kind="fault", fault="Nonsense")


def test_a_delayed_task_is_seen_running_while_the_machine_stays_readable(site: Vcsim, api: Any) -> None:
    machine = Machine(site, api, "slow")
    site.control("task_delay", method="CreateSnapshot_Task", ms=700)
    task = machine.vm.CreateSnapshot_Task("s", "", False, False)
    assert (task.info.state, machine.vm.name) == ("running", "slow")
    done(task)
    site.control("task_delay", method="CreateSnapshot_Task", ms=0)
    assert machine.names() == ["s"]


def test_calls_and_logins_are_counted(site: Vcsim) -> None:
    site.control("counts/reset")
    instance = site.connect()
    instance.CurrentTime()
    counts = site.control("counts")
    assert (counts["logins"], counts["calls"]["CurrentTime"]) == (1, 1)
    assert counts["total"] == sum(counts["calls"].values())


def test_an_expired_session_is_not_authenticated(site: Vcsim) -> None:
    instance = site.connect()
    assert instance.content.sessionManager.currentSession is not None
    site.control("session/expire")
    with pytest.raises(vim.fault.NotAuthenticated):
        instance.CurrentTime()


def test_a_lease_gives_the_frozen_disk_as_qemu_reads_it(site: Vcsim, tmp_path: Path) -> None:
    image = tmp_path / "disk.raw"
    content = b"".join(bytes([n % 251]) * 70_000 + bytes(200_000) for n in range(1, 12))
    image.write_bytes(content)
    api = site.connect()
    machine = Machine(site, api, "lease", disks=[{"image": str(image)}])
    snapshot = machine.snapshot("frozen")
    machine.fill(9)
    lease = snapshot.ExportSnapshot()
    limit = time.monotonic() + 10
    while lease.state == "initializing" and time.monotonic() < limit:
        time.sleep(0.02)
    (entry,) = lease.info.deviceUrl
    assert urllib.parse.urlsplit(entry.url).hostname == "*"
    status, body = get(site, urllib.parse.urlsplit(entry.url).path)
    assert status == 200
    (tmp_path / "disk.vmdk").write_bytes(body)
    subprocess.run(
        ["qemu-img", "convert", "-O", "raw", tmp_path / "disk.vmdk", tmp_path / "got.raw"], check=True
    )
    same = (tmp_path / "got.raw").read_bytes()[: len(content)] == content
    assert same
    lease.HttpNfcLeaseComplete()
    assert [known["state"] for known in site.control("leases")["leases"]] == ["done"]
    assert get(site, urllib.parse.urlsplit(entry.url).path)[0] == 404


def test_a_datastore_file_needs_a_session_and_can_be_read_in_parts(site: Vcsim) -> None:
    api = site.connect()
    machine = Machine(site, api, "parts")
    machine.fill(7)
    path = "/folder/parts/parts-flat.vmdk?dcPath=DC0&dsName=LocalDS_0"
    assert get(site, path)[0] == 401
    cookie = api._stub.cookie.split(";")[0]
    assert get(site, path, Cookie=cookie, Range="bytes=98-101") == (206, b"\0\0\7\7")


def test_it_ends_when_the_pipe_from_its_test_closes(tmp_path: Path) -> None:
    with vcsim(tmp_path) as running:
        process = running._process
        assert process is not None
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(20) == 0
        assert list((tmp_path / "work").iterdir()) == []


def test_govc_tells_the_same_story(site: Vcsim, api: Any) -> None:
    machine = Machine(site, api, "told")
    machine.snapshot("by-pyvmomi")
    assert "by-pyvmomi" in site.govc("snapshot.tree", "-vm", "told")
