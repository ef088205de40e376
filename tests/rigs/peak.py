"""Watches how much memory the processes below this one take, while they live.

Sampled: ru_maxrss of children would not do, since a confined child is killed with its parent, unwaited. What
grows and ends between two samples is missed; the sandbox's own limit is what holds it.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

INTERVAL = 0.01
KIB_PER_MIB = 1024


class Peak:
    """The highest resident memory seen, in MiB: of one process, and of all that lived at the same time."""

    def __init__(self) -> None:
        self.one = 0.0
        self.together = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(INTERVAL):
            # A child that has not called exec yet still shows this process's own memory.
            found = [_resident(pid) for pid in _below(os.getpid()) if _command(pid) != _command(os.getpid())]
            self.one = max([self.one, *(peak for peak, _ in found)])
            self.together = max(self.together, sum(now for _, now in found))


def _below(pid: int) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for listing in Path(f"/proc/{pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                for child in map(int, listing.read_text().split()):
                    yield child
                    yield from _below(child)


def _command(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def _resident(pid: int) -> tuple[float, float]:
    """Return (peak, now) in MiB; zeros once the process is gone."""
    found = {"VmHWM": 0.0, "VmRSS": 0.0}
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            name, _, rest = line.partition(":")
            if name in found:
                found[name] = int(rest.split()[0]) / KIB_PER_MIB
    return found["VmHWM"], found["VmRSS"]
