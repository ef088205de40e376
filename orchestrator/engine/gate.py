"""What the operator has asked for since: looked at before a host begins and between its steps."""

from typing import Any

from orchestrator.engine import runs
from orchestrator.engine.outcome import Outcome, StopWork, failed
from orchestrator.engine.runtime import Engine
from orchestrator.history import HostStatus

GATE_POLL = 0.3


def gate(engine: Engine, run: str) -> Outcome | None:
    """Block while the run is paused. Return an outcome when the host must end here. Raises StopWork on
    shutdown."""
    while True:
        row = runs.row(engine.runtime.state, run)
        if is_open(engine, row):
            return None
        if engine.stopping.is_set():
            message = "this worker is leaving"
            raise StopWork(message)
        if row.cancelled:
            return failed("cancelled", "the run was cancelled", status=HostStatus.CANCELLED)
        engine.stopping.wait(GATE_POLL)


def is_open(engine: Engine, row: Any) -> bool:
    """Tell whether the next step may begin, by the run's row as it is."""
    return not (engine.stopping.is_set() or row.cancelled or row.paused or row.interrupted)
