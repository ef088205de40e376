"""Facts from inside a server: brought by a person in a file, or collected through a run's guest agents."""

from collections.abc import Callable
from pathlib import Path

from orchestrator.app import facts, runs, states
from orchestrator.app.images import Found, judged
from orchestrator.diagnostics import FerryError
from orchestrator.engine.inside import collect_inside, take_facts
from orchestrator.engine.runtime import Engine
from orchestrator.model.facts import Origin, ServerFacts
from orchestrator.parity.progress import progress
from orchestrator.parity.result import ParityResult, Progress

Look = tuple[ParityResult | None, Progress | None]


def imported(path: Path) -> Found:
    """Read what a person brings: a collector's output, or an inventory. Raises InvalidInput, FerryError."""
    return judged(_brought(path))


def into_run(url: str | None, name: str, host: str, path: Path, *, target: bool) -> Look:
    """Keep what a person brings as a run's facts of a host, or of its replacement, and compare.

    No comparison where the other side is not known yet. Raises InvalidInput, Refused, FerryError.
    """
    found = _brought(path)
    return _taken(url, name, host, lambda engine, run: take_facts(engine, run, host, found, target=target))


def from_guest(url: str | None, name: str, host: str, *, target: bool) -> Look:
    """Collect in the running host, or in its replacement, through its guest agent; then as `into_run`."""
    return _taken(url, name, host, lambda engine, run: collect_inside(engine, run, host, target=target)[1])


def _brought(path: Path) -> ServerFacts:
    return facts.of_file(path).model_copy(update={"origin": Origin.IMPORTED})


def _taken(url: str | None, name: str, host: str, take: Callable[[Engine, str], ParityResult | None]) -> Look:
    with states.opened(url) as state:
        run = states.run_id(state, name)
        runs.known_host(state, run, host)
        try:
            before = facts.last_look(state, run, host)
        except FerryError:
            before = None
        provider_names = runs.providers_of(state, run)
    with runs.working(url, provider_names) as engine:
        now = take(engine, run)
    return now, progress(before, now) if before is not None and now is not None else None
