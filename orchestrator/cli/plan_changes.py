"""`ferry plan preview`, `show` and `approve`: change sets before they run."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli import exits, options
from orchestrator.cli.output import Output
from orchestrator.cli.plan_files import PlanArgument

if TYPE_CHECKING:
    from orchestrator.report.model import ReportView

ChangeSetArgument = Annotated[Path, typer.Argument(help="A change set saved by preview.", metavar="CS.json")]


def register(group: typer.Typer) -> None:
    """Add the commands to `ferry plan`."""
    group.command("preview")(preview)
    group.command("show")(show)
    group.command("approve")(approve)


def preview(
    plan: PlanArgument,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Save the change set here.")] = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="Write the board's report into this folder.")
    ] = None,
    state: options.State = None,
    as_json: options.Json = False,
) -> None:
    """Read the endpoints, build the change set, print it. Changes nothing: it holds only rights to read."""
    with options.command(as_json) as output:
        from orchestrator.app import clock, planning, reports, states
        from orchestrator.changeset import store
        from orchestrator.report.write import write_report

        with states.opened(state) as opened:
            seen = states.SeenBefore(opened)
            change_set = planning.preview(plan, clock.now(), seen.identity)
            value = store.digest(change_set) if out is None else store.save(change_set, out)
            view = reports.before(change_set, value, seen)
        if report is not None:
            for path in write_report(view, ("html", "text", "json"), report):
                output.note(f"written: {path}")
        _print(output, view, value)
        if out is not None:
            output.note(f"saved: {out}")
        if any(not finding.ok for host in change_set.hosts for finding in host.checks):
            output.note("a check found a hindrance: see CHECKS above", typer.colors.YELLOW)
            options.finish(exits.FAILED)


def show(changes: ChangeSetArgument, as_json: options.Json = False) -> None:
    """Print a saved change set, also one that is stale."""
    with options.command(as_json) as output:
        from orchestrator.app import reports
        from orchestrator.changeset import store

        change_set, value = store.load(changes)
        _print(output, reports.before(change_set, value), value)


def approve(
    changes: ChangeSetArgument,
    name: Annotated[str, typer.Option("--as", help="Who approves.", metavar="NAME")],
    comment: Annotated[str, typer.Option("--comment", help="Kept with the approval.")] = "",
    state: options.State = None,
    as_json: options.Json = False,
) -> None:
    """Record an approval, bound to the digest of the change set. It is not signed."""
    with options.command(as_json) as output:
        from orchestrator.app import clock, states
        from orchestrator.changeset import store

        change_set, value = store.load(changes)
        with states.opened(state) as opened:
            approvals = states.approve(opened, change_set, value, name, comment, clock.now())
        output.document({"digest": value, "approvals": [a.model_dump(mode="json") for a in approvals]})
        output.text(f"{name} approved {change_set.name}, digest {value}")
        output.text(f"{len(approvals)} of {change_set.change.approvals} approvals")


def _print(output: Output, view: "ReportView", value: str) -> None:
    from orchestrator.report.as_json import render_json
    from orchestrator.report.text import render_text

    if output.as_json:
        output.document({"digest": value, "report": json.loads(render_json(view))})
    else:
        output.text(render_text(view))
