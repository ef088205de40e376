"""`ferry discover`: which machines may be a Windows Server 2008 SP2, and a draft of the plan file."""

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli import options
from orchestrator.diagnostics import Diagnostic, InvalidInput

_URLS = (
    "qemu:///system, simulated:///PATH, "
    "vsphere://USER@SERVER/DATACENTER/FOLDER?password_env=VC_PASSWORD&ca_file=PATH."
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("discover")(discover)


def discover(
    urls: Annotated[list[str] | None, typer.Argument(help=_URLS, metavar="URL", show_default=False)] = None,
    plan: Annotated[
        Path | None, typer.Option("--plan", help="Search the endpoints of this plan file.", metavar="PLAN")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Draft a plan file of what is found.", metavar="PLAN")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the draft if it is there.")] = False,
    unplugged: Annotated[
        bool,
        typer.Option("--unplugged", help="Draft `mode: unplugged` instead of a sealed network to be named."),
    ] = False,
    everything: Annotated[bool, typer.Option("--all", help="Show every machine with its verdict.")] = False,
    ask_agents: Annotated[
        bool,
        typer.Option(
            "--ask-agents",
            help="Connect with a run's rights where guest agents answer nobody else (KVM); still only reads.",
        ),
    ] = False,
    state: options.State = None,
    as_json: options.Json = False,
) -> None:
    """Find Windows Server 2008 SP2 machines, with what speaks for and against each; draft a plan file.

    Changes nothing on any endpoint. A guest id is never a verdict: what is not confirmed says so.
    """
    with options.command(as_json) as output:
        from orchestrator.app import clock, discovery, endpoint_urls
        from orchestrator.cli import discovery_text

        known = discovery.load_plan(plan, clock.now())
        asked = discovery.endpoints_of(known) if known is not None else ()
        asked += endpoint_urls.parse_urls(urls or (), taken={one.settings.name for one in asked})
        if not asked:
            raise InvalidInput((Diagnostic("usage", "no endpoint is named", endpoint_urls.FORMS),))
        discovery.prepare(out, force=force)
        found = discovery.search(asked, state, plan=known, agents=ask_agents)
        drafted = discovery.draft(found, out, sealed=not unplugged, force=force) if out is not None else 0
        written = str(out) if drafted else None
        output.document(discovery_text.document(found, everything=everything) | {"draft": written})
        for line in discovery_text.lines(found, everything=everything, asked=ask_agents):
            output.text(line)
        if out is not None and drafted:
            output.text(
                f"{out}: drafted with {drafted} {'hosts' if drafted > 1 else 'host'}; fill in what is marked"
            )
            output.text(f"  -> ferry plan validate {out}")
        elif out is not None:
            output.text(f"{out}: not written, since there is no host for it")
