"""What hinders a snapshot, judged on a machine as observed; room and rights, judged on what vCenter says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pyVmomi import vim

from orchestrator.model.machine import (
    Consistency,
    Disk,
    Firmware,
    GuestOs,
    Machine,
    MachineRef,
    PowerState,
    Snapshot,
)
from providers.vsphere.preflight import (
    age_findings,
    consistency_finding,
    depth_finding,
    disk_findings,
    wanted_room,
)
from providers.vsphere.rights import NEEDED, granted
from providers.vsphere.rights import judge as judge_rights
from providers.vsphere.room import datacenter_path, datastore_of, in_datacenter, judge

GIB, MIB = 1024**3, 1024**2
NOW = datetime(2026, 3, 1, tzinfo=UTC)
TOOLS = GuestOs(product="Microsoft Windows Server 2008")


def disk(store: str = "ds1", size: int = 40 * GIB, **odd: Any) -> Disk:
    file = f"[{store}] app/app.vmdk"
    given = {"key": "2000", "bus": "scsi", "base": file, "format": "vmdk", "source": file, "chain": (file,)}
    return Disk(size_bytes=size, **(given | odd))


def machine(*disks: Disk, power: PowerState = PowerState.ON, **more: Any) -> Machine:
    return Machine(
        ref=MachineRef(endpoint="vc", id="u1", name="app07"),
        power=power,
        firmware=Firmware.BIOS,
        machine_type="vmx-07",
        arch="x86_64",
        cpus=1,
        memory_bytes=4 * GIB,
        disks=disks,
        nics=(),
        **more,
    )


def snapshot(
    name: str, parent: str | None = None, age: timedelta = timedelta(), token: str | None = None
) -> Snapshot:
    return Snapshot(
        id=name, name=name, token=token, created_at=NOW - age, consistency=Consistency.CRASH, parent=parent
    )


@pytest.mark.parametrize(
    ("power", "guest", "possible"),
    [
        (PowerState.ON, TOOLS, {"crash", "filesystem", "application", "memory"}),
        (PowerState.ON, None, {"crash", "memory"}),
        (PowerState.OFF, TOOLS, {"crash", "offline"}),
        (PowerState.PAUSED, TOOLS, {"crash"}),
    ],
)
def test_consistency_is_only_promised_where_it_can_be_had(
    power: PowerState, guest: GuestOs | None, possible: set[str]
) -> None:
    found = {c.value: consistency_finding(machine(disk(), power=power, guest=guest), c) for c in Consistency}
    assert {name for name, finding in found.items() if finding.ok} == possible
    assert all(finding.detail for finding in found.values())


@pytest.mark.parametrize("odd", ["shared", "raw_passthrough", "independent"])
def test_a_disk_that_no_snapshot_holds_is_a_hindrance(odd: str) -> None:
    found = list(disk_findings(machine(disk(), disk(key="2001", **{odd: True}))))
    assert [f.ok for f in found] == [True, True, False]


def test_a_machine_without_a_disk_has_nothing_to_snapshot():
    cdrom = disk(key="3000", cdrom=True, read_only=True)
    assert [f.ok for f in disk_findings(machine(cdrom))] == [False]


def test_the_deepest_line_counts_by_files_and_by_the_tree():
    files = tuple(f"[ds1] app/app-{n}.vmdk" for n in range(9))
    assert not depth_finding(machine(disk(chain=files))).ok
    assert depth_finding(machine(disk(chain=files[:8]))).ok
    line = [snapshot("s0"), *(snapshot(f"s{n}", f"s{n - 1}") for n in range(1, 8))]
    assert not depth_finding(machine(disk(), snapshots=tuple(line))).ok
    wide = [snapshot("s0"), *(snapshot(f"s{n}", "s0") for n in range(1, 8))]
    assert depth_finding(machine(disk(), snapshots=tuple(wide))).ok


def test_an_old_snapshot_of_somebody_else_is_named_with_its_age():
    kept = (
        snapshot("fresh", age=timedelta(hours=71)),
        snapshot("before-patch", age=timedelta(hours=100)),
        snapshot("ours", age=timedelta(days=30), token="ferry.r.h.s"),
    )
    (found,) = age_findings(machine(disk(), snapshots=kept), NOW)
    assert not found.ok
    assert "before-patch" in found.check
    assert "100 hours" in found.detail


def test_room_is_a_tenth_of_each_disk_and_the_memory_once():
    given = machine(disk("a"), disk("a", 1 * MIB, key="2001"), disk("b", key="2002"))
    assert wanted_room(given, Consistency.CRASH) == {"a": 4 * GIB + 64 * MIB, "b": 4 * GIB}
    assert wanted_room(given, Consistency.MEMORY) == {"a": 8 * GIB + 64 * MIB, "b": 4 * GIB}


def store(name: str = "a", free: int = 10 * GIB, **odd: Any) -> dict[str, Any]:
    given = {
        "name": name,
        "summary.freeSpace": free,
        "summary.accessible": True,
        "summary.maintenanceMode": "normal",
    }
    return given | odd


def test_room_is_judged_on_the_datastore_of_the_machines_own_datacenter():
    known = {
        "/DC0/datastore/a": store(free=1),
        "/DC1/datastore/pod/a": store(free=2),
        "/DC1/datastore/b": store("b"),
    }
    assert datacenter_path(machine(also=("/DC1/vm/Branch/app07", "Branch/app07"))) == "/DC1"
    assert datacenter_path(machine(also=("vm-12",))) == ""
    assert [p["summary.freeSpace"] for p in in_datacenter(known, "a", "/DC1")] == [2]
    assert [p["summary.freeSpace"] for p in in_datacenter(known, "a", "/gone")] == [1, 2]


@pytest.mark.parametrize(
    ("found", "ok"),
    [
        ([store()], True),
        ([store(free=9)], False),
        ([store(), store(free=9)], False),
        ([store(**{"summary.accessible": False})], False),
        ([store(**{"summary.maintenanceMode": "enteringMaintenance"})], False),
        ([], False),
    ],
)
def test_a_datastore_has_room_or_says_why_not(found: list[dict[str, Any]], ok: bool) -> None:
    finding = judge("a", 10, found)
    assert (finding.ok, bool(finding.detail)) == (ok, True)


def test_the_datastore_of_a_file_is_read_from_its_path():
    assert datastore_of("[nfs 1] app/app.vmdk") == "nfs 1"
    assert datastore_of("/vmfs/devices/x") == ""


def test_each_right_is_looked_up_where_it_is_granted_and_a_missing_one_says_what_for():
    availability = vim.AuthorizationManager.PrivilegeAvailability
    logs, makes = "Global.LogEvent", "VirtualMachine.State.CreateSnapshot"

    def entity(moid: str, **has: bool) -> Any:
        rights = [availability(privId=p, isGranted=has[p.rpartition(".")[2]]) for p in (logs, makes)]
        return vim.AuthorizationManager.EntityPrivilege(entity=vim.Folder(moid), privAvailability=rights)

    answer = [
        entity("root", LogEvent=True, CreateSnapshot=False),
        entity("dc", LogEvent=False, CreateSnapshot=True),
    ]
    found = {f.check: f for f in judge_rights(granted(answer), "root", "dc")}
    assert len(found) == len(NEEDED)
    assert found[f"privilege {logs}"].ok
    assert found[f"privilege {makes}"].ok
    lacking = found["privilege VApp.Export"]
    assert not lacking.ok
    assert "frozen disks" in lacking.detail
