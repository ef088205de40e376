"""Worlds for crash tests on a real libvirt, and what is there: counted in libvirt and in the folder of
images, never in ferry's own records."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import libvirt

from tests.crash.drivers import Drivers
from tests.crash.worlds import HOST, World, begun
from tests.rigs.definitions import comparable
from tests.rigs.ferry_lab import Site
from tests.rigs.libvirtd import PrivateLibvirtd

_numbers = itertools.count(1)


@dataclass
class Rounds:
    """Makes worlds: one running legacy server each, and a change set that seals it off and stages its
    replacement."""

    drivers: Drivers
    daemon: PrivateLibvirtd
    folder: Path
    state: Path | None = None
    """A state that has its tables and queues already: beginning from it saves a second each time."""

    @contextmanager
    def world(self) -> Iterator[KvmWorld]:
        """Make a world; it is removed at the end."""
        prefix = f"fk{next(_numbers)}"
        site = Site(self.daemon, begun(self.folder, prefix, self.state), prefix)
        try:
            made = KvmWorld(self.drivers, site, site.legacy(HOST))
            made.definition = comparable(site.xml(made.name))
            made.preview()
            yield made
        finally:
            site.remove()


@dataclass
class KvmWorld(World[Site]):
    """`definition` is what the legacy server's was before everything."""

    definition: str = ""

    def detail(self) -> list[Any]:
        """Everything that any change of a machine, snapshot, network, claim or image would change."""
        connection, mine = self.site.open(), f"{self.site.prefix}-"
        machines = [d for d in connection.listAllDomains() if d.name().startswith(mine)]
        networks = [n for n in connection.listAllNetworks() if n.name().startswith(mine)]
        views = (0, libvirt.VIR_DOMAIN_XML_INACTIVE)
        return [
            sorted(d.XMLDesc(view) for d in machines for view in views),
            sorted(s.getXMLDesc() for d in machines for s in d.listAllSnapshots()),
            sorted(n.XMLDesc() for n in networks),
            sorted(connection.nwfilterLookupByName(name).XMLDesc() for name in self.site.filters()),
            self.site.claims(),
            sorted((p.name, *_stat(p)) for p in self.site.images.rglob("*")),
        ]


def _stat(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns
