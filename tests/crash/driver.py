"""A worker process for crash tests: carries out or resumes a run, and ends itself with SIGKILL at a chosen
point.

Points are counted from 1 over everything that can be interrupted: each `before`, `intend`, `made`, `removed`
of an effect, and each begin and end of a step. `--stop-at N` stops the process (SIGSTOP) there instead, and
at `before` and `intend` ahead of the lease's check. With neither it only counts, and prints the count. All of
the last line of output is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sqlite3
import sys
import threading
import time
from pathlib import Path
from typing import Any

from orchestrator.changeset.store import digest, load
from orchestrator.engine import api, steps
from orchestrator.engine.runtime import Engine
from orchestrator.engine.state import open_state
from tests.engine.kit import CountingEffect, clock, runtime


class Points:
    """Counts points over all threads and does the deed at the chosen one."""

    def __init__(self, kill_at: int, stop_at: int, marker: Path, database: str | None) -> None:
        self._database = database
        self._at = kill_at or stop_at
        self._signal = signal.SIGKILL if kill_at else signal.SIGSTOP
        self._marker = marker
        self._guard = threading.Lock()
        self.seen: list[str] = []

    def reach(self, moment: str, what: str) -> None:
        with self._guard:
            self.seen.append(f"{moment} {what}")
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


def watch_steps(points: Points) -> None:
    begin, end = steps._begin, steps._end

    def noted_begin(job: Any, attempt: int, position: int, step: Any) -> None:
        points.reach("begin", step.kind.value)
        begin(job, attempt, position, step)

    def noted_end(job: Any, attempt: int, position: int, step: Any, outcome: Any) -> None:
        points.reach("acted", step.kind.value)
        end(job, attempt, position, step, outcome)
        points.reach("ended", step.kind.value)

    steps._begin, steps._end = noted_begin, noted_end


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--state", required=True)
    parser.add_argument("--start", type=Path)
    parser.add_argument("--resume")
    parser.add_argument("--work", action="store_true", help="only take work, until SIGTERM")
    parser.add_argument("--kill-at", type=int, default=0)
    parser.add_argument("--stop-at", type=int, default=0)
    parser.add_argument("--marker", type=Path, default=Path(os.devnull))
    parser.add_argument("--ttl", type=float, default=15.0)
    options = parser.parse_args(arguments)
    if options.work:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    state = open_state(options.state, clock)
    database = str(state.path) if state.path else None
    points = Points(options.kill_at, options.stop_at, options.marker, database)
    watch_steps(points)
    made = runtime(
        state,
        sleep=lambda _: None,
        lease_ttl=options.ttl,
        wrap_effect=lambda effect: CountingEffect(effect, points.reach, ahead=bool(options.stop_at)),
    )
    with Engine(made) as engine:
        if options.work:
            print(json.dumps({"executor": engine.executor}), flush=True)
            signal.sigwait({signal.SIGTERM})
            return 0
        if options.start:
            changes, expected = load(options.start)
            assert digest(changes) == expected
            run = api.start_run(engine, changes, expected, now=clock())
        else:
            run = options.resume
            api.resume(engine, run, now=clock())
        print(json.dumps({"run": run}), flush=True)
        try:
            record = api.wait_run(state, run)
        except KeyboardInterrupt:
            api.interrupt(state, run, clock())
            engine.destroy()
            record = api.run_record(state, run)
    answer = {
        "run": run,
        "status": record.status.value,
        "hosts": {h.host: [h.status.value, h.code] for h in record.hosts},
        "points": points.seen,
    }
    print(json.dumps(answer), flush=True)
    state.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
