"""Every bench runs and prints the one document of its shape. Times are never judged here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from lab.private_libvirtd import missing

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PEERS = {
    "preview": {"bare-read", "none"},
    "isolate-kvm": {"minimal", "minimal, filtering", "virsh", "virsh, 8 at once"},
}


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(HERE), *arguments]
    return subprocess.run(
        command, cwd=ROOT, text=True, capture_output=True, check=False, timeout=170, stdin=subprocess.DEVNULL
    )


@pytest.mark.kvm
@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", sorted(PEERS))
def test_the_smallest_case_prints_one_document_of_the_agreed_shape(name: str) -> None:
    if lacking := missing():
        pytest.skip(f"a private libvirtd needs: {', '.join(lacking)}")
    done = bench(name, "--smallest")
    assert done.returncode == 0, done.stderr[-3000:]
    (line,) = done.stdout.splitlines()
    document: dict[str, Any] = json.loads(line)
    assert set(document) == {"bench", "machine", "versions", "rows"}
    assert document["bench"] == name
    assert document["machine"]["cpus"] > 0
    assert {"python", "ferry6003", "libvirt", "qemu"} <= set(document["versions"])
    assert {row["peer_name"] for row in document["rows"]} == PEERS[name]
    for row in document["rows"]:
        assert set(row) == {"case", "ours", "peer", "peer_name", "ratio", "unit"}
        assert row["unit"] in {"s", "MiB"}
        assert row["ours"] >= 0
        assert (row["ratio"] is None) == (row["peer_name"] == "none"), row


def test_an_unknown_bench_is_refused_with_the_names_that_there_are() -> None:
    done = bench("isolate-kwm")
    assert done.returncode == 2
    assert "isolate-kvm" in done.stderr
    assert done.stdout == ""
