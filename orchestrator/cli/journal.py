"""`ferry journal`: prove and export what runs did."""

import json
from typing import Annotated

import typer

from orchestrator.cli import exits, options

NAME = "journal"
app = typer.Typer(
    no_args_is_help=True, help="The append-only record of what runs did.", rich_markup_mode=None
)


@app.command("verify")
def verify(
    run: Annotated[str | None, typer.Argument(help="One run; default: all.", metavar="RUN")] = None,
    state: options.State = None,
    as_json: options.Json = False,
) -> None:
    """Recompute the hash chains. Compare the heads with those printed in reports: a rewritten database
    shows."""
    with options.command(as_json) as output:
        from orchestrator.app import states

        results = states.verify_journal(state, run)
        output.document({"runs": [result.model_dump(mode="json") for result in results]})
        for result in results:
            output.text(
                f"{result.run}: {'intact' if result.intact else 'BROKEN'}, head {result.head or 'none yet'}"
            )
            for problem in result.problems:
                output.text(f"  {problem}")
        options.finish(exits.DONE if all(result.intact for result in results) else exits.FAILED)


@app.command("export")
def export(
    run: Annotated[str | None, typer.Argument(help="One run; default: all.", metavar="RUN")] = None,
    state: options.State = None,
    as_json: options.Json = False,
) -> None:
    """Print the journal, one JSON entry per line (with --json one document)."""
    with options.command(as_json) as output:
        from orchestrator.app import states

        entries = [entry.model_dump(mode="json") for entry in states.export_journal(state, run)]
        output.document({"entries": entries})
        for entry in entries:
            output.text(json.dumps(entry, sort_keys=True))
