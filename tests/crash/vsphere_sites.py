"""Worlds for crash tests on the vSphere rig: one simulator, one legacy server for each world, counted with
pyvmomi and in the simulator's datastores."""

from __future__ import annotations

import itertools
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.crash.drivers import Driver, Drivers
from tests.rigs.vcsim import Vcsim
from tests.rigs.vsphere_site import PASSWORD, VsphereSite

HOST = "FILE01"
APPLY = ("plan", "apply", "cs.json", "--json")
UNDO = ("plan", "undo", "last", "--delete-disks", "--json")
RESUME = ("run", "resume", "last", "--json")
_numbers = itertools.count(1)


@dataclass
class Rounds:
    """Makes worlds: one running legacy server each, and a change set that seals it off and stages its
    replacement."""

    drivers: Drivers
    sim: Vcsim
    folder: Path
    images: Path
    state: Path | None = None
    """A state that has its tables and queues already: beginning from it saves a second each time."""

    @contextmanager
    def world(self) -> Iterator[World]:
        """A new world, removed at the end."""
        prefix = f"fv{next(_numbers)}"
        folder = self.folder / prefix
        folder.mkdir()
        if self.state is not None:
            shutil.copy(self.state, folder / "state.db")
        site = VsphereSite(self.sim, folder, prefix, self.images)
        try:
            made = World(self.drivers, site, site.legacy(HOST))
            made.ferry("plan", "preview", site.plan(HOST, target=True), "-o", "cs.json")
            yield made
        finally:
            site.remove()


@dataclass
class World:
    """One site with its ferry."""

    drivers: Drivers
    site: VsphereSite
    name: str

    def start(self, *words: object) -> Driver:
        """Start ferry in the world's folder; the words may begin with the options of `points`."""
        environment = self.site.environment()
        return self.drivers.start(*words, program="ferry", environment=environment, folder=self.site.folder)

    def ferry(self, *words: object) -> Driver:
        """Run ferry to a good end."""
        done = self.start(*words)
        assert done.wait() == 0, done.text
        assert PASSWORD not in done.text
        assert self.site.sim.password not in done.text
        return done

    def points_of(self, *words: str) -> list[str]:
        """Run ferry undisturbed; return the points that it passed."""
        path = self.site.folder / f"points-{words[1]}"
        assert self.ferry("--points", path, *words).document["status"] == "done"
        return path.read_text().splitlines()

    def killed_and_resumed(self, point: int, *words: str) -> str:
        """Kill ferry at a point and resume it in another process; return what went wrong, or ""."""
        first = self.start("--kill-at", point, *words)
        if first.wait() != -signal.SIGKILL:
            return f"it was not killed: {first.text}"
        second = self.start(*RESUME)
        if second.wait() != 0 or second.document["status"] != "done":
            return f"the resume did not end well: {second.text}"
        assert PASSWORD not in first.text + second.text
        return ""

    def shape(self) -> dict[str, list[str]]:
        """What there is, without the names that differ from world to world."""
        return {
            kind: [thing.replace(self.site.prefix, "P") for thing in things]
            for kind, things in self.site.census().items()
        }
