"""The bench of VMDK streams runs and prints the one document of its shape. Times are never judged here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def test_the_smallest_case_prints_one_document_of_the_agreed_shape() -> None:
    done = subprocess.run(
        [sys.executable, str(HERE), "vmdk", "--smallest"], cwd=HERE.parents[1], text=True,
        capture_output=True, check=False, timeout=110, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    (line,) = done.stdout.splitlines()
    document = json.loads(line)
    assert set(document) == {"bench", "machine", "versions", "rows"}
    assert document["bench"] == "vmdk"
    assert {"python", "ferry6003", "qemu"} <= set(document["versions"])
    (found,) = document["rows"]
    assert set(found) == {"case", "ours", "peer", "peer_name", "ratio", "unit"}
    assert (found["peer_name"], found["unit"]) == ("qemu-img", "CPU s")
    assert found["ours"] > 0
    assert found["ratio"] is None or found["ratio"] > 0
