"""Two workers and one host: frozen ones are taken over and change nothing more, dead ones at once, and of two
states one gives way."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.engine import api, journal, runs
from orchestrator.engine.state import open_state
from orchestrator.history import RunStatus
from providers.simulated import FaultKind, FaultRule
from tests.crash.drivers import Driver, Drivers, wake
from tests.crash.scenes import Scene, assert_recorded, scene, shape
from tests.engine.kit import clock, until

TTL = 1.5

URLS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)]


@pytest.fixture
def scene_on(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Scene]:
    """Make a scene with a state on a dialect; PostgreSQL is only started when asked for."""

    def make(dialect: str) -> Scene:
        made = scene(tmp_path / "s")
        if dialect != "sqlite":
            made.database = request.getfixturevalue("server").database()
        return made

    return make


@pytest.fixture(scope="module")
def wanted(drivers: Drivers, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Any]:
    """The points of an undisturbed run, and the world's shape after it."""
    still = scene(tmp_path_factory.mktemp("still") / "s")
    done = drivers.call("--state", still.url, "--start", still.changes)
    return done.last["points"], shape(still)


STOPS = [
    "begin snapshot",
    "before snapshot",
    "made snap",
    "before plug",
    "acted isolate",
    "intend",
    "before turn",
]


@pytest.mark.parametrize("dialect", URLS)
@pytest.mark.parametrize("stop", STOPS)
def test_a_frozen_worker_is_taken_over_and_changes_nothing_when_it_wakes(
    drivers: Drivers,
    wanted: tuple[list[str], Any],
    scene_on: Callable[[str], Scene],
    tmp_path: Path,
    stop: str,
    dialect: str,
) -> None:
    points, shape_wanted = wanted
    at = next(n for n, p in enumerate(points, 1) if p.startswith(stop))
    scene_, marker = scene_on(dialect), tmp_path / "stopped"
    options = ("--state", scene_.url, "--ttl", TTL)
    frozen = drivers.start(*options, "--start", scene_.changes, "--stop-at", at, "--marker", marker)
    until(marker.exists)
    second = drivers.call(*options, "--resume", frozen.run)
    assert second.last["status"] == "done", second.text
    assert shape(scene_) == shape_wanted
    changes = scene_.site.world.log()
    wake(frozen)
    assert frozen.wait() == 0, frozen.text
    assert scene_.site.world.log() == changes
    assert shape(scene_) == shape_wanted
    assert_recorded(scene_, frozen.run)


@pytest.mark.parametrize("dialect", URLS)
def test_a_dead_worker_is_replaced_by_a_live_one_without_being_asked(
    drivers: Drivers,
    wanted: tuple[list[str], Any],
    scene_on: Callable[[str], Scene],
    dialect: str,
) -> None:
    points, shape_wanted = wanted
    scene_ = scene_on(dialect)
    at = points.index("begin isolate") + 1
    dead = drivers.call("--state", scene_.url, "--start", scene_.changes, "--kill-at", at)
    assert dead.code == -signal.SIGKILL
    worker = drivers.start("--state", scene_.url, "--work")
    state = open_state(scene_.url, clock)
    until(lambda: api.run_record(state, dead.run).status is RunStatus.DONE)
    os.kill(worker.pid, signal.SIGTERM)
    assert worker.wait() == 0, worker.text
    entries = [e for _, e in journal.entries(state, dead.run, host="FILE01")]
    begun = Counter(e.data["step"] for e in entries if e.event == "step-started")
    state.close()
    assert shape(scene_) == shape_wanted
    # What was done stays done; the step in flight, and it alone, is carried out again.
    assert begun == dict.fromkeys(begun, 1) | {"isolate": 2}
    assert "preflight" in begun
    assert [e.event for e in entries].count("host-started") == 1


def test_nobody_works_on_a_run_whose_worker_died(
    drivers: Drivers, wanted: tuple[list[str], Any], tmp_path: Path
) -> None:
    scene_ = scene(tmp_path / "s")
    dead = drivers.call("--state", scene_.url, "--start", scene_.changes, "--kill-at", 20)
    state = open_state(scene_.url, clock)
    assert api.run_record(state, dead.run).status is RunStatus.INTERRUPTED
    assert api.wait_run(state, dead.run).status is RunStatus.INTERRUPTED
    state.close()


def test_ctrl_c_leaves_a_resumable_run_that_no_other_worker_goes_on_with(
    drivers: Drivers, wanted: tuple[list[str], Any], tmp_path: Path
) -> None:
    scene_ = scene(tmp_path / "s")
    go_on = tmp_path / "go-on"
    slow = FaultRule(operation="ensure_snapshot", kind=FaultKind.SLOW, until=str(go_on))
    scene_.site.world.add_fault(slow)
    first = drivers.start("--state", scene_.url, "--start", scene_.changes)
    until(lambda: first.out.exists() and first.answers and _step(scene_, first.run) == "snapshot")
    os.kill(first.pid, signal.SIGINT)
    # The step under way ends only when the interruption is noted: a busy machine cannot turn the order round.
    until(lambda: _interrupted(scene_, first.run))
    go_on.touch()
    assert first.wait() == 0, first.text
    assert first.last["status"] == "interrupted"
    steps = [p for p in first.last["points"] if p.startswith("begin")]
    assert steps[-1] == "begin snapshot"
    worker = drivers.start("--state", scene_.url, "--work")
    state = open_state(scene_.url, clock)
    until(lambda: worker.text)
    assert api.run_record(state, first.run).status is RunStatus.INTERRUPTED
    state.close()
    second = drivers.call("--state", scene_.url, "--resume", first.run)
    assert second.last["status"] == "done", second.text
    os.kill(worker.pid, signal.SIGTERM)
    assert worker.wait() == 0, worker.text
    assert shape(scene_) == wanted[1]


def _step(scene_: Scene, run: str) -> str:
    """The step that was begun last."""
    state = open_state(scene_.url, clock)
    try:
        steps = api.run_record(state, run).hosts[0].steps
        return steps[-1].step if steps else ""
    finally:
        state.close()


def _interrupted(scene_: Scene, run: str) -> bool:
    state = open_state(scene_.url, clock)
    try:
        return bool(runs.row(state, run).interrupted)
    finally:
        state.close()


def test_of_two_states_one_runs_and_the_other_is_refused_by_the_claim(
    drivers: Drivers, wanted: tuple[list[str], Any], tmp_path: Path
) -> None:
    scene_ = scene(tmp_path / "s")
    slow = FaultRule(operation="ensure_snapshot", kind=FaultKind.SLOW, seconds=4, machine="file01")
    scene_.site.world.add_fault(slow)
    urls = [scene_.url, f"sqlite:///{tmp_path}/other/state.db"]
    both: list[Driver] = [drivers.start("--state", u, "--start", scene_.changes) for u in urls]
    answers = sorted(json.dumps(d.last["hosts"]["FILE01"]) for d in both if d.wait() == 0)
    assert answers == ['["done", ""]', '["refused", "claimed"]']
    assert shape(scene_) == wanted[1]
