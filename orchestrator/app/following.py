"""Follow a run to its end; Ctrl-C or SIGTERM let the steps under way end and leave it resumable."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from types import FrameType

from orchestrator.engine import api, runs
from orchestrator.engine.bells import Bells
from orchestrator.engine.runtime import Engine
from orchestrator.engine.state import State
from orchestrator.history import RunRecord

Update = Callable[[RunRecord], None]


@contextmanager
def stop_signals() -> Iterator[Event]:
    """Give the event that the first SIGINT or SIGTERM sets; a second one ends the process as ever.

    An exception raised wherever the signal happens to arrive could end in a library's clean-up, unheard, or
    between two of our lines: a run would be left to other workers that the engineer wanted stopped.
    """
    stop, before = Event(), {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        restore()
        stop.set()

    for number in before:
        signal.signal(number, on_signal)
    try:
        yield stop
    finally:
        restore()


def follow(engine: Engine, run: str, update: Update, stop: Event) -> RunRecord:
    """Report progress until the run has ended, or is left resumable because `stop` was set."""
    state = engine.runtime.state
    record = watch(state, run, update, stop, engine.bells)
    if not stop.is_set() or record.status in runs.ENDED:
        return record
    api.interrupt(state, run, engine.runtime.clock())
    engine.destroy()
    record = api.run_record(state, run)
    update(record)
    return record


def watch(
    state: State, run: str, update: Update, stop: Event | None = None, bells: Bells | None = None
) -> RunRecord:
    """Update on every event, but spend no more than a twentieth of the time on it: records of large runs are
    large."""
    quiet_until = 0.0

    def on_event(_: object) -> None:
        nonlocal quiet_until
        begun = time.monotonic()
        if begun >= quiet_until:
            update(api.run_record(state, run))
            ended = time.monotonic()
            quiet_until = ended + 20 * (ended - begun)

    record = api.wait_run(state, run, on_event, stop, bells)
    update(record)
    return record
