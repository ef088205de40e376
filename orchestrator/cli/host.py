"""`ferry host release`: one host out of isolation."""

from typing import Annotated

import typer

from orchestrator.cli import options
from orchestrator.cli.run import RunArgument, finish_run

NAME = "host"
app = typer.Typer(no_args_is_help=True, help="Single hosts of a run.", rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """Keep `release` a command of its own although it is the only one."""


@app.command("release")
def release(
    run: RunArgument,
    host: Annotated[str, typer.Option("--host", help="The host's name in the plan.")],
    state: options.State = None,
    as_json: options.Json = False,
) -> None:
    """Give one host its network back; snapshot and target stay. After the change window: refused without
    approval."""
    with options.command(as_json) as output:
        from orchestrator.app import clock, runs
        from orchestrator.changeset import store
        from orchestrator.cli.progress import progress

        change_set = runs.undo_of(state, run, clock.now(), hosts=(host,), only_release=True)
        with progress(output, clock.now) as view:
            record = runs.start(state, change_set, store.digest(change_set), view.update)
        finish_run(output, record)
