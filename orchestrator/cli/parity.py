"""`ferry parity`: what the old server did that the new one does not do yet. The gate: exit code 4 unless it
passes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from orchestrator.cli import exits, options
from orchestrator.cli.output import Output
from orchestrator.diagnostics import Diagnostic, InvalidInput

if TYPE_CHECKING:
    from orchestrator.parity.result import ParityResult, Progress


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("parity")(parity)


def parity(
    what: Annotated[
        list[str],
        typer.Argument(help="A run (with --host), or two inventories.", metavar="RUN | BEFORE AFTER"),
    ],
    host: Annotated[str | None, typer.Option("--host", help="The host of the run.")] = None,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Take the replacement's inventory again first.")
    ] = False,
    brought: Annotated[
        Path | None,
        typer.Option("--import", help="Take in facts that a person brings from inside the server."),
    ] = None,
    in_guest: Annotated[
        bool, typer.Option("--in-guest", help="Collect facts inside, through the running guest's agent.")
    ] = False,
    target: Annotated[
        bool, typer.Option("--target", help="--import, --in-guest: of the replacement, not of the host.")
    ] = False,
    item: Annotated[
        str | None, typer.Option("--explain", help="Say why one item stands as it does.", metavar="ITEM")
    ] = None,
    profile: Annotated[
        str, typer.Option("--profile", help="For two inventories: how they are judged.")
    ] = "generic",
    rules: Annotated[
        Path | None,
        typer.Option("--rules", help="For two inventories: a folder with a site's own rules.", metavar="DIR"),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="List also what is the same or equivalent.")
    ] = False,
    state: options.State = None,
    as_json: options.Json = False,
) -> None:
    """Compare old and new; exit code 4 unless everything that matters is there, equivalent or waived."""
    with options.command(as_json) as output:
        from orchestrator.app import clock, facts
        from orchestrator.parity.explain import explain
        from orchestrator.parity.result import Verdict

        progress: Progress | None = None
        if rules is not None and len(what) != 2:
            _refuse("rules of a site are for two inventories")
        pack = facts.rules_of(rules)
        if brought is not None or in_guest or target:
            result, progress = _from_inside(output, state, what, host, brought, in_guest, target)
        elif len(what) == 1 and host is not None:
            result, progress = facts.parity_of_run(state, what[0], host, refresh)
        elif len(what) == 2 and host is None:
            result = facts.parity_of_files(Path(what[0]), Path(what[1]), profile, clock.now().date(), pack)
        else:
            _refuse("name a run and a host, or two inventories")
        if item is not None:
            words = explain(result, item, pack)
            output.document({"item": item, "explanation": words})
            output.text(words)
            return
        output.document(
            {
                "parity": result.model_dump(mode="json"),
                "progress": progress.model_dump(mode="json") if progress else None,
            }
        )
        _print(output, result, progress, everything)
        passed = result.verdict in (Verdict.PASS, Verdict.PASS_WITH_WAIVERS)
        options.finish(exits.DONE if passed else exits.GATE)


def _from_inside(
    output: Output,
    state: str | None,
    what: list[str],
    host: str | None,
    brought: Path | None,
    in_guest: bool,
    target: bool,
) -> "tuple[ParityResult, Progress | None]":
    """Take facts in and return how the host stands; ends the command where nothing can be compared yet."""
    from orchestrator.app import imports

    if len(what) != 1 or host is None or (brought is None) is not in_guest:
        hint = "ferry parity RUN --host HOST --import FILE [--target], or --in-guest instead of --import"
        raise InvalidInput((Diagnostic("usage", "name a run, a host, and one source of facts", hint),))
    if brought is not None:
        result, progress = imports.into_run(state, what[0], host, brought, target=target)
    else:
        result, progress = imports.from_guest(state, what[0], host, target=target)
    if result is None:
        output.document({"parity": None, "progress": None})
        output.note("the facts are kept; there is nothing to compare them with yet")
        raise typer.Exit(exits.DONE)
    return result, progress


def _refuse(summary: str) -> NoReturn:
    hint = "ferry parity RUN --host HOST, or ferry parity BEFORE.json AFTER.json [--rules DIR]"
    raise InvalidInput((Diagnostic("usage", summary, hint),))


def _print(output: Output, result: "ParityResult", progress: "Progress | None", everything: bool) -> None:
    from orchestrator.parity.result import State

    quiet = () if everything else (State.SAME, State.EQUIVALENT, State.EXTRA)
    for found in result.items:
        if found.state in quiet:
            continue
        output.text(
            f"{found.state.value:<10} {found.severity.value:<8} {found.item}  {_values(found.old, found.new)}"
        )
        if found.waiver is not None:
            waiver = found.waiver
            output.text(f"           waived until {waiver.expires} by {waiver.owner}: {waiver.reason}")
        elif found.advice:
            output.text(f"           -> {found.advice}")
    for note in result.waiver_notes:
        output.text(f"waiver     {note.text}")
    if progress is not None:
        output.text(
            f"since the last look: {len(progress.closed)} closed, {len(progress.opened)} new, "
            f"{len(progress.still_open)} still open"
        )
        for change in progress.closed:
            output.text(f"  closed: {change.item}")
    counts = ", ".join(f"{result.count(s)} {s.value}" for s in State if result.count(s))
    output.text(
        f"{result.verdict.value.upper()}: {counts}; profile {result.profile}, Windows Server {result.release}"
    )


def _values(old: str, new: str) -> str:
    if not new:
        return old
    return new if not old else f"{old} -> {new}"
