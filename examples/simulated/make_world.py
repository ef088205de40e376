"""Makes a small simulated data centre, to try ferry without any hypervisor: python make_world.py DIR

The machines are simulated; their disks are the lab's images: ferry reads real NTFS and real registry hives.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "kvm-lab"))

from lab.images import build, image_path

from providers.simulated import World


def main(arguments: list[str]) -> int:
    """Make DIR/world.json with a legacy server, a network, a golden image; 0 done, 2 wrong arguments."""
    if len(arguments) != 1:
        sys.stderr.write("usage: make_world.py DIR\n")
        return 2
    folder = Path(arguments[0]).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    world = World.create(folder / "world.json")
    world.add_machine("file01", disks=[_raw("file01", folder)], running=True)
    world.add_image("win2025-golden", _raw("win2025-golden", folder))
    sys.stdout.write(f"{folder}/world.json\n")
    return 0


def _raw(name: str, folder: Path) -> Path:
    """The simulation reads raw images only."""
    build(name, folder)
    raw = folder / f"{name}.raw"
    subprocess.run(
        ["qemu-img", "convert", "-O", "raw", str(image_path(name, folder)), str(raw)], check=True, timeout=120
    )
    return raw


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
