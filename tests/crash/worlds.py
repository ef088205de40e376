"""A world for crash tests, whatever hypervisor is below it: one site with a legacy server, and ferry as a
process that is ended at a chosen point. What is there the site counts, never ferry's own records."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from tests.crash.drivers import Driver, Drivers

HOST = "FILE01"
APPLY = ("plan", "apply", "cs.json", "--json")
UNDO = ("plan", "undo", "last", "--delete-disks", "--json")
RESUME = ("run", "resume", "last", "--json")


class CountedSite(Protocol):
    """What a world needs of its site."""

    folder: Path
    prefix: str

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no output may hold."""
        ...

    def environment(self) -> Mapping[str, str]:
        """The environment of a ferry process."""
        ...

    def plan(self, *hosts: str, target: bool = False) -> Path:
        """Write a plan for these hosts."""
        ...

    def census(self) -> dict[str, list[str]]:
        """Count everything of this site."""
        ...


S = TypeVar("S", bound=CountedSite)


def begun(parent: Path, prefix: str, state: Path | None) -> Path:
    """Make the folder of a world, with a copy of a state that has its tables already, if there is one."""
    folder = parent / prefix
    folder.mkdir()
    if state is not None:
        shutil.copy(state, folder / "state.db")
    return folder


@dataclass
class World(Generic[S]):
    """One site with its ferry; `name` is the legacy server's."""

    drivers: Drivers
    site: S
    name: str

    def preview(self) -> None:
        """Write the change set that the host is sealed off by, and its replacement staged."""
        self.ferry("plan", "preview", self.site.plan(HOST, target=True), "-o", "cs.json")

    def start(self, *words: object) -> Driver:
        """Start ferry in the world's folder; the words may begin with the options of `points`."""
        environment = self.site.environment()
        return self.drivers.start(*words, program="ferry", environment=environment, folder=self.site.folder)

    def ferry(self, *words: object) -> Driver:
        """Run ferry to a good end."""
        done = self.start(*words)
        assert done.wait() == 0, done.text
        assert not self._leaked(done)
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
        return "".join(self._leaked(driver) for driver in (first, second))

    def shape(self) -> dict[str, list[str]]:
        """What there is, without the names that differ from world to world."""
        return {
            kind: [thing.replace(self.site.prefix, "P") for thing in things]
            for kind, things in self.site.census().items()
        }

    def _leaked(self, driver: Driver) -> str:
        found = any(secret in driver.text for secret in self.site.secrets)
        return f"a secret is in what it printed: {driver.out}" if found else ""
