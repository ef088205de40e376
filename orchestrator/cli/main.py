"""Console script `ferry`: puts the command groups together. Modules that cost time are imported by the
command that needs them."""

import os
import sys
from typing import Annotated

import typer

from orchestrator.cli import (
    claim,
    collector,
    discover,
    doctor,
    host,
    inventory,
    journal,
    parity,
    plan_changes,
    plan_files,
    plan_runs,
    report,
    run,
)

app = typer.Typer(
    name="ferry",
    help="Gets Windows Server 2008 SP2 machines out of danger: snapshot, isolate, replace, compare.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

plan = typer.Typer(no_args_is_help=True, help="Plan files and change sets.", rich_markup_mode=None)
for module in (plan_files, plan_changes, plan_runs):
    module.register(plan)
app.add_typer(plan, name="plan")
for module_with_group in (run, host, claim, journal, collector):
    app.add_typer(module_with_group.app, name=module_with_group.NAME)
for single in (doctor, discover, inventory, parity, report):
    single.register(app)


def _print_version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        typer.echo(f"ferry {version('ferry6003')}")
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line. A bug is reported in one line, with the traceback only on request."""
    try:
        app()
    except Exception as error:
        if "--debug" in sys.argv or _debug():
            raise
        sys.stderr.write(f"ferry: internal error: {type(error).__name__}\n")
        sys.stderr.write("  -> this is a bug in ferry; run again with FERRY_DEBUG=1 for the traceback\n")
        raise SystemExit(1) from None


def _debug() -> bool:
    return bool(os.environ.get("FERRY_DEBUG"))
