"""`ferry plan validate` and `ferry plan import`."""

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli import exits, options
from orchestrator.cli.output import diagnostic_document
from orchestrator.diagnostics import Severity

PlanArgument = Annotated[Path, typer.Argument(help="The plan file.", metavar="PLAN")]


def register(group: typer.Typer) -> None:
    """Add the commands to `ferry plan`."""
    group.command("validate")(validate)
    group.command("import")(import_hosts)


def validate(plan: PlanArgument, as_json: options.Json = False) -> None:
    """Report every problem of a plan file at once, each as file:line:column. Connects to nothing."""
    with options.command(as_json) as output:
        from orchestrator.app import clock, planning

        decoded, problems = planning.check(plan, clock.now())
        output.document(
            {"valid": decoded is not None, "problems": [diagnostic_document(p) for p in problems]}
        )
        for problem in problems:
            mark = "warning: " if problem.severity is Severity.WARNING else ""
            output.text(f"{mark}{problem}")
        if decoded is None:
            output.text(f"{plan}: {len(problems)} problem{'s' if len(problems) != 1 else ''}")
            options.finish(exits.INVALID)
        else:
            output.text(f"{plan}: valid; {len(decoded.hosts)} hosts in {len(decoded.waves)} waves")


def import_hosts(
    hosts: Annotated[
        Path, typer.Argument(help="A spreadsheet saved as CSV, one host per row.", metavar="HOSTS.csv")
    ],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Write the plan file here; default: stdout.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the plan file if it is there.")] = False,
    as_json: options.Json = False,
) -> None:
    """Turn a spreadsheet of hosts into a plan file; bad rows are reported with their line."""
    with options.command(as_json) as output:
        from orchestrator.planfile.importer import import_csv

        text = import_csv(hosts, out, force=force)
        output.document({"plan": text, "out": None if out is None else str(out)})
        output.text(text if out is None else f"{out}: written; check it with `ferry plan validate {out}`")
