"""The whole command on a real libvirt and real QEMU: the main job, its way back, and what must be refused.

What is asserted is read through libvirt by the test itself.
"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import libvirt
import pytest

from tests.rigs.definitions import comparable
from tests.rigs.ferry_lab import PASSWORD, Site
from tests.rigs.libvirtd import PrivateLibvirtd

pytestmark = pytest.mark.kvm
_numbers = itertools.count(1)


@pytest.fixture
def site(libvirtd: PrivateLibvirtd, tmp_path: Path) -> Iterator[Site]:
    made = Site(libvirtd, tmp_path, f"fa{next(_numbers)}")
    yield made
    made.remove()


def definition(site: Site, name: str) -> str:
    return comparable(site.xml(name))


def write_as_the_guest(site: Site, name: str, offset: str, pattern: str) -> None:
    """Write into the image that a stopped domain would write to next."""
    source = site.xml(name).find("./devices/disk/source")
    assert source is not None
    path = str(source.get("file"))
    subprocess.run(
        ["qemu-io", "-c", f"write -P {pattern} {offset} 64k", path], check=True, capture_output=True
    )


def off(site: Site, name: str) -> None:
    domain = site.open().lookupByName(name)
    if domain.isActive():
        domain.destroy()


def test_the_main_job_and_the_way_back(site: Site) -> None:
    running, stopped = site.legacy("FILE01"), site.legacy("APP02", image="app02", running=False)
    before = {name: definition(site, name) for name in (running, stopped)}
    changes = site.changes("FILE01", "APP02", target=True)
    assert PASSWORD not in changes.read_text()

    applied = site.json("plan", "apply", changes)

    assert [host["status"] for host in applied["hosts"]] == ["done", "done"]
    for name in (running, stopped):
        assert site.networks_of(name, live=False) == [f"{site.prefix}-q"]
        assert len(site.snapshots(name)) == 1
    assert site.networks_of(running, live=True) == [f"{site.prefix}-q"]
    connection = site.open()
    assert connection.lookupByName(f"{running}n").isActive()
    assert site.networks_of(f"{running}n") == [f"{site.prefix}-s"]
    assert site.census()["claims"] == ["0"]

    for name in (running, stopped):
        off(site, name)
        write_as_the_guest(site, name, "100M", "0x5a")
    written = {name: site.content(name) for name in (running, stopped)}

    site.json("plan", "undo", applied["run"], "--delete-disks")

    for name in (running, stopped):
        assert definition(site, name) == before[name]
        assert site.content(name) == written[name]
        assert site.chain_depth(name) == 1
    assert site.census() == {
        "domains": sorted([running, stopped]),
        "networks": [site.office],
        "snapshots": [f"{n}: 0" for n in sorted([running, stopped])],
        "cards": [f"{n}: ['{site.office}']" for n in sorted([running, stopped])],
        "chains": [f"{n}: 1" for n in sorted([running, stopped])],
        "running": [],
        "files": sorted([f"{running}.qcow2", f"{stopped}.qcow2"]),
        "file count": ["2"],
        "claims": ["0"],
        "filters": ["0"],
    }
    for run in site.json("journal", "verify")["runs"]:
        assert run["intact"], run


def test_parity_finds_what_the_replacement_lacks_and_is_a_gate(site: Site) -> None:
    site.legacy("FILE01")
    run = site.json("plan", "apply", site.changes("FILE01", target=True))["run"]
    found = site.json("parity", run, "--host", "FILE01", "--refresh", expect=4)
    missing = {i["item"] for i in found["parity"]["items"] if i["state"] == "missing"}
    assert "share:Projects$" in missing
    assert found["progress"]["closed"] == []
    assert site.snapshots(f"{site.prefix}-file01n") == []


def test_a_decoy_is_refused_before_isolation_and_its_snapshot_is_gone(site: Site) -> None:
    name = site.legacy("FILE01", image="decoy-vista")
    record = site.json("plan", "apply", site.changes("FILE01"), expect=3)
    assert record["hosts"][0]["status"] == "refused"
    assert record["hosts"][0]["code"] == "wrong-identity"
    assert site.networks_of(name) == [site.office]
    assert site.snapshots(name) == []
    assert site.chain_depth(name) == 1
    assert site.census()["claims"] == ["0"]


def test_a_change_made_between_preview_and_apply_is_refused_and_named(site: Site) -> None:
    name = site.legacy("FILE01")
    changes = site.changes("FILE01")
    domain = site.open().lookupByName(name)
    interface = site.xml(name).find("./devices/interface")
    assert interface is not None
    ElementTree.SubElement(interface, "link", state="down")
    xml = ElementTree.tostring(interface, encoding="unicode")
    domain.updateDeviceFlags(xml, libvirt.VIR_DOMAIN_AFFECT_CONFIG | libvirt.VIR_DOMAIN_AFFECT_LIVE)

    record = site.json("plan", "apply", changes, expect=3)

    assert record["hosts"][0]["code"] == "stale"
    assert "link_up was True, is False" in record["hosts"][0]["message"]
    assert site.snapshots(name) == []


def test_a_snapshot_of_ours_in_between_is_not_a_change(site: Site) -> None:
    """What a scheduled job leaves: a snapshot with a token of this state's ledger, and a deeper chain."""
    name = site.legacy("FILE01")
    changes = site.changes("FILE01")
    earlier = site.folder / "earlier.json"
    site.ferry("plan", "preview", site.plan("FILE01", name="earlier"), "-o", earlier)
    run = site.json("plan", "apply", earlier)["run"]
    site.ferry("host", "release", run, "--host", "FILE01")
    assert len(site.snapshots(name)) == 1
    assert site.networks_of(name) == [site.office]

    site.ferry("plan", "apply", changes)

    assert len(site.snapshots(name)) == 2


def test_a_foreign_snapshot_in_between_is_refused_and_named(site: Site) -> None:
    name = site.legacy("FILE01")
    changes = site.changes("FILE01")
    xml = "<domainsnapshot><name>somebody-elses</name></domainsnapshot>"
    site.open().lookupByName(name).snapshotCreateXML(xml, libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY)
    record = site.json("plan", "apply", changes, expect=3)
    assert "somebody-elses" in record["hosts"][0]["message"]
    assert site.snapshots(name) == ["somebody-elses"]


def test_one_change_set_runs_once(site: Site) -> None:
    site.legacy("FILE01")
    changes = site.changes("FILE01")
    site.ferry("plan", "apply", changes)
    error = site.json("plan", "apply", changes, expect=3)["error"]
    assert error["code"] == "already-run"


def test_approvals_are_needed_bound_to_the_digest_and_not_the_owners(site: Site) -> None:
    site.legacy("FILE01")
    changes = site.changes("FILE01", change={"approvals": 1})
    assert site.json("plan", "apply", changes, expect=3)["error"]["code"] == "not-approved"
    assert site.json("plan", "approve", changes, "--as", "tests", expect=3)["error"]["code"] == "own-approval"
    site.ferry("plan", "approve", changes, "--as", "board")
    site.ferry("plan", "apply", changes)


# A run in the middle --------------------------------------------------------------


def begin(site: Site, changes: Path, *, state: str = "state.db") -> subprocess.Popen[str]:
    """Start `plan apply` as a process of its own."""
    words = site.command("plan", "apply", changes, "--json")
    return subprocess.Popen(
        words, env=site.environment(state), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def wait_until(true: Callable[[], bool], what: str, limit: float = 30) -> None:
    """Look every hundredth of a second."""
    until = time.monotonic() + limit
    while not true():
        assert time.monotonic() < until, f"not within {limit} s: {what}"
        time.sleep(0.01)


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for a process; return its code and all that it said."""
    out, err = process.communicate(timeout=100)
    return process.returncode, out + err


def claimed(site: Site) -> bool:
    return site.census()["claims"] != ["0"]


def test_of_two_applies_at_once_one_runs_and_one_is_refused_by_the_claim(site: Site) -> None:
    name = site.legacy("FILE01")
    first = site.changes("FILE01", state="one.db")
    second = site.changes("FILE01", state="two.db")
    process = begin(site, first, state="one.db")
    try:
        wait_until(lambda: claimed(site), "the first run's claim")
        os.kill(process.pid, signal.SIGSTOP)
        # It may have got further before it was stopped; then its snapshot is what the other one sees first.
        refusals = {"stale"} if site.snapshots(name) else {"claimed", "conflict"}
        record = site.json("plan", "apply", second, state="two.db", expect=3)
    finally:
        os.kill(process.pid, signal.SIGCONT)
    code, output = end(process)
    assert code == 0, output
    assert record["hosts"][0]["code"] in refusals
    assert "one" not in record["hosts"][0]["status"]
    assert len(site.snapshots(name)) == 1
    assert not claimed(site)


def test_a_domain_deleted_in_mid_run_ends_in_a_clear_message_and_a_resumable_run(site: Site) -> None:
    name = site.legacy("FILE01", running=False)
    xml = ElementTree.tostring(site.xml(name), encoding="unicode")
    process = begin(site, site.changes("FILE01"))
    try:
        wait_until(lambda: claimed(site), "the claim")
        os.kill(process.pid, signal.SIGSTOP)
        site.open().lookupByName(name).undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA)
    finally:
        os.kill(process.pid, signal.SIGCONT)
    code, output = end(process)
    assert code in (1, 3), output
    assert "Traceback" not in output
    assert name in output
    site.open().defineXML(xml)
    record = site.json("run", "resume", "last")
    assert record["status"] == "done"
    assert len(site.snapshots(name)) == 1
    assert site.networks_of(name, live=False) == [f"{site.prefix}-q"]


def test_a_locked_image_ends_in_a_clear_message_and_a_resumable_run(site: Site) -> None:
    name = site.legacy("FILE01", running=False)
    changes = site.changes("FILE01")
    source = site.xml(name).find("./devices/disk/source")
    assert source is not None
    socket = site.folder / "lock.sock"
    holder = subprocess.Popen(
        ["qemu-nbd", "-k", str(socket), "-f", "qcow2", "--persistent", str(source.get("file"))]
    )
    try:
        wait_until(socket.exists, "the process that locks the image")
        done = site.ferry("plan", "apply", changes, expect=None)
    finally:
        holder.terminate()
        holder.wait(timeout=20)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "lock" in done.stdout.lower(), done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert site.json("run", "resume", "last")["status"] == "done"
    assert len(site.snapshots(name)) == 1


def test_a_libvirtd_that_stops_in_mid_run_ends_in_a_clear_message_and_a_resumable_run(
    tmp_path: Path,
) -> None:
    with PrivateLibvirtd() as daemon:
        site = Site(daemon, tmp_path, "fstop")
        name = site.legacy("FILE01")
        process = begin(site, site.changes("FILE01"))
        try:
            wait_until(lambda: claimed(site), "the claim")
            os.kill(process.pid, signal.SIGSTOP)
            daemon.stop_daemon(kill=True)
        finally:
            os.kill(process.pid, signal.SIGCONT)
        code, output = end(process)
        assert code == 5, output
        assert "Traceback" not in output
        assert "libvirt" in output
        daemon.start()
        record = site.json("run", "resume", "last")
        assert record["status"] == "done"
        assert len(site.snapshots(name)) == 1
        site.ferry("plan", "undo", record["run"])
        assert site.snapshots(name) == []
        assert site.chain_depth(name) == 1
        site.remove()
