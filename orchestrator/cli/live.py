"""A table of a run's hosts that is redrawn in place, for a terminal. Made from run records alone."""

from collections.abc import Callable
from datetime import datetime

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from orchestrator.cli.progress import seconds
from orchestrator.history import HostStatus, RunRecord
from orchestrator.model.text import printable

_STYLES = {
    HostStatus.WAITING: "dim",
    HostStatus.RUNNING: "cyan",
    HostStatus.DONE: "green",
    HostStatus.FAILED: "bold red",
    HostStatus.REFUSED: "bold red",
    HostStatus.CANCELLED: "yellow",
    HostStatus.SKIPPED: "yellow",
}


class LiveProgress:
    """A table that is redrawn in place; at the end the last state stays on the screen."""

    def __init__(self, console: Console, clock: Callable[[], datetime]) -> None:
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


def on_terminal(clock: Callable[[], datetime]) -> LiveProgress:
    """Return the table on stderr."""
    return LiveProgress(Console(highlight=False, markup=False, soft_wrap=True, stderr=True), clock)


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
