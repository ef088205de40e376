"""`ferry inventory`: what a server is and does, as JSON."""

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli import options
from orchestrator.diagnostics import Diagnostic, InvalidInput


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("inventory")(inventory)


def inventory(
    host: Annotated[str | None, typer.Argument(help="A host of a run, with --run.", metavar="HOST")] = None,
    image: Annotated[
        Path | None, typer.Option("--image", help="Read a disk image that nobody writes.")
    ] = None,
    image_format: Annotated[
        str | None, typer.Option("--format", help="The image's format; default: told from the file.")
    ] = None,
    run: Annotated[str | None, typer.Option("--run", help="Show what this run found (or `last`).")] = None,
    target: Annotated[
        bool, typer.Option("--target", help="The run's replacement instead of the old server.")
    ] = False,
    state: options.State = None,
    as_json: options.Json = False,
) -> None:
    """Print ServerFacts as JSON: of a disk image, or of a host as a run found it. Never logs in anywhere."""
    with options.command(as_json) as output:
        from orchestrator.app import facts

        if (image is None) == (host is None or run is None):
            hint = "ferry inventory --image FILE, or ferry inventory HOST --run RUN"
            raise InvalidInput((Diagnostic("usage", "name an image, or a host and a run", hint),))
        found = (
            facts.of_image(image, image_format)
            if image is not None
            else facts.of_run(state, run or "", host or "", target)
        )
        if as_json:
            output.document(found.facts.model_dump(mode="json"))
        else:
            output.text(found.facts.model_dump_json(indent=1))
        output.note(
            f"this {'is' if found.verdict.yes else 'is not'} a Windows Server 2008 SP2"
            if found.verdict.yes is not None
            else "which Windows this is cannot be told"
        )
        for reason in (*found.verdict.reasons, *found.facts.warnings):
            output.note(f"  {reason}")
