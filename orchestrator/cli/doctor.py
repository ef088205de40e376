"""`ferry doctor`: what is missing, in words, and how to get it."""

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli import exits, options

_MARKS = {"ok": "ok     ", "weak": "weak   ", "missing": "MISSING"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(
    plan: Annotated[
        Path | None, typer.Argument(help="Also ask the endpoints of this plan file.", metavar="PLAN")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Say what is installed, what each endpoint answers and which rights are missing. Changes nothing."""
    with options.command(as_json) as output:
        from orchestrator.app import clock
        from orchestrator.app.doctor import State, examine

        checks = examine(plan, clock.now())
        output.document({"checks": [check.model_dump(mode="json") for check in checks]})
        for check in checks:
            output.text(f"{_MARKS[check.state.value]} {check.name}: {check.detail}")
            if check.hint:
                output.text(f"        -> {check.hint}")
        missing = [check for check in checks if check.state is State.MISSING]
        if any(check.endpoint for check in missing):
            options.finish(exits.UNREACHABLE)
        options.finish(exits.FAILED if missing else exits.DONE)
