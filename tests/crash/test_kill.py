"""kill -9 at every step boundary and inside every mutating step, then resume in a new process: the world ends
as an undisturbed run's, with nothing there twice. Counted in the world, not in our records.

Several runs go on at once (they mostly wait for DBOS to start), each in a folder of its own.
"""

from __future__ import annotations

import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.crash.drivers import Drivers
from tests.crash.rounds import problems
from tests.crash.scenes import Scene, assert_recorded, scene, shape, undo_file
from tests.rigs import postgres


@dataclass
class Calm:
    """An undisturbed run and its undo: their points, the world's shape after each, the state for others to
    begin from."""

    points: list[str]
    wanted: Any
    undo_points: list[str]
    undo_wanted: Any
    state: Path

    def scene(self, folder: Path) -> Scene:
        """Make a scene whose state has its tables and queues already: that saves a second each time."""
        made = scene(folder)
        (folder / "state").mkdir()
        shutil.copy(self.state, folder / "state" / "state.db")
        return made


@pytest.fixture(scope="module")
def calm(drivers: Drivers, tmp_path_factory: pytest.TempPathFactory) -> Calm:
    still = scene(tmp_path_factory.mktemp("calm") / "s")
    done = drivers.call("--state", still.url, "--start", still.changes)
    assert done.last["status"] == "done", done.text
    wanted = shape(still)
    undone = drivers.call("--state", still.url, "--start", undo_file(still, done.run))
    assert undone.last["status"] == "done", undone.text
    state = still.folder / "state" / "state.db"
    with sqlite3.connect(state) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return Calm(done.last["points"], wanted, undone.last["points"], shape(still), state)


AT_ONCE = 6


def killed_and_resumed(drivers: Drivers, scene_: Scene, changes: Path, point: int, wanted: Any) -> str:
    """Kill at the point, resume in another process; return what went wrong, or ""."""
    first = drivers.call("--state", scene_.url, "--start", changes, "--kill-at", point)
    if first.code != -9:
        return f"it was not killed: {first.text}"
    second = drivers.call("--state", scene_.url, "--resume", first.run)
    if second.code != 0 or second.last["status"] != "done":
        return f"the resume did not end well: {second.text}"
    assert_recorded(scene_, first.run)
    found = shape(scene_)
    return "" if found == wanted else f"the world is {found}, not {wanted}"


@pytest.mark.timeout(600)
def test_a_run_killed_at_any_point_ends_as_an_undisturbed_one(
    drivers: Drivers, calm: Calm, tmp_path: Path
) -> None:
    moments = {p.split()[0] for p in calm.points}
    assert moments == {"begin", "acted", "ended", "before", "intend", "made", "removed"}

    def one(number: int) -> str:
        scene_ = calm.scene(tmp_path / str(number))
        return killed_and_resumed(drivers, scene_, scene_.changes, number, calm.wanted)

    assert problems(calm.points, range(1, len(calm.points) + 1), one, AT_ONCE) == []


@pytest.mark.timeout(600)
def test_an_undo_killed_at_any_point_ends_as_an_undisturbed_one(
    drivers: Drivers, calm: Calm, tmp_path: Path
) -> None:
    def one(number: int) -> str:
        scene_ = calm.scene(tmp_path / str(number))
        run = drivers.call("--state", scene_.url, "--start", scene_.changes).run
        return killed_and_resumed(drivers, scene_, undo_file(scene_, run), number, calm.undo_wanted)

    assert problems(calm.undo_points, range(1, len(calm.undo_points) + 1), one, AT_ONCE) == []


@pytest.mark.postgresql
@pytest.mark.timeout(600)
def test_a_run_on_postgresql_killed_at_some_points_ends_as_an_undisturbed_one(
    drivers: Drivers, calm: Calm, tmp_path: Path, server: postgres.Postgres
) -> None:
    def one(number: int) -> str:
        scene_ = scene(tmp_path / str(number))
        scene_.database = server.database()
        return killed_and_resumed(drivers, scene_, scene_.changes, number, calm.wanted)

    assert problems(calm.points, range(1, len(calm.points) + 1, 9), one, AT_ONCE) == []
