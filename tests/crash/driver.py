"""A worker for crash tests on the simulated provider: carries out or resumes a run, and ends at a chosen
point.

All of the last line of output is JSON, with the points that were passed.
"""

from __future__ import annotations

import argparse
import json
import signal
from pathlib import Path

from orchestrator.app.following import follow, stop_signals
from orchestrator.changeset.store import digest, load
from orchestrator.engine import api
from orchestrator.engine.runtime import Engine
from orchestrator.engine.state import open_state
from tests.crash import points as crash_points
from tests.engine.kit import clock, runtime


def main(arguments: list[str]) -> int:
    """Do as the arguments say; return the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--state", required=True)
    parser.add_argument("--start", type=Path)
    parser.add_argument("--resume")
    parser.add_argument("--work", action="store_true", help="only take work, until SIGTERM")
    crash_points.add_options(parser)
    options = parser.parse_args(arguments)
    if options.work:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    state = open_state(options.state, clock)
    points, changes = crash_points.watch(options, str(state.path) if state.path else None)
    engine_ = Engine(runtime(state, sleep=lambda _: None, **changes))
    # Signals are heard before the run's name is printed: a test sends one as soon as it has read it.
    with stop_signals() as stop, engine_ as engine:
        if options.work:
            print(json.dumps({"executor": engine.executor}), flush=True)
            signal.sigwait({signal.SIGTERM})
            return 0
        if options.start:
            change_set, expected = load(options.start)
            assert digest(change_set) == expected
            run = api.start_run(engine, change_set, expected, now=clock())
        else:
            run = options.resume
            api.resume(engine, run, now=clock())
        print(json.dumps({"run": run}), flush=True)
        record = follow(engine, run, lambda _: None, stop)
    answer = {
        "run": run,
        "status": record.status.value,
        "hosts": {h.host: [h.status.value, h.code] for h in record.hosts},
        "points": points.seen,
    }
    print(json.dumps(answer), flush=True)
    state.close()
    return 0
