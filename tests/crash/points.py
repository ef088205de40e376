"""The points at which a crash test ends a process: shared by all programs that a test kills or freezes.

Points are counted from 1 over everything that can be interrupted: each `before`, `intend`, `made`, `removed`
of an effect; of each step, that it was written down as begun, that it has acted, that its end was written
down. `--kill-at N` ends the process there with SIGKILL. `--stop-at N` stops it (SIGSTOP) instead, and at
`before` and `intend` ahead of the lease's check. With neither they are only counted.
"""

from __future__ import annotations

import argparse
import os
import signal
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

from orchestrator.engine import steps
from tests.engine.kit import CountingEffect


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where the process ends, and who learns of it."""
    nowhere = Path(os.devnull)
    parser.add_argument("--kill-at", type=int, default=0)
    parser.add_argument("--stop-at", type=int, default=0)
    parser.add_argument("--marker", type=Path, default=nowhere, help="is written right before the end")
    parser.add_argument("--points", type=Path, default=nowhere, help="gets each point, one a line")
    parser.add_argument("--ttl", type=float, default=15.0)


def watch(options: argparse.Namespace, database: str | None) -> tuple[Points, dict[str, Any]]:
    """Begin to count; return the points and what the engine's runtime must be given. `database` is SQLite's
    file."""
    points = Points(options, database)
    _watch_steps(points)
    ahead = bool(options.stop_at)
    return points, {
        "lease_ttl": options.ttl,
        "wrap_effect": lambda effect: CountingEffect(effect, points.reach, ahead=ahead),
    }


class Points:
    """Counts points over all threads and does the deed at the chosen one."""

    def __init__(self, options: argparse.Namespace, database: str | None) -> None:
        self._database = database
        self._at = options.kill_at or options.stop_at
        self._signal = signal.SIGKILL if options.kill_at else signal.SIGSTOP
        self._marker: Path = options.marker
        self._written: Path = options.points
        self._guard = threading.Lock()
        self.seen: list[str] = []

    def reach(self, moment: str, what: str) -> None:
        """Note that a point is reached, and end here if it is the one."""
        with self._guard:
            self.seen.append(f"{moment} {what}")
            with self._written.open("a") as stream:
                stream.write(self.seen[-1] + "\n")
            hit = len(self.seen) == self._at
            if hit and self._signal == signal.SIGSTOP:
                self._wait_for_no_transaction()
            if hit:
                self._marker.write_text(self.seen[-1])
                os.kill(os.getpid(), self._signal)
                # The signal stops the process by way of another thread: go no further meanwhile.
                time.sleep(0.5)

    def _wait_for_no_transaction(self) -> None:
        """A process that is stopped inside a transaction keeps SQLite's write lock: that is another test's
        matter."""
        while self._database is not None:
            connection = sqlite3.connect(self._database, timeout=0, isolation_level=None)
            try:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")
                return
            except sqlite3.OperationalError:
                time.sleep(0.001)
            finally:
                connection.close()


def _watch_steps(points: Points) -> None:
    begin, act, close = steps._begin, steps._act, steps._close

    def noted_begin(job: Any, attempt: int, position: int, ended: Any) -> Any:
        stopped = begin(job, attempt, position, ended)
        note_end(job, ended)
        if stopped is None:
            points.reach("begin", job.host.steps[position].kind.value)
        return stopped

    def noted_act(job: Any, kind: Any) -> Any:
        outcome = act(job, kind)
        points.reach("acted", kind.value)
        return outcome

    def noted_close(job: Any, attempt: int, number: int, ended: Any, outcome: Any) -> None:
        close(job, attempt, number, ended, outcome)
        note_end(job, ended)

    def note_end(job: Any, ended: Any) -> None:
        if ended is not None:
            points.reach("ended", job.host.steps[ended[0]].kind.value)

    steps._begin, steps._act, steps._close = noted_begin, noted_act, noted_close
