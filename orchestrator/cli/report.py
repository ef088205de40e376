"""`ferry report`: the change board's pack, before and after."""

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli import options


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("report")(report)


def report(
    what: Annotated[
        str, typer.Argument(help="A run (or `last`), or a saved change set.", metavar="RUN|CS.json")
    ],
    formats: Annotated[
        str, typer.Option("-f", "--format", help="Comma-separated: html, text, json.")
    ] = "html",
    out: Annotated[Path, typer.Option("-o", "--out", help="The folder to write into.")] = Path("reports"),
    state: options.State = None,
    as_json: options.Json = False,
) -> None:
    """Write the report of a change set (before) or of a run (after)."""
    with options.command(as_json) as output:
        from orchestrator.app import reports
        from orchestrator.report.write import write_report

        view = reports.of(state, what)
        paths = write_report(view, tuple(f.strip() for f in formats.split(",")), out)
        output.document({"written": [str(path) for path in paths]})
        for path in paths:
            output.text(f"written: {path}")
