"""Worlds for crash tests, and what is there, counted in the world and not in our records."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.changeset.changes import ChangeSet
from orchestrator.changeset.store import save
from orchestrator.changeset.undo import build_undo
from orchestrator.engine import journal, ledger
from orchestrator.engine.state import open_state
from orchestrator.engine.undoable import undoable
from tests.engine.kit import Site, clock


@dataclass
class Scene:
    """One world with one state."""

    folder: Path
    site: Site
    changes: Path
    database: str = ""
    """A state on PostgreSQL; else it is a file in the folder."""

    @property
    def url(self) -> str:
        return self.database or f"sqlite:///{self.folder}/state/state.db"


def scene(folder: Path) -> Scene:
    folder.mkdir(parents=True)
    site = Site(folder)
    changes = site.fleet(["FILE01"])
    path = folder / "cs.json"
    save(changes, path)
    return Scene(folder, site, path)


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
