"""Options that several commands share, and the frame that turns errors into exit codes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from orchestrator.cli import exits
from orchestrator.cli.output import Output
from orchestrator.diagnostics import FerryError

Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on stdout; everything else on stderr.")
]
State = Annotated[
    str | None,
    typer.Option(
        "--state", envvar="FERRY_STATE", help="State database; default: SQLite in the XDG state folder."
    ),
]


@contextmanager
def command(as_json: bool) -> Iterator[Output]:
    """Give a command its output; an expected failure becomes a message and an exit code."""
    output = Output(as_json)
    try:
        yield output
    except FerryError as error:
        output.failure(error)
        raise typer.Exit(exits.of_error(error)) from None
    except KeyboardInterrupt:
        output.note("interrupted")
        raise typer.Exit(exits.INTERRUPTED) from None


def finish(code: int) -> None:
    """End a command with this code."""
    if code != exits.DONE:
        raise typer.Exit(code)
