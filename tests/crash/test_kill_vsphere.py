"""kill -9, slow tasks and lost replies on the vSphere rig: the run ends as an undisturbed one, and nothing is
there twice: one snapshot, one clone, each card moved once.

`make test` tries each place between two steps, and inside them those where something could be doubled or
forgotten; the soak tries all the rest.
"""

from __future__ import annotations

import itertools
import signal
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from pyVmomi import vim

from tests.crash.drivers import Drivers
from tests.crash.rounds import problems
from tests.crash.vsphere_sites import Rounds
from tests.crash.worlds import APPLY, RESUME, UNDO
from tests.engine.kit import until
from tests.rigs.vcsim import Vcsim, vcsim

pytestmark = pytest.mark.timeout(600)

AT_ONCE = 2
OF_STEPS = ("begin", "acted", "ended")
SLOW = 4000
"""Milliseconds of a slow task: longer than a new process needs to resume."""
MUTATIONS = {
    "CreateSnapshotEx_Task": "CreateSnapshotEx",
    "ReconfigVM_Task": "ReconfigVM",
    "CloneVM_Task": "CloneVM",
    "PowerOnVM_Task": "PowerOn",
}
"""Mutating calls of a run, and the name by which the simulator delays each one's task."""


@dataclass
class Calm:
    """An undisturbed run and its undo: their points, and what is there after each."""

    points: list[str]
    wanted: dict[str, list[str]]
    undo_points: list[str]
    undo_wanted: dict[str, list[str]]


@pytest.fixture(scope="module")
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vcsim]:
    with vcsim(tmp_path_factory.mktemp("vcsim"), hosts=2) as started:
        # Every vCenter gets this field once: here before the rounds, so that all pass the same points.
        fields = started.connect().content.customFieldsManager
        fields.AddCustomFieldDef("ferry-token", vim.Network, None, None)
        yield started


@pytest.fixture(scope="module")
def rounds(drivers: Drivers, sim: Vcsim, tmp_path_factory: pytest.TempPathFactory) -> Rounds:
    images = tmp_path_factory.mktemp("images")
    return Rounds(drivers, sim, tmp_path_factory.mktemp("vsphere"), images)


@pytest.fixture(scope="module")
def calm(rounds: Rounds) -> Calm:
    with rounds.world() as world:
        before = world.shape()
        points, wanted = world.points_of(*APPLY), world.shape()
        undo_points, undo_wanted = world.points_of(*UNDO), world.shape()
        assert undo_wanted == before
        rounds.state = world.site.folder / "state.db"
    return Calm(points, wanted, undo_points, undo_wanted)


@pytest.fixture(autouse=True)
def _calm_again(sim: Vcsim) -> Iterator[None]:
    yield
    sim.control("faults/clear")
    for task in MUTATIONS.values():
        sim.control("task_delay", method=task, ms=0)


def inside(points: list[str]) -> set[int]:
    """Where a kill leaves the most behind: between noting, making and confirming anything, and where a task
    was started that nobody waits for."""
    return {n for n, p in enumerate(points, 1) if p.split()[0] in ("intend", "made", "task")}


def between(points: list[str]) -> set[int]:
    """Where a step has acted, and where that is written down."""
    return {n for n, p in enumerate(points, 1) if p.split()[0] in ("acted", "ended")}


def apply_killed(rounds: Rounds, calm: Calm, point: int) -> str:
    with rounds.world() as world:
        if went_wrong := world.killed_and_resumed(point, *APPLY):
            return went_wrong
        found = world.shape()
        return "" if found == calm.wanted else f"the world is {found}, not {calm.wanted}"


def undo_killed(rounds: Rounds, calm: Calm, point: int) -> str:
    with rounds.world() as world:
        world.ferry(*APPLY)
        if went_wrong := world.killed_and_resumed(point, *UNDO):
            return went_wrong
        found = world.shape()
        return "" if found == calm.undo_wanted else f"the world is {found}, not {calm.undo_wanted}"


def test_an_undisturbed_run_passes_points_of_every_kind(calm: Calm) -> None:
    assert {p.split()[0] for p in calm.points} == {*OF_STEPS, "before", "intend", "made", "removed", "task"}
    assert calm.wanted["snapshots"] == ["P-file01: 1", "P-file01n: 0"]
    assert calm.wanted["networks"] == ["P-q", "P-s"]
    assert calm.undo_wanted["networks"] == []


def test_a_run_killed_between_and_inside_its_steps_ends_as_an_undisturbed_one(
    rounds: Rounds, calm: Calm
) -> None:
    chosen = sorted(between(calm.points) | inside(calm.points))
    assert problems(calm.points, chosen, lambda n: apply_killed(rounds, calm, n), AT_ONCE) == []


def test_an_undo_killed_inside_its_steps_ends_as_an_undisturbed_one(rounds: Rounds, calm: Calm) -> None:
    chosen = sorted(inside(calm.undo_points))
    assert problems(calm.undo_points, chosen, lambda n: undo_killed(rounds, calm, n), AT_ONCE) == []


@pytest.mark.soak
def test_a_run_and_an_undo_killed_at_any_other_point_end_as_undisturbed_ones(
    rounds: Rounds, calm: Calm
) -> None:
    tried = between(calm.points) | inside(calm.points)
    rest = sorted({*range(1, len(calm.points) + 1)} - tried)
    assert problems(calm.points, rest, lambda n: apply_killed(rounds, calm, n), AT_ONCE) == []
    rest = sorted({*range(1, len(calm.undo_points) + 1)} - inside(calm.undo_points))
    assert problems(calm.undo_points, rest, lambda n: undo_killed(rounds, calm, n), AT_ONCE) == []


@pytest.mark.parametrize("method", MUTATIONS)
def test_killed_while_a_slow_task_runs_and_resumed_at_once(
    rounds: Rounds, calm: Calm, sim: Vcsim, method: str
) -> None:
    with rounds.world() as world:
        sim.control("counts/reset")
        sim.control("task_delay", method=MUTATIONS[method], ms=SLOW)
        first = world.start(*APPLY)
        until(lambda: sim.control("counts")["calls"].get(method, 0) > 0, seconds=60)
        first.kill()
        assert first.wait() == -signal.SIGKILL
        sim.control("task_delay", method=MUTATIONS[method], ms=0)
        assert world.ferry(*RESUME).document["status"] == "done"
        assert world.shape() == calm.wanted


def lost_at(
    rounds: Rounds, sim: Vcsim, words: tuple[str, ...], method: str, skip: int
) -> tuple[bool, dict[str, list[str]]]:
    """Lose a reply of the run after its call was carried out; resume where the run did not mend that itself.

    Return whether there was such a call, and what is there.
    """
    with rounds.world() as world:
        if words == UNDO:
            world.ferry(*APPLY)
        sim.control("fault", method=method, kind="reply-lost", skip=skip)
        code = world.start(*words).wait()
        lost = not sim.control("faults")["left"]
        sim.control("faults/clear")
        if code != 0:
            world.ferry(*RESUME)
        return lost, world.shape()


@pytest.mark.parametrize(
    ("words", "method", "skip"),
    [
        (APPLY, "CreateSnapshotEx_Task", 0),
        (APPLY, "ReconfigVM_Task", 1),  # the first is the claim, the second moves the cards
        (APPLY, "CloneVM_Task", 0),
        (UNDO, "RemoveSnapshot_Task", 0),
        (UNDO, "Destroy_Task", 0),
    ],
)
def test_a_reply_lost_after_success_leaves_nothing_twice(
    rounds: Rounds, calm: Calm, sim: Vcsim, words: tuple[str, ...], method: str, skip: int
) -> None:
    lost, found = lost_at(rounds, sim, words, method, skip)
    assert lost
    assert found == (calm.wanted if words == APPLY else calm.undo_wanted)


@pytest.mark.soak
@pytest.mark.parametrize("words", [APPLY, UNDO], ids=["apply", "undo"])
def test_a_reply_lost_after_success_at_any_mutating_call_leaves_nothing_twice(
    rounds: Rounds, calm: Calm, sim: Vcsim, words: tuple[str, ...]
) -> None:
    wanted = calm.wanted if words == APPLY else calm.undo_wanted
    for number in itertools.count():
        lost, found = lost_at(rounds, sim, words, "*", number)
        assert found == wanted, f"after the reply to call {number + 1} was lost"
        if not lost:
            break
    assert number > 6


def test_session_that_ends_in_the_middle_is_opened_again(rounds: Rounds, calm: Calm, sim: Vcsim) -> None:
    with rounds.world() as world:
        sim.control("counts/reset")
        sim.control("task_delay", method="CreateSnapshotEx", ms=1500)
        running = world.start(*APPLY)
        until(lambda: sim.control("counts")["calls"].get("CreateSnapshotEx_Task", 0) > 0, seconds=60)
        sim.control("session/expire")
        assert running.wait() == 0, running.text
        assert world.shape() == calm.wanted
