"""A killed run that nobody resumes is taken back at once: `ferry plan undo` ends it first.

The real command on the simulated provider, with the lab's disks, so that every step of a run happens.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from lab.images import build, image_path

from providers.simulated import World

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

    def __init__(self, folder: Path, disks: Path) -> None:
        self.folder = folder
        self.world = World.create(folder / "world.json")
        copy = folder / "file01.raw"
        copy.write_bytes((disks / "file01.raw").read_bytes())
        self.world.add_machine("file01", disks=[copy], running=True)
        self.world.add_image("win2025-golden", disks / "win2025-golden.raw")
        template = (ROOT / "plans/templates/contain-simulated.yaml").read_text(encoding="utf-8")
        (folder / "plan.yaml").write_text(template, encoding="utf-8")
        self.ferry("plan", "preview", folder / "plan.yaml", "-o", folder / "cs.json")

    def ferry(self, *words: object, point: int = 0) -> str:
        own = {"FERRY_STATE": f"sqlite:///{self.folder}/state.db", "STAGING_ADMIN": "a-password"}
        command = [
            sys.executable,
            "-m",
            "tests.crash.command",
            str(point),
            str(self.folder / "points"),
            *map(str, words),
        ]
        done = subprocess.run(
            command, cwd=ROOT, env=os.environ | own, capture_output=True, text=True, timeout=100
        )
        assert done.returncode == (-signal.SIGKILL if point else 0), done.stdout + done.stderr
        return done.stdout

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
def calm(disks: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    data = Data(tmp_path_factory.mktemp("calm"), disks)
    data.ferry("plan", "apply", data.folder / "cs.json", "--json")
    return data.points()


@pytest.mark.parametrize("where", POINTS)
def test_an_undo_right_after_a_kill_leaves_nothing_of_the_run(
    where: str, calm: list[str], disks: Path, tmp_path: Path
) -> None:
    data = Data(tmp_path, disks)
    before = data.shape()
    number = next(n for n, point in enumerate(calm, 1) if point.startswith(where))
    data.ferry("plan", "apply", tmp_path / "cs.json", point=number)

    undone = json.loads(data.ferry("plan", "undo", "last", "--delete-disks", "--json"))

    assert undone["status"] == "done"
    assert data.shape() == before
    runs = {r["kind"]: r["status"] for r in json.loads(data.ferry("run", "list", "--json"))["runs"]}
    assert runs == {"apply": "cancelled", "undo": "done"}
