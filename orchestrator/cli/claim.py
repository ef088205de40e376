"""`ferry claim`: see which machines of a plan are held by a run, and break the claim of a dead one."""

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli import options
from orchestrator.cli.plan_files import PlanArgument

NAME = "claim"
app = typer.Typer(no_args_is_help=True, help="Marks on machines: who holds what.", rich_markup_mode=None)


@app.command("list")
def list_claims(plan: PlanArgument, as_json: options.Json = False) -> None:
    """Show the claim on each host of a plan file, as it stands on the machine itself."""
    with options.command(as_json) as output:
        from orchestrator.app import claims, clock

        found = claims.list_claims(Path(plan), clock.now())
        document = [
            {
                "host": host,
                "machine": machine.ref.name,
                "claim": machine.claim.model_dump(mode="json") if machine.claim else None,
            }
            for host, machine in found
        ]
        output.document({"claims": document})
        for host, machine in found:
            claim = machine.claim
            held = (
                "free"
                if claim is None
                else f"held by run {claim.run} of state {claim.state_id} since {claim.since}"
            )
            output.text(f"{host} ({machine.ref.name}): {held}")


@app.command("break")
def break_claim(
    plan: PlanArgument,
    host: Annotated[str, typer.Option("--host", help="The host whose claim is broken.")],
    run: Annotated[str, typer.Option("--run", help="The run that holds it, as `ferry claim list` shows it.")],
    reason: Annotated[str, typer.Option("--reason", help="Why that run is dead; stands in the journal.")],
    state: options.State = None,
    as_json: options.Json = False,
) -> None:
    """Take a dead run's claim off. Be sure that it is dead: a live one stops at its next step, half-way."""
    with options.command(as_json) as output:
        from orchestrator.app import claims, clock

        broken = claims.break_claim(Path(plan), host, run, reason, state, clock.now())
        output.document({"host": host, "broken": broken.model_dump(mode="json")})
        output.text(f"{host}: the claim of run {broken.run} is off; it stands in this state's journal")
