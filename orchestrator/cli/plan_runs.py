"""`ferry plan apply` and `ferry plan undo`: change sets that run."""

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli import options
from orchestrator.cli.run import RunArgument, finish_run


def register(group: typer.Typer) -> None:
    """Add the commands to `ferry plan`."""
    group.command("apply")(apply)
    group.command("undo")(undo)


def apply(
    what: Annotated[
        Path, typer.Argument(help="A change set, or with --yes a plan file.", metavar="CS.json|PLAN")
    ],
    yes: Annotated[
        bool,
        typer.Option("--yes", help="PLAN: preview and apply in one go; refused where it asks for approvals."),
    ] = False,
    state: options.State = None,
    as_json: options.Json = False,
) -> None:
    """Carry a change set out: exactly that, or a refusal that names the difference. Ctrl-C leaves it
    resumable."""
    with options.command(as_json) as output:
        from orchestrator.app import clock, runs
        from orchestrator.cli.progress import progress

        change_set, digest = runs.to_apply(what, yes, state, clock.now())
        with progress(output, clock.now) as view:
            record = runs.start(state, change_set, digest, view.update)
        finish_run(output, record)


def undo(
    run: RunArgument,
    hosts: Annotated[list[str] | None, typer.Option("--host", help="Only this host; repeatable.")] = None,
    destroy_targets: Annotated[
        bool,
        typer.Option("--destroy-targets", help="Remove targets also if they were changed since staging."),
    ] = False,
    delete_disks: Annotated[
        bool, typer.Option("--delete-disks", help="Delete the targets' disks, too.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="Only save the undo as a change set, to be approved and applied."),
    ] = None,
    state: options.State = None,
    as_json: options.Json = False,
) -> None:
    """Take a run back in reverse order: its targets, isolation, snapshots. Writes made meanwhile are kept.

    Outside the change window, giving a server its network back needs an approval: save with -o, approve,
    apply.
    """
    with options.command(as_json) as output:
        from orchestrator.app import clock, runs
        from orchestrator.changeset import store
        from orchestrator.cli.progress import progress

        change_set = runs.undo_of(
            state,
            run,
            clock.now(),
            hosts=tuple(hosts or ()),
            destroy_targets=destroy_targets,
            delete_disks=delete_disks,
        )
        if out is not None:
            digest = store.save(change_set, out)
            output.document({"digest": digest, "out": str(out)})
            output.text(f"saved: {out}, digest {digest}")
            return
        with progress(output, clock.now) as view:
            record = runs.start(state, change_set, store.digest(change_set), view.update)
        finish_run(output, record)
