"""Runs the Debian programs that the image builder stands on, and says which package holds a missing one."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

PACKAGES = {
    "mkntfs": "ntfs-3g",
    "wimlib-imagex": "wimtools",
    "hivexregedit": "libwin-hivex-perl",
    "qemu-img": "qemu-utils",
}
_SECONDS = 120


class LabError(Exception):
    """Something the person at the lab can mend; the message says what, where and how."""


def _find(program: str) -> str | None:
    # mkntfs lies in /usr/sbin, which an ordinary user's PATH does not hold on Debian.
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    return shutil.which(program, path=path)


def require() -> None:
    """Raise LabError naming every missing program and its Debian package, all in one message."""
    missing = [program for program in PACKAGES if _find(program) is None]
    if missing:
        named = ", ".join(f"{program} (package {PACKAGES[program]})" for program in missing)
        packages = " ".join(sorted({PACKAGES[program] for program in missing}))
        msg = f"cannot build lab images, missing: {named}; install with: apt-get install {packages}"
        raise LabError(msg)


def run(program: str, *args: str | Path) -> None:
    """Run one of PACKAGES' programs; LabError with its own words if it is missing, fails or hangs."""
    executable = _find(program)
    if executable is None:
        require()
        msg = f"{program} is not installed"
        raise LabError(msg)
    command = [executable, *map(str, args)]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=_SECONDS,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )
    except subprocess.TimeoutExpired as slow:
        msg = f"{program} did not end within {_SECONDS} s: {' '.join(command)}"
        raise LabError(msg) from slow
    if done.returncode != 0:
        words = (done.stderr + done.stdout).decode(errors="replace").strip()[-800:]
        msg = f"{program} failed with exit code {done.returncode}: {words}"
        raise LabError(msg)
