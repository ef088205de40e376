"""Progress of a run: a live table in a terminal, plain lines elsewhere. Made from run records alone."""

from collections.abc import Callable
from datetime import datetime

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from orchestrator.history import HostRecord, HostStatus, RunRecord, RunStatus, StepRecord, StepStatus
from orchestrator.model.text import printable

Clock = Callable[[], datetime]

_STYLES = {
    HostStatus.WAITING: "dim",
    HostStatus.RUNNING: "cyan",
    HostStatus.DONE: "green",
    HostStatus.FAILED: "bold red",
    HostStatus.REFUSED: "bold red",
    HostStatus.CANCELLED: "yellow",
    HostStatus.SKIPPED: "yellow",
}


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
    """Prints each step once when it ends, and each host once when it is over."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._seen: set[tuple[str, ...]] = set()

    def __enter__(self) -> "PlainProgress":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, record: RunRecord) -> None:
        """Print what is new in `record`."""
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
            self._console.print(Text(printable(line)))


class LiveProgress:
    """A table that is redrawn in place; at the end the last state stays on the screen."""

    def __init__(self, console: Console, clock: Clock) -> None:
        self._clock = clock
        self._record: RunRecord | None = None
        self._live = Live(console=console, refresh_per_second=4, get_renderable=self._render)

    def __enter__(self) -> "LiveProgress":
        self._live.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._live.stop()

    def update(self, record: RunRecord) -> None:
        """Redraw; between updates the elapsed times go on by themselves."""
        self._record = record
        self._live.refresh()

    def _render(self) -> Group:
        if self._record is None:
            return Group()
        now = self._clock()
        return Group(_title(self._record, now), run_table(self._record, now))


def _title(record: RunRecord, now: datetime) -> Text:
    elapsed = seconds(record.started_at, record.ended_at or now)
    return Text(f"run {record.run}  {record.status.value}  {elapsed}", style="bold")


def run_table(record: RunRecord, now: datetime) -> Table:
    """Return the table of hosts: status, step under way, time, message."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("wave", "host", "status", "step", "time", ""):
        table.add_column(column, no_wrap=column != "")
    for host in record.hosts:
        last = host.steps[-1] if host.steps else None
        words = host.message or (last.message if last else "")
        table.add_row(
            Text(printable(host.wave)),
            Text(printable(host.host)),
            Text(host.status.value, style=_STYLES[host.status]),
            Text(f"{last.step} ({len(host.steps)})" if last else ""),
            Text(
                seconds(host.steps[0].started_at, (last.ended_at if last else None) or now)
                if host.steps
                else ""
            ),
            Text(printable(words, 200)),
        )
    return table


def progress(console: Console, clock: Clock) -> PlainProgress | LiveProgress:
    """Return what fits where the output goes."""
    return LiveProgress(console, clock) if console.is_terminal else PlainProgress(console)
