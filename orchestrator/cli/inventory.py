"""`ferry inventory`: what a server is and does, as JSON; with --assess also what decides its way."""

from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli import exits, options
from orchestrator.cli.output import Output
from orchestrator.diagnostics import Diagnostic, InvalidInput

if TYPE_CHECKING:
    from orchestrator.app.assessing import Assessed
    from orchestrator.app.images import Found


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
    brought: Annotated[
        Path | None, typer.Option("--import", help="Read what a collector printed inside a server.")
    ] = None,
    run: Annotated[str | None, typer.Option("--run", help="Show what this run found (or `last`).")] = None,
    target: Annotated[
        bool, typer.Option("--target", help="The run's replacement instead of the old server.")
    ] = False,
    assess: Annotated[
        bool, typer.Option("--assess", help="Say what decides its way: findings, support, who needs it.")
    ] = False,
    on: Annotated[
        datetime | None,
        typer.Option("--on", formats=["%Y-%m-%d"], help="Assess as of this day; default: today."),
    ] = None,
    state: options.State = None,
    as_json: options.Json = False,
) -> None:
    """Print ServerFacts as JSON: of a disk image, of a host as a run found it, or of what a person brings
    from a server (`ferry collector show`). Never logs in anywhere.

    With --assess its assessment in words, with --json both; what has to be decided first is exit code 1.
    """
    with options.command(as_json) as output:
        if [image is None, brought is None, host is None or run is None].count(False) != 1:
            hint = "ferry inventory --image FILE, or --import FILE, or HOST --run RUN"
            raise InvalidInput((Diagnostic("usage", "name one image, file, or host and run", hint),))
        if (assess and target) or (on is not None and not assess):
            hint = "ferry inventory HOST --run RUN --assess [--on DATE]"
            raise InvalidInput((Diagnostic("usage", "only the old server is assessed", hint),))
        named = (run or "", host or "")
        if assess:
            day = on.date() if on is not None else None
            assessed = _assessed(image, image_format, brought, state, *named, day)
            _print_assessed(output, assessed)
            if assessed.assessment.blockers:
                options.finish(exits.FAILED)
        else:
            _print(output, _found(image, image_format, brought, state, *named, target))


def _found(
    image: Path | None,
    image_format: str | None,
    brought: Path | None,
    state: str | None,
    run: str,
    host: str,
    target: bool,
) -> "Found":
    if image is not None:
        from orchestrator.app import images

        return images.of_image(image, image_format)
    from orchestrator.app import facts, imports

    if brought is not None:
        return imports.imported(brought)
    return facts.of_run(state, run, host, target)


def _assessed(
    image: Path | None,
    image_format: str | None,
    brought: Path | None,
    state: str | None,
    run: str,
    host: str,
    on: date | None,
) -> "Assessed":
    from orchestrator.app import assessing

    if brought is not None:
        return assessing.of_import(brought, on)
    if image is not None:
        return assessing.of_image(image, image_format, on)
    return assessing.of_run(state, run, host, on)


def _print(output: Output, found: "Found") -> None:
    output.document(found.facts.model_dump(mode="json"))
    output.text(found.facts.model_dump_json(indent=1))
    _note(output, found)


def _print_assessed(output: Output, assessed: "Assessed") -> None:
    output.document(assessed.document())
    output.text(assessed.text())
    _note(output, assessed.found)


def _note(output: Output, found: "Found") -> None:
    """Say on stderr whether it is the Windows that ferry is for, and what the collector had to say."""
    output.note(
        f"this {'is' if found.verdict.yes else 'is not'} a Windows Server 2008 SP2"
        if found.verdict.yes is not None
        else "which Windows this is cannot be told"
    )
    for reason in (*found.verdict.reasons, *found.facts.warnings):
        output.note(f"  {reason}")
