"""A killed run that nobody resumes is taken back at once: `ferry plan undo` ends it first.

The real command on the simulated provider, with the lab's disks, so that every step of a run happens.
"""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest
from lab.images import build, image_path

from providers.simulated import World
from tests.crash.drivers import Driver, Drivers

ROOT = Path(__file__).parents[2]
POINTS = ("intend ", "before snapshot", "acted isolate", "before turn")
"""Where it is killed: in the claim, before the snapshot, after isolation, before the target starts."""


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("disks")
    for name in ("file01", "win2025-golden"):
        build(name, folder)
        raw = folder / f"{name}.raw"
        subprocess.run(
            ["qemu-img", "convert", "-O", "raw", image_path(name, folder), raw], check=True, timeout=60
        )
    return folder


class Data:
    """One simulated data centre, a plan for it, and ferry."""

    def __init__(self, folder: Path, disks: Path, drivers: Drivers) -> None:
        self.folder = folder
        self.drivers = drivers
        self.world = World.create(folder / "world.json")
        copy = folder / "file01.raw"
        copy.write_bytes((disks / "file01.raw").read_bytes())
        self.world.add_machine("file01", disks=[copy], running=True)
        self.world.add_image("win2025-golden", disks / "win2025-golden.raw")
        template = (ROOT / "plans/templates/contain-simulated.yaml").read_text(encoding="utf-8")
        (folder / "plan.yaml").write_text(template, encoding="utf-8")
        self.ferry("plan", "preview", folder / "plan.yaml", "-o", folder / "cs.json")

    def ferry(self, *words: object, kill_at: int = 0) -> Driver:
        own = {"FERRY_STATE": f"sqlite:///{self.folder}/state.db", "STAGING_ADMIN": "a-password"}
        options = ("--kill-at", kill_at, "--points", self.folder / "points")
        done = self.drivers.ferry(own, *options, *words)
        assert done.code == (-signal.SIGKILL if kill_at else 0), done.text
        return done

    def points(self) -> list[str]:
        return (self.folder / "points").read_text().splitlines()

    def shape(self) -> tuple[object, ...]:
        centre = self.world.read()
        machines = [
            (m.name, m.claim, len(m.snapshots), m.nics[0].now.network) for m in centre.machines.values()
        ]
        images = len(list(self.world.images.iterdir())) if self.world.images.exists() else 0
        return sorted(centre.networks), machines, images, len(centre.filters)


@pytest.fixture(scope="module")
def calm(drivers: Drivers, disks: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    data = Data(tmp_path_factory.mktemp("calm"), disks, drivers)
    data.ferry("plan", "apply", data.folder / "cs.json", "--json")
    return data.points()


@pytest.mark.parametrize("where", POINTS)
def test_an_undo_right_after_a_kill_leaves_nothing_of_the_run(
    where: str, calm: list[str], drivers: Drivers, disks: Path, tmp_path: Path
) -> None:
    data = Data(tmp_path, disks, drivers)
    before = data.shape()
    number = next(n for n, point in enumerate(calm, 1) if point.startswith(where))
    data.ferry("plan", "apply", tmp_path / "cs.json", kill_at=number)

    undone = data.ferry("plan", "undo", "last", "--delete-disks", "--json").document

    assert undone["status"] == "done"
    assert data.shape() == before
    runs = {r["kind"]: r["status"] for r in data.ferry("run", "list", "--json").document["runs"]}
    assert runs == {"apply": "cancelled", "undo": "done"}
