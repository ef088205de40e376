"""kill -9 at every step boundary and inside every mutating step, then resume in a new process: the world ends
as an undisturbed run's, with nothing there twice. Counted in the world, not in our records.

Several runs go on at once (they mostly wait for DBOS to start), each in a folder of its own.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orchestrator.changeset.changes import ChangeSet
from orchestrator.changeset.store import save
from orchestrator.changeset.undo import build_undo
from orchestrator.engine import journal, ledger
from orchestrator.engine.state import open_state
from orchestrator.engine.undoable import undoable
from tests.crash.drivers import Drivers
from tests.engine.kit import Site, clock


@dataclass
class Scene:
    """One world with one state."""

    folder: Path
    site: Site
    changes: Path

    @property
    def url(self) -> str:
        return f"sqlite:///{self.folder}/state/state.db"


def scene(folder: Path) -> Scene:
    folder.mkdir(parents=True)
    site = Site(folder)
    changes = site.fleet(["FILE01"])
    path = folder / "cs.json"
    save(changes, path)
    return Scene(folder, site, path)


@pytest.fixture(scope="module")
def drivers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drivers]:
    opened = Drivers(tmp_path_factory.mktemp("drivers"))
    yield opened
    opened.close()


def shape(scene_: Scene) -> Any:
    """What there is, counted in the world: without the ids, tokens and times that differ from run to run."""
    centre = scene_.site.world.read()
    return {
        "networks": sorted(centre.networks),
        "filters": len(centre.filters),
        "files": len([f for f in scene_.site.world.images.iterdir() if f.is_file()]),
        "media": len([f for f in scene_.site.world.media.iterdir() if f.is_file()]),
        "machines": {
            m.name: {
                "power": m.power,
                "snapshots": len(m.snapshots),
                "chains": [len(d.chain) for d in m.disks],
                "networks": [(n.now.network, n.config.network, n.now.link_up) for n in m.nics],
                "macs": len(m.nics),
                "claim": m.claim,
                "medium": m.medium,
            }
            for m in sorted(centre.machines.values(), key=lambda m: m.name)
        },
    }


def assert_recorded(scene_: Scene, run: str) -> None:
    """The journal holds, and everything that is there and not foreign stands in the ledger."""
    state = open_state(scene_.url, clock)
    try:
        assert journal.verify(state, run) == ()
        there = {e.object_id for e in ledger.entries(state, there=True)}
        centre = scene_.site.world.read()
        for machine in centre.machines.values():
            assert {s.id for s in machine.snapshots} <= there
            assert machine.token is None or machine.id in there
    finally:
        state.close()


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


def undo_file(scene_: Scene, run: str) -> Path:
    state = open_state(scene_.url, clock)
    try:
        original, left = undoable(state, run)
        undo: ChangeSet = build_undo(original, run, left, clock(), delete_disks=True)
    finally:
        state.close()
    path = scene_.folder / "undo.json"
    save(undo, path)
    return path


def killed_and_resumed(drivers: Drivers, scene_: Scene, changes: Path, point: int) -> str:
    """Kill at the point, resume in another process; return what went wrong, or ""."""
    first = drivers.call("--state", scene_.url, "--start", changes, "--kill-at", point)
    if first.code != -9:
        return f"it was not killed: {first.text}"
    second = drivers.call("--state", scene_.url, "--resume", first.run)
    if second.code != 0 or second.last["status"] != "done":
        return f"the resume did not end well: {second.text}"
    assert_recorded(scene_, first.run)
    return ""


def problems(points: list[str], wanted: Any, one: Callable[[int], tuple[Scene, str]]) -> list[str]:
    """Try every point, a few at a time; say what went wrong."""

    def at(number: int) -> str:
        scene_, went_wrong = one(number)
        if not went_wrong and (found := shape(scene_)) != wanted:
            went_wrong = f"the world is {found}, not {wanted}"
        return f"{number} ({points[number - 1]}): {went_wrong}" if went_wrong else ""

    with ThreadPoolExecutor(6) as pool:
        return [p for p in pool.map(at, range(1, len(points) + 1)) if p]


@pytest.mark.timeout(600)
def test_a_run_killed_at_any_point_ends_as_an_undisturbed_one(
    drivers: Drivers, calm: Calm, tmp_path: Path
) -> None:
    moments = {p.split()[0] for p in calm.points}
    assert moments == {"begin", "acted", "ended", "before", "intend", "made", "removed"}

    def one(number: int) -> tuple[Scene, str]:
        scene_ = calm.scene(tmp_path / str(number))
        return scene_, killed_and_resumed(drivers, scene_, scene_.changes, number)

    assert problems(calm.points, calm.wanted, one) == []


@pytest.mark.timeout(600)
def test_an_undo_killed_at_any_point_ends_as_an_undisturbed_one(
    drivers: Drivers, calm: Calm, tmp_path: Path
) -> None:
    def one(number: int) -> tuple[Scene, str]:
        scene_ = calm.scene(tmp_path / str(number))
        run = drivers.call("--state", scene_.url, "--start", scene_.changes).run
        return scene_, killed_and_resumed(drivers, scene_, undo_file(scene_, run), number)

    assert problems(calm.undo_points, calm.undo_wanted, one) == []
