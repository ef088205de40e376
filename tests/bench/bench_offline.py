"""What a server's facts cost, read from its disk image: ours against `virt-inspector` on the same image.

Ours, two ways: `collect_from_image`, the call as the engine makes it, sandbox and image server included; and
`ferry inventory --image`, the whole command with the interpreter's start. Peer `virt-inspector`
(guestfs-tools): the whole command, on TCG, its appliance built before the clock starts. It tells far less: no
build, services, shares, users, network, tasks, firewall, IIS.

The rows in MiB are the memory of all processes that live at the same time, at its peak: for ours the whole
command, so the parser in the sandbox and qemu-nbd count too.

`smallest` leaves the peer out, which only `make bench` installs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from lab import images

from orchestrator.guest.offline import collect_from_image
from tests.bench.harness import ROOT, document, interleaved, main, row, say, timed
from tests.rigs.peak import Peak

PEER = "virt-inspector"
SERVERS = ("file01", "app02")
_APPLIANCE = ROOT / ".cache" / "appliance"
_SECONDS = 300


def run(smallest: bool) -> dict[str, Any]:
    """Measure each server; `smallest` is one server, once, without the peer."""
    peer = None if smallest else _peer_environment()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in SERVERS[:1] if smallest else SERVERS:
            image = images.build(name, Path(folder))
            say(f"{name}:")
            rows += _rows(name, image, peer, rounds=1 if smallest else 3)
    versions = {"qemu": _version("qemu-img")} | ({} if peer is None else {PEER: _version(PEER)})
    return document("offline", rows, packages=["libfsntfs-python", "pydantic"], **versions)


def _rows(name: str, image: Path, peer: dict[str, str] | None, rounds: int) -> list[dict[str, Any]]:
    ours = [str(Path(sys.executable).with_name("ferry")), "inventory", "--image", str(image), "--json"]
    memory: dict[str, list[float]] = {"ours": [], PEER: []}

    def call() -> float:
        return timed(lambda: collect_from_image(image))

    def whole() -> float:
        return _run(ours, None, memory["ours"])

    def inspector() -> float:
        return _run([PEER, "-a", str(image)], peer, memory[PEER])

    measures = [call, whole]
    if peer is not None:
        measures.append(inspector)
        _run([PEER, "-a", str(image)], peer, [])  # builds the appliance
    found = interleaved(*measures, rounds=rounds)
    seconds, mib, who = (found[2], median(memory[PEER]), PEER) if peer is not None else (None, None, "none")
    return [
        row(f"{name}, collect_from_image", found[0], seconds, who),
        row(f"{name}, ferry inventory --image", found[1], seconds, who),
        row(f"{name}, memory of ferry inventory --image", median(memory["ours"]), mib, who, "MiB"),
    ]


def _run(command: list[str], environment: dict[str, str] | None, memory: list[float]) -> float:
    """Return the seconds of a command; note in `memory` the MiB of it and all below it together."""
    null = subprocess.DEVNULL
    with Peak() as peak:
        seconds = timed(
            lambda: subprocess.run(
                command, env=environment, check=True, stdin=null, stdout=null, stderr=null, timeout=_SECONDS
            )
        )
    memory.append(peak.together)
    return seconds


def _peer_environment() -> dict[str, str]:
    """Return the environment for virt-inspector. SystemExit, saying what to do, where it is not set up."""
    kernels = sorted((ROOT / ".cache" / "kernel" / "boot").glob("vmlinuz-*"))
    if shutil.which(PEER) is None or not kernels or not _APPLIANCE.is_dir():
        sys.exit(f"{PEER} or the kernel for its appliance is missing: run .ci/setup --bench")
    version = kernels[0].name.removeprefix("vmlinuz-")
    wanted = {
        "SUPERMIN_KERNEL": str(kernels[0]),
        "SUPERMIN_MODULES": str(_APPLIANCE / "lib" / "modules" / version),
        "LIBGUESTFS_CACHEDIR": str(_APPLIANCE),
        "LIBGUESTFS_BACKEND": "direct",
        # Not KVM even where /dev/kvm is: in a nested guest QEMU then aborts at the first MSR it may not set.
        "LIBGUESTFS_BACKEND_SETTINGS": "force_tcg",
    }
    return os.environ | wanted


def _version(program: str) -> str:
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.splitlines()[0].removeprefix(f"{program} ").removeprefix("version ")


if __name__ == "__main__":
    main(run)
