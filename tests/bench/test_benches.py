"""Every bench runs and prints the one document of its shape. Times are never judged here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from lab.private_libvirtd import missing

from tests.bench.vsphere_peers import missing_ansible
from tests.rigs.vcsim import go

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
ON_KVM = {
    "preview": {"bare-read", "none"},
    "isolate-kvm": {"minimal", "minimal, filtering", "virsh", "virsh, 8 at once"},
}
"""Benches that start a libvirtd, with the peers that they name."""
# Ansible is no part of the suite's set-up; where somebody has it, it is measured.
ISOLATE_VSPHERE = {"minimal", "govc"} | (set() if missing_ansible() else {"ansible"})


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(HERE), *arguments]
    return subprocess.run(
        command, cwd=ROOT, text=True, capture_output=True, check=False, timeout=170, stdin=subprocess.DEVNULL
    )


@pytest.mark.kvm
@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", sorted(ON_KVM))
def test_the_smallest_case_prints_one_document_of_the_agreed_shape(name: str) -> None:
    if lacking := missing():
        pytest.skip(f"a private libvirtd needs: {', '.join(lacking)}")
    if name == "preview":
        go()
    look_at(name, bench(name, "--smallest"), ON_KVM[name], versions={"libvirt", "qemu"})


@pytest.mark.timeout(180)
def test_the_smallest_case_on_vsphere_counts_calls_and_logins() -> None:
    go()
    rows = look_at(
        "isolate-vsphere", bench("isolate-vsphere", "--smallest"), ISOLATE_VSPHERE, versions={"simulator"}
    )
    assert {row["unit"] for row in rows} == {"s", "calls", "logins"}
    (logins,) = [row for row in rows if row["unit"] == "logins"]
    assert logins["ours"] == 1, "one session for all machines"


def look_at(
    name: str, done: subprocess.CompletedProcess[str], peers: set[str], *, versions: set[str]
) -> list[dict[str, Any]]:
    """Check a document's shape, never a time; return its rows."""
    assert done.returncode == 0, done.stderr[-3000:]
    (line,) = done.stdout.splitlines()
    document: dict[str, Any] = json.loads(line)
    assert set(document) == {"bench", "machine", "versions", "rows"}
    assert document["bench"] == name
    assert document["machine"]["cpus"] > 0
    assert {"python", "ferry6003"} | versions <= set(document["versions"])
    assert {row["peer_name"] for row in document["rows"]} == peers
    for row in document["rows"]:
        assert set(row) == {"case", "ours", "peer", "peer_name", "ratio", "unit"}
        assert row["unit"] in {"s", "CPU s", "MiB", "calls", "logins"}
        assert row["ours"] >= 0
        assert (row["ratio"] is None) == (row["peer_name"] == "none"), row
    return list(document["rows"])


def test_an_unknown_bench_is_refused_with_the_names_that_there_are() -> None:
    done = bench("isolate-kwm")
    assert done.returncode == 2
    assert "isolate-kvm" in done.stderr
    assert done.stdout == ""
