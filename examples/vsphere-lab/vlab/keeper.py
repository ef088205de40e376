"""Keeps the lab's simulated vCenter running: `python -m vlab.keeper FOLDER`, until SIGTERM.

The simulator ends when the process that started it does, so that no test leaves one behind; a lab has to
stay up between a person's commands, and this process is what it belongs to. What others need to find it
stands in FOLDER/vcenter.json; passwords stand in files of their own that only their owner can read.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import sys
from pathlib import Path

from tests.rigs.vcsim import Vcsim, govc, vcsim
from vlab.places import ADMIN_PASSWORD, IMAGES, PASSWORD, RECORD
from vlab.world import furnish


def main(folder: Path) -> int:
    """Run a simulated vCenter until somebody ends this process."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    site = folder / "site"
    shutil.rmtree(site, ignore_errors=True)
    site.mkdir(parents=True)
    with vcsim(site, hosts=2, portgroups=1, datastores=1) as simulator:
        furnish(simulator, folder / IMAGES)
        _publish(folder, simulator)
        signal.pause()
    return 0


def _publish(folder: Path, simulator: Vcsim) -> None:
    _keep(folder / PASSWORD, simulator.password)
    _keep(folder / ADMIN_PASSWORD, f"{secrets.token_urlsafe(12)}.aB1")
    facts = {
        "pid": os.getpid(),
        "url": simulator.url,
        "server": simulator.server,
        "port": simulator.port,
        "username": simulator.user,
        "ca_file": str(simulator.ca_file),
        "govc": str(govc()),
    }
    fresh = folder / f"{RECORD}.new"
    fresh.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    fresh.replace(folder / RECORD)


def _keep(path: Path, password: str) -> None:
    path.touch(mode=0o600)
    path.write_text(password + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
