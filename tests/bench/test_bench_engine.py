"""The engine's bench runs on both databases and prints the one document. Times are never judged here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rigs import postgres

HERE = Path(__file__).resolve().parent


@pytest.mark.postgresql
def test_the_smallest_case_prints_one_document_for_both_databases() -> None:
    if reason := postgres.missing():
        pytest.skip(reason)
    done = subprocess.run(
        [sys.executable, str(HERE), "engine", "--smallest"],
        text=True, capture_output=True, check=False, timeout=110, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    (line,) = done.stdout.splitlines()
    document = json.loads(line)
    assert document["bench"] == "engine"
    assert [row["case"].split(",")[0] for row in document["rows"]] == ["sqlite", "postgresql"]
    for row in document["rows"]:
        assert set(row) == {"case", "ours", "peer", "peer_name", "ratio", "unit"}
        assert row["peer_name"] == "dbos-bare"
        assert row["ours"] > 0
