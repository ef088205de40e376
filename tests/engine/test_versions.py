"""A run that a ferry with other workflows has left in the state."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from orchestrator.engine import api
from orchestrator.history import RunStatus
from tests.engine.kit import Site, clock, engine_on, start


def test_a_run_that_another_version_left_is_resumed_in_a_new_attempt(site: Site, tmp_path: Path) -> None:
    """Nobody goes on with its workflows, which had other steps; what it has made is found by its tokens."""
    url = f"sqlite:///{tmp_path}/state.db"
    bare = {"isolation": None, "target": None, "parity": None}
    with engine_on(url) as first:
        run = start(first, site.fleet(["FILE01"], **bare))
        api.pause(first.runtime.state, run, clock())
        assert api.run_record(first.runtime.state, run).status is RunStatus.PAUSED
    with sqlite3.connect(tmp_path / "state.db") as connection:
        left = connection.execute("UPDATE workflow_status SET application_version = 'ferry-0'").rowcount
    assert left > 0
    with engine_on(url) as second:
        api.resume(second, run, now=clock())
        record = api.wait_run(second.runtime.state, run)
    assert record.status is RunStatus.DONE
    found = site.world.read().by_name("file01")
    assert found is not None
    assert [s.name for s in found.snapshots] == [f"ferry-{run}"]
