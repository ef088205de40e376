"""`ferry run`: look at runs, pause, cancel and continue them, from any process that reaches the state."""

from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli import exits, options
from orchestrator.cli.output import Output

if TYPE_CHECKING:
    from orchestrator.history import RunRecord

NAME = "run"
app = typer.Typer(
    no_args_is_help=True, help="Runs: look at them, pause, cancel, continue.", rich_markup_mode=None
)

RunArgument = Annotated[str, typer.Argument(help="The run's id, or `last`.", metavar="RUN")]


@app.command("list")
def list_runs(state: options.State = None, as_json: options.Json = False) -> None:
    """List the runs of this state, the newest first."""
    with options.command(as_json) as output:
        from orchestrator.app import runs

        records = runs.list_runs(state)
        output.document({"runs": [record.model_dump(mode="json") for record in records]})
        for record in records:
            done = sum(host.status.value == "done" for host in record.hosts)
            what = record.kind if record.undo_of is None else f"{record.kind} of {record.undo_of}"
            hosts = f"{done}/{len(record.hosts)} done"
            output.text(f"{record.run}  {record.status.value:<11}  {hosts}  {what}  {record.name}")
        if not records:
            output.text("no runs yet")


@app.command("show")
def show(run: RunArgument, state: options.State = None, as_json: options.Json = False) -> None:
    """Show a run: every host, every step, with times and messages."""
    with options.command(as_json) as output:
        from orchestrator.app import runs

        print_record(output, runs.record(state, run))


@app.command("watch")
def watch(run: RunArgument, state: options.State = None, as_json: options.Json = False) -> None:
    """Follow a run until it is over; ends with the run's exit code. Ctrl-C stops watching, not the run."""
    with options.command(as_json) as output:
        from orchestrator.app import clock, runs
        from orchestrator.cli.ending import exit_code
        from orchestrator.cli.progress import progress

        with progress(output, clock.now) as view:
            record = runs.watch(state, run, view.update)
        output.document(record.model_dump(mode="json"))
        options.finish(exit_code(record))


@app.command("resume")
def resume(run: RunArgument, state: options.State = None, as_json: options.Json = False) -> None:
    """Continue a run: paused, interrupted, or with hosts that failed. Finished steps are not done again."""
    with options.command(as_json) as output:
        from orchestrator.app import clock, runs
        from orchestrator.cli.progress import progress

        with progress(output, clock.now) as view:
            record = runs.resume(state, run, view.update)
        finish_run(output, record)


@app.command("pause")
def pause(run: RunArgument, state: options.State = None, as_json: options.Json = False) -> None:
    """Let the steps under way end and begin no other, until `ferry run resume`."""
    with options.command(as_json) as output:
        from orchestrator.app import runs

        runs.pause(state, run)
        output.document({"run": run, "asked": "pause"})
        output.text(f"{run}: pauses before the next step of each host")


@app.command("cancel")
def cancel(run: RunArgument, state: options.State = None, as_json: options.Json = False) -> None:
    """End a run at the next step of each host. What was done stays; `ferry plan undo` takes it back."""
    with options.command(as_json) as output:
        from orchestrator.app import runs

        runs.cancel(state, run)
        output.document({"run": run, "asked": "cancel"})
        output.text(
            f"{run}: ends before the next step of each host; `ferry plan undo {run}` takes back what was done"
        )


def print_record(output: Output, record: "RunRecord") -> None:
    """Print a run as a document or as lines."""
    from orchestrator.cli.progress import host_line, seconds, step_line

    output.document(record.model_dump(mode="json"))
    ended = "" if record.ended_at is None else f" in {seconds(record.started_at, record.ended_at)}"
    output.text(f"run {record.run}: {record.name}, {record.kind}, {record.status.value}{ended}")
    output.text(f"digest {record.digest}")
    if record.head:
        output.text(f"journal head {record.head}")
    for host in record.hosts:
        output.text(f"\n[{host.wave}] {host_line(host)}")
        for step in host.steps:
            output.text(f"  {step_line(host.host, step)}")


def finish_run(output: Output, record: "RunRecord") -> None:
    """Say how a run ended, and what can be done next; end with its exit code."""
    from orchestrator.cli.ending import exit_code
    from orchestrator.cli.progress import host_line

    output.document(record.model_dump(mode="json"))
    output.text(f"run {record.run} {record.status.value}; journal head {record.head or 'none yet'}")
    for host in record.hosts:
        if host.status.value != "done":
            output.text(f"  {host_line(host)}")
    code = exit_code(record)
    if code == exits.INTERRUPTED:
        output.text(f"`ferry run resume {record.run}` continues it")
    elif code in (exits.FAILED, exits.UNREACHABLE):
        output.text(
            f"`ferry run resume {record.run}` tries again, `ferry plan undo {record.run}` takes it back"
        )
    options.finish(code)
