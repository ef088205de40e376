"""The offline bench runs and prints its one document, without the peer that only `make bench` installs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def test_the_smallest_case_prints_seconds_and_memory() -> None:
    done = subprocess.run(
        [sys.executable, str(HERE), "offline", "--smallest"],
        text=True, capture_output=True, check=False, timeout=110, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    (line,) = done.stdout.splitlines()
    document = json.loads(line)
    assert set(document) == {"bench", "machine", "versions", "rows"}
    assert document["bench"] == "offline"
    assert [row["unit"] for row in document["rows"]] == ["s", "s", "MiB"]
    for row in document["rows"]:
        assert set(row) == {"case", "ours", "peer", "peer_name", "ratio", "unit"}
        assert (row["peer_name"], row["ratio"]) == ("none", None)
        assert row["ours"] > 0
