"""Progress of a run: a live table in a terminal, plain lines elsewhere. Made from run records alone."""

import sys
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Union

from orchestrator.cli.output import Output
from orchestrator.history import HostRecord, HostStatus, RunRecord, RunStatus, StepRecord, StepStatus
from orchestrator.model.text import printable

if TYPE_CHECKING:
    from orchestrator.cli.live import LiveProgress

Clock = Callable[[], datetime]


def seconds(start: datetime, end: datetime) -> str:
    """Return an elapsed time as people read it: "0.4 s", "2 m 05 s"."""
    elapsed = max((end - start).total_seconds(), 0)
    if elapsed < 60:
        return f"{elapsed:.1f} s"
    minutes, rest = divmod(int(elapsed), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} m" if hours else f"{minutes} m {rest:02} s"


def step_line(host: str, step: StepRecord) -> str:
    """Return one finished or begun step as a line."""
    if step.status is StepStatus.RUNNING or step.ended_at is None:
        return f"{step.started_at:%H:%M:%S} {host} {step.step} ..."
    words = "done" if step.status is StepStatus.DONE else "FAILED"
    tail = f": {step.message}" if step.message else ""
    elapsed = seconds(step.started_at, step.ended_at)
    return f"{step.ended_at:%H:%M:%S} {host} {step.step} {words} in {elapsed}{tail}"


def host_line(host: HostRecord) -> str:
    """Return how one host stands, with what to do where it failed."""
    tail = f": {host.message}" if host.message else ""
    hint = f"; {host.hint}" if host.hint else ""
    return f"{host.host} {host.status.value}{tail}{hint}"


class PlainProgress:
    """Says each step once when it ends, and each host once when it is over, in lines."""

    def __init__(self, say: Callable[[str], None]) -> None:
        """`say` prints a line."""
        self._say = say
        self._seen: set[tuple[str, ...]] = set()

    def __enter__(self) -> "PlainProgress":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, record: RunRecord) -> None:
        """Say what is new in `record`."""
        for host in record.hosts:
            for step in host.steps:
                if step.ended_at is not None:
                    self._once(
                        ("step", host.host, step.step, step.ended_at.isoformat()), step_line(host.host, step)
                    )
            if host.status not in (HostStatus.WAITING, HostStatus.RUNNING):
                self._once(("host", host.host, host.status.value, host.message), host_line(host))
        if record.status is RunStatus.PAUSED:
            self._once(("paused",), f"paused; `ferry run resume {record.run}` goes on")

    def _once(self, key: tuple[str, ...], line: str) -> None:
        if key not in self._seen:
            self._seen.add(key)
            self._say(printable(line))


def progress(output: Output, clock: Clock) -> Union[PlainProgress, "LiveProgress"]:
    """Return what fits where stderr goes."""
    if not sys.stderr.isatty():
        return PlainProgress(output.note)
    from orchestrator.cli import live

    return live.on_terminal(clock)
