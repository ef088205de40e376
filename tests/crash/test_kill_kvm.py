"""kill -9 on real libvirt and QEMU, at every step boundary and inside every mutating step, then a resume.

The real command is killed; resumed, the run ends as an undisturbed one, and nothing is there twice: counted
in libvirt and in the folder of images, never in ferry's own records.
"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.rigs.definitions import comparable
from tests.rigs.ferry_lab import Site
from tests.rigs.libvirtd import PrivateLibvirtd

pytestmark = [pytest.mark.kvm, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
_numbers = itertools.count(1)
AT_ONCE = 2
HOST = "FILE01"


def killed(site: Site, point: int, *words: object) -> tuple[int, list[str]]:
    """Run the command, to be killed at `point` (0: never); return its exit code and the points it passed."""
    counts = site.folder / f"points-{point}-{words[1]}"
    command = [sys.executable, "-m", "tests.crash.command", str(point), str(counts), *map(str, words)]
    done = subprocess.run(
        command, cwd=ROOT, env=site.environment(), capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stdout + done.stderr
    return done.returncode, counts.read_text().splitlines()


@dataclass
class Sites:
    """Makes sites with one running legacy server, and removes them."""

    daemon: PrivateLibvirtd
    folder: Path

    def __call__(self) -> Site:
        prefix = f"fk{next(_numbers)}"
        folder = self.folder / prefix
        folder.mkdir()
        site = Site(self.daemon, folder, prefix)
        site.legacy(HOST)
        return site


@pytest.fixture(scope="module")
def sites(libvirtd: PrivateLibvirtd, tmp_path_factory: pytest.TempPathFactory) -> Sites:
    return Sites(libvirtd, tmp_path_factory.mktemp("kill"))


def shape(site: Site) -> dict[str, Any]:
    """What libvirt shows of a site, without the names that differ from site to site."""
    text = {
        key: [value.replace(site.prefix, "P") for value in values] for key, values in site.census().items()
    }
    del text["claims"]
    claims = [s.usageID() for s in site.open().listAllSecrets() if site.uuid(HOST) in (s.usageID() or "")]
    return text | {"claim": claims}


@dataclass
class Calm:
    """An undisturbed run and its undo."""

    points: list[str]
    wanted: dict[str, Any]
    undo_points: list[str]
    undo_wanted: dict[str, Any]


@pytest.fixture(scope="module")
def calm(sites: Sites) -> Iterator[Calm]:
    site = sites()
    code, points = killed(site, 0, "plan", "apply", site.changes(HOST, target=True), "--json")
    assert code == 0
    wanted = shape(site)
    code, undo_points = killed(site, 0, "plan", "undo", "last", "--delete-disks", "--json")
    assert code == 0
    yield Calm(points, wanted, undo_points, shape(site))
    site.remove()


def chosen(points: list[str]) -> list[int]:
    """Every step boundary; inside each step its first and last effect, and every gap after an intention."""
    found: set[int] = set()
    inside: list[int] = []
    for number, point in enumerate(points, 1):
        moment = point.split()[0]
        if moment in ("begin", "acted", "ended"):
            found |= {number} if moment != "ended" else set()
            found |= {inside[0], inside[-1]} if inside else set()
            inside = []
        else:
            inside.append(number)
            found |= {number} if moment == "intend" else set()
    return sorted(found)


def problems(points: list[str], numbers: list[int], one: Callable[[int], str]) -> list[str]:
    """Try each point, a few at a time; say what went wrong."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        told = pool.map(one, numbers)
        return [f"{n} ({points[n - 1]}): {text}" for n, text in zip(numbers, told, strict=True) if text]


def apply_killed(sites: Sites, calm: Calm, point: int) -> str:
    site = sites()
    try:
        code, _ = killed(site, point, "plan", "apply", site.changes(HOST, target=True), "--json")
        if code != -signal.SIGKILL:
            return "it was not killed"
        record = site.json("run", "resume", "last", expect=None)
        if record.get("status") != "done":
            return f"the resume did not end well: {record}"
        found = shape(site)
        return "" if found == calm.wanted else f"the world is {found}, not {calm.wanted}"
    finally:
        site.remove()


def undo_killed(sites: Sites, calm: Calm, point: int) -> str:
    site = sites()
    try:
        name = f"{site.prefix}-{HOST.lower()}"
        before = comparable(site.xml(name))
        site.ferry("plan", "apply", site.changes(HOST, target=True))
        code, _ = killed(site, point, "plan", "undo", "last", "--delete-disks", "--json")
        if code != -signal.SIGKILL:
            return "it was not killed"
        record = site.json("run", "resume", "last", expect=None)
        if record.get("status") != "done":
            return f"the resume did not end well: {record}"
        if comparable(site.xml(name)) != before:
            return "the definition is not what it was"
        found = shape(site)
        return "" if found == calm.undo_wanted else f"the world is {found}, not {calm.undo_wanted}"
    finally:
        site.remove()


def test_a_run_killed_at_boundaries_and_inside_steps_ends_as_an_undisturbed_one(
    sites: Sites, calm: Calm
) -> None:
    assert {p.split()[0] for p in calm.points} == {
        "begin",
        "acted",
        "ended",
        "before",
        "intend",
        "made",
        "removed",
    }
    assert problems(calm.points, chosen(calm.points), lambda n: apply_killed(sites, calm, n)) == []


def test_an_undo_killed_inside_its_steps_ends_as_an_undisturbed_one(sites: Sites, calm: Calm) -> None:
    inside = [
        n
        for n in chosen(calm.undo_points)
        if calm.undo_points[n - 1].split()[0] in ("before", "intend", "acted")
    ]
    assert problems(calm.undo_points, inside, lambda n: undo_killed(sites, calm, n)) == []


@pytest.mark.soak
def test_a_run_killed_at_any_point_ends_as_an_undisturbed_one(sites: Sites, calm: Calm) -> None:
    rest = [n for n in range(1, len(calm.points) + 1) if n not in chosen(calm.points)]
    assert problems(calm.points, rest, lambda n: apply_killed(sites, calm, n)) == []


def test_a_worker_stopped_past_its_lease_and_taken_over_changes_nothing_more_when_it_wakes(
    sites: Sites,
) -> None:
    site = sites()
    try:
        words = site.command("plan", "apply", site.changes(HOST, target=True), "--json")
        frozen = subprocess.Popen(
            words, env=site.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            until = time.monotonic() + 30
            while not site.snapshots(f"{site.prefix}-{HOST.lower()}"):
                assert time.monotonic() < until, "no snapshot within 30 s"
                time.sleep(0.01)
            os.kill(frozen.pid, signal.SIGSTOP)
            # The other worker waits for the lease to run out (15 s), takes the host over and ends the run.
            record = site.json("run", "resume", "last")
            assert record["status"] == "done"
            after = shape(site)
        finally:
            os.kill(frozen.pid, signal.SIGCONT)
        told, _ = frozen.communicate(timeout=60)
        assert shape(site) == after, told
        assert "Traceback" not in told
    finally:
        site.remove()
