"""kill -9 on real libvirt and QEMU, at every step boundary and inside every mutating step, then a resume in a
new process: the run ends as an undisturbed one, and nothing is there twice.

`make test` tries each boundary between two steps, and inside them the places where something could be doubled
or forgotten; the soak tries all the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.crash.drivers import Drivers, wake
from tests.crash.rounds import problems
from tests.crash.sites import KvmWorld, Rounds
from tests.crash.worlds import APPLY, RESUME, UNDO
from tests.engine.kit import until
from tests.rigs.definitions import comparable
from tests.rigs.libvirtd import PrivateLibvirtd

pytestmark = [pytest.mark.kvm, pytest.mark.timeout(900)]

AT_ONCE = 4
TTL = 1.5
OF_STEPS = ("begin", "acted", "ended")


@dataclass
class Calm:
    """An undisturbed run and its undo: their points, and what is there after each."""

    points: list[str]
    wanted: dict[str, list[str]]
    undo_points: list[str]
    undo_wanted: dict[str, list[str]]


@pytest.fixture(scope="module")
def rounds(drivers: Drivers, libvirtd: PrivateLibvirtd, tmp_path_factory: pytest.TempPathFactory) -> Rounds:
    return Rounds(drivers, libvirtd, tmp_path_factory.mktemp("kvm"))


@pytest.fixture(scope="module")
def calm(rounds: Rounds) -> Iterator[Calm]:
    with rounds.world() as world:
        before = world.shape()
        points, wanted = world.points_of(*APPLY), world.shape()
        undo_points, undo_wanted = world.points_of(*UNDO), world.shape()
        assert undo_wanted == before
        assert comparable(world.site.xml(world.name)) == world.definition
        rounds.state = world.site.folder / "state.db"
    return Calm(points, wanted, undo_points, undo_wanted)


def inside(points: list[str]) -> set[int]:
    """Where a kill inside a step leaves the most behind: at its first and its last effect, and between
    noting, making and confirming anything."""
    effects = {n for n, p in enumerate(points, 1) if p.split()[0] not in OF_STEPS}
    edges = {n for n in effects if not {n - 1, n + 1} <= effects}
    return edges | {n for n in effects if points[n - 1].split()[0] in ("intend", "made")}


def between(points: list[str]) -> set[int]:
    """Where a step has acted, and where that is written down."""
    return {n for n, p in enumerate(points, 1) if p.split()[0] in ("acted", "ended")}


def within(points: list[str], step: str) -> range:
    """The points of one step, from its begin to its end."""
    return range(points.index(f"begin {step}") + 1, points.index(f"ended {step}") + 2)


def apply_killed(rounds: Rounds, calm: Calm, point: int) -> str:
    """What went wrong. A run that was killed while it moved cards must still know where they were: it is
    taken back, too."""
    with rounds.world() as world:
        if went_wrong := world.killed_and_resumed(point, *APPLY):
            return went_wrong
        if (found := world.shape()) != calm.wanted:
            return f"the world is {found}, not {calm.wanted}"
        if point not in within(calm.points, "isolate"):
            return ""
        world.ferry(*UNDO)
        return not_back(world, calm)


def undo_killed(rounds: Rounds, calm: Calm, point: int) -> str:
    with rounds.world() as world:
        world.ferry(*APPLY)
        return world.killed_and_resumed(point, *UNDO) or not_back(world, calm)


def not_back(world: KvmWorld, calm: Calm) -> str:
    """What is not as it was before the run, or ""."""
    if comparable(world.site.xml(world.name)) != world.definition:
        return "the definition is not what it was"
    found = world.shape()
    return "" if found == calm.undo_wanted else f"the world is {found}, not {calm.undo_wanted}"


def test_an_undisturbed_run_passes_points_of_every_kind(calm: Calm) -> None:
    moments = {p.split()[0] for p in calm.points}
    assert moments == {*OF_STEPS, "before", "intend", "made", "removed"}
    assert calm.wanted["snapshots"] == ["P-file01: 1", "P-file01n: 0"]
    assert calm.undo_wanted["chains"] == ["P-file01: 1"]


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


@pytest.mark.parametrize("stop", ["before snapshot", "before connect"])
def test_a_worker_stopped_past_its_lease_and_taken_over_changes_nothing_more_when_it_wakes(
    rounds: Rounds, calm: Calm, tmp_path: Path, stop: str
) -> None:
    at = next(n for n, p in enumerate(calm.points, 1) if p.startswith(stop))
    with rounds.world() as world:
        marker = tmp_path / "stopped"
        frozen = world.start("--ttl", TTL, "--stop-at", at, "--marker", marker, *APPLY)
        until(marker.exists)
        assert world.ferry("--ttl", TTL, *RESUME).document["status"] == "done"
        assert world.shape() == calm.wanted
        after = world.detail()
        wake(frozen)
        assert frozen.wait() == 0, frozen.text
        assert world.detail() == after
