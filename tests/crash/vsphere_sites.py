"""Worlds for crash tests on the vSphere rig: one simulator, one legacy server for each world, counted with
pyvmomi and in the simulator's datastores."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.crash.drivers import Drivers
from tests.crash.worlds import HOST, World, begun
from tests.rigs.vcsim import Vcsim
from tests.rigs.vsphere_site import VsphereSite

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
    def world(self) -> Iterator[World[VsphereSite]]:
        """Make a world; it is removed at the end."""
        prefix = f"fv{next(_numbers)}"
        site = VsphereSite(self.sim, begun(self.folder, prefix, self.state), prefix, self.images)
        try:
            made = World(self.drivers, site, site.legacy(HOST))
            made.preview()
            yield made
        finally:
            site.remove()
