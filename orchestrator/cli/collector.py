"""`ferry collector`: the scripts that run inside a server, for a security officer to read and a person to
carry."""

import json
from enum import StrEnum
from typing import Annotated

import typer

from orchestrator.cli import options

NAME = "collector"
app = typer.Typer(
    no_args_is_help=True, help="The scripts that collect facts inside a server.", rich_markup_mode=None
)


class Which(StrEnum):
    """The scripts."""

    CSCRIPT = "cscript"
    POWERSHELL = "powershell"


@app.command("show")
def show(
    which: Annotated[
        Which, typer.Argument(help="cscript: for 2008. powershell: for 2022 and 2025.")
    ] = Which.CSCRIPT,
    as_json: options.Json = False,
) -> None:
    """Print a script. It only reads; its output goes to `ferry inventory --import` or `ferry parity RUN
    --host HOST --import`."""
    with options.command(as_json) as output:
        from orchestrator.guest.collectors import Collector, script

        text = script(Collector(which.value))
        output.document({"collector": which.value, "script": text})
        output.verbatim(text)


@app.command("schema")
def schema(as_json: options.Json = False) -> None:
    """Print the JSON Schema of what a collection becomes: ServerFacts."""
    with options.command(as_json) as output:
        from orchestrator.guest.schema import schema_json

        text = schema_json()
        output.document(json.loads(text))
        output.verbatim(text)
