"""Puts a command under limits and out of reach of files and network.

Must not know what the command is for.

Two levels. FULL: bubblewrap namespaces (no network, no files but /usr and what is named, read-only) and
resource limits. LIMITS: resource limits and a parent-death signal only, where the machine forbids
namespaces; `sandbox_status` says so.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from orchestrator.diagnostics import FerryError
from orchestrator.model.text import printable

MIB = 1024 * 1024
_SYSTEM = ("/lib", "/lib32", "/lib64", "/bin", "/sbin")
_ENVIRONMENT = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C.UTF-8", "MALLOC_ARENA_MAX": "2"}


class SandboxLevel(StrEnum):
    """How well a child is shut in."""

    FULL = "full"
    LIMITS = "limits"


@dataclass(frozen=True, slots=True)
class SandboxStatus:
    """What this machine can do, and why not more."""

    level: SandboxLevel
    reason: str

    def __str__(self) -> str:
        return f"{self.level.value}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes and seconds.

    `cpu` None is for servers that live as long as their user; `output` caps what the parent takes back.
    """

    memory: int = 1024 * MIB
    cpu: int | None = 120
    wall: float = 180.0
    files: int = 64
    file_size: int = 0
    output: int = 64 * MIB


@lru_cache(maxsize=1)
def sandbox_status() -> SandboxStatus:
    """Try the namespaces once and say what is possible here."""
    if not shutil.which("bwrap"):
        return SandboxStatus(SandboxLevel.LIMITS, "bwrap is not installed (apt install bubblewrap)")
    probe = subprocess.run(
        [*_namespaces(any_owner=False), "/usr/bin/env", "true"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=20,
        check=False,
    )
    if probe.returncode:
        why = "bwrap cannot make namespaces here (user namespaces are off, or a container forbids them)"
        return SandboxStatus(SandboxLevel.LIMITS, why)
    return SandboxStatus(SandboxLevel.FULL, "namespaces by bwrap, no network, limits by prlimit")


def confined(
    command: Sequence[str],
    limits: Limits,
    *,
    read: Sequence[Path] = (),
    write: Sequence[Path] = (),
    any_owner: bool = False,
) -> list[str]:
    """Return `command` wrapped for this machine; it dies with the thread that starts it.

    `read` and `write` are folders or files that stay visible, at their own paths. `any_owner`: root keeps the
    right to files of other users, since a hypervisor's images belong to its own user.
    """
    caps = [
        f"--as={limits.memory}",
        f"--nofile={limits.files}",
        f"--fsize={limits.file_size}",
        "--core=0",
        *([f"--cpu={limits.cpu}"] if limits.cpu is not None else []),
    ]
    if sandbox_status().level is SandboxLevel.LIMITS:
        clean = ["env", "-i", *(f"{key}={value}" for key, value in _ENVIRONMENT.items())]
        return [
            "prlimit",
            *caps,
            "--",
            "setpriv",
            "--pdeathsig",
            "KILL",
            "--no-new-privs",
            "--",
            *clean,
            *command,
        ]
    binds = [
        *(arg for path in read for arg in ("--ro-bind-try", str(path), str(path))),
        *(arg for path in write for arg in ("--bind", str(path), str(path))),
    ]
    return ["prlimit", *caps, "--", *_namespaces(any_owner=any_owner), *binds, "--chdir", "/", "--", *command]


def _namespaces(*, any_owner: bool) -> list[str]:
    apart = ["--unshare-all"]
    if os.geteuid() == 0:
        # Root needs no user namespace, and inside one it could not read images that belong to the
        # hypervisor's user. No capability is left but, where asked for, the one to open such files; not
        # CAP_DAC_READ_SEARCH, which would open files by handle, past the mounts. There is no /proc, whose
        # settings root could change.
        apart = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
        apart += ["--cap-drop", "ALL", *(["--cap-add", "CAP_DAC_OVERRIDE"] if any_owner else [])]
    system = ["--ro-bind", "/usr", "/usr"]
    for name in _SYSTEM:
        path = Path(name)
        if path.is_symlink():
            system += ["--symlink", str(path.readlink()), name]
        elif path.is_dir():
            system += ["--ro-bind", name, name]
    environment = [arg for key, value in _ENVIRONMENT.items() for arg in ("--setenv", key, value)]
    shut = ["--die-with-parent", "--new-session", "--clearenv"]
    return ["bwrap", *apart, *shut, *system, "--dev", "/dev", *environment]


def run_tool(
    command: Sequence[str], limits: Limits, *, read: Sequence[Path] = (), any_owner: bool = False
) -> bytes:
    """Run a confined command and return its stdout.

    Raises FerryError: missing, failed, too slow, too much output.

    The message of a failure holds the tool's last words, cleaned and cut: they may quote a hostile image.
    """
    tool = command[0]
    if not shutil.which(tool):
        message = f"{tool} is not installed"
        raise FerryError(message, hint="see `ferry doctor`", code="tool-missing")
    # A file rather than a pipe: the size limit then ends a tool that floods us.
    wrapped = confined(command, replace(limits, file_size=limits.output), read=read, any_owner=any_owner)
    with TemporaryFile() as out, TemporaryFile() as err:
        try:
            done = subprocess.run(
                wrapped, stdin=subprocess.DEVNULL, stdout=out, stderr=err, timeout=limits.wall, check=False
            )
        except subprocess.TimeoutExpired as late:
            message = f"{tool} did not end within {limits.wall:.0f} seconds"
            raise FerryError(message, code="tool-timeout") from late
        if done.returncode:
            message = f"{tool} failed: {last_words(err) or f'exit code {done.returncode}'}"
            raise FerryError(message, code="tool-failed")
        out.seek(0)
        return out.read()


def last_words(stream: IO[bytes]) -> str:
    """Return the last line of a tool's stderr, fit to be shown."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - 4096))
    return last_line(stream.read())


def last_line(said: bytes) -> str:
    """Return the last line of `said`, fit to be shown."""
    lines = said.decode("utf-8", "replace").strip().splitlines()
    return printable(lines[-1], 300) if lines else ""
