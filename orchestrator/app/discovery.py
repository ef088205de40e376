"""Searches endpoints for Windows Server 2008 SP2 machines: a little of all, then more of those that count.

Reads only. What is found is for a person to judge; a run confirms it from the snapshot.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from orchestrator.app import planning, states
from orchestrator.app.endpoint_urls import Asked
from orchestrator.contract.provider import Reader
from orchestrator.diagnostics import Diagnostic, InvalidInput
from orchestrator.lifecycle.candidates import Rated, Rating, rate
from orchestrator.model.base import Value
from orchestrator.model.endpoint import EndpointInfo
from orchestrator.model.machine import Listed, Machine
from orchestrator.model.plan import PlanFile
from orchestrator.planfile.discovered import DraftHost, draft_plan
from orchestrator.planfile.draft import check_free

LIKELY = (Rating.CONFIRMED, Rating.CANDIDATE)
WORTH_A_LOOK = (*LIKELY, Rating.DOUBTFUL)


class Found(Value):
    """One machine. `details`: None where none were read, or where it went away meanwhile. `unique`: no
    other machine of its endpoint has its name. `planned`: the host of the given plan file that it is."""

    listed: Listed
    rated: Rated
    details: Machine | None = None
    unique: bool = True
    planned: str = ""


class Searched(Value):
    """One endpoint with all its machines."""

    asked: Asked
    info: EndpointInfo
    found: tuple[Found, ...]

    @property
    def counts(self) -> dict[Rating, int]:
        """How many machines have each rating, in the order of ratings."""
        counted = Counter(one.rated.rating for one in self.found)
        return {rating: counted[rating] for rating in Rating if counted[rating]}


def endpoints_of(plan: PlanFile) -> tuple[Asked, ...]:
    """Return the endpoints of a plan file on which old servers can run."""
    return tuple(Asked(settings=e) for e in plan.endpoints if e.provider != "azure")


def search(
    asked: Sequence[Asked], url: str | None, *, plan: PlanFile | None = None, agents: bool = False
) -> tuple[Searched, ...]:
    """Read and rate all machines of these endpoints; `url` is the state whose evidence counts.

    `agents`: connect as for a run where guest agents cannot be asked otherwise; still only reads are made.
    Raises InvalidInput and ProviderError: what one endpoint cannot tell makes the whole incomplete.
    """
    planned = {(host.endpoint, host.vm): host.name for host in plan.hosts} if plan is not None else {}
    settings = tuple(one.settings for one in asked)
    with states.opened(url) as state, planning.open_readers(settings, to_act=agents) as readers:
        seen = states.MachinesSeen(state)
        return tuple(_search(one, readers[one.settings.name], seen, planned) for one in asked)


def _search(
    asked: Asked, reader: Reader, seen: states.MachinesSeen, planned: Mapping[tuple[str, str], str]
) -> Searched:
    info = reader.inventory.about()
    everything = reader.inventory.listing()
    names = Counter(listed.ref.name for listed in everything)
    chosen = [listed for listed in everything if _within(listed.path, asked.folder)]
    if asked.folder and not chosen:
        summary = f"no machine is at or below {'/'.join(asked.folder)}"
        hint = "write the folder as the inventory shows it, or leave it away"
        raise InvalidInput((Diagnostic("no-folder", summary, hint, path=asked.settings.name),))
    rated = [(listed, rate(listed, seen.stored(info.identity, listed.ref.id))) for listed in chosen]
    wanted = [listed.ref.id for listed, one in rated if one.rating in WORTH_A_LOOK]
    details = {m.ref.id: m for m in reader.inventory.machines(wanted)} if wanted else {}
    found = tuple(
        Found(
            listed=listed,
            rated=one,
            details=details.get(listed.ref.id),
            unique=names[listed.ref.name] == 1,
            planned=_planned(listed, details.get(listed.ref.id), planned),
        )
        for listed, one in rated
    )
    return Searched(asked=asked, info=info, found=found)


def _within(path: str, folder: tuple[str, ...]) -> bool:
    """Tell whether an inventory path leads through a folder."""
    words = tuple(filter(None, path.split("/")))[:-1]
    return any(words[at : at + len(folder)] == folder for at in range(len(words) - len(folder) + 1))


def _planned(listed: Listed, details: Machine | None, planned: Mapping[tuple[str, str], str]) -> str:
    words = (*(details.also if details else ()), listed.path, listed.ref.name, listed.ref.id)
    return next(filter(None, (planned.get((listed.ref.endpoint, word)) for word in words)), "")


def prepare(out: Path | None, *, force: bool) -> None:
    """Refuse a draft that is there already, before everything is read. Raises InvalidInput."""
    if out is not None and not force:
        check_free(out)


def draft(searched: Iterable[Searched], out: Path, *, sealed: bool, force: bool) -> int:
    """Write the plan file of what is likely and not planned yet; return the number of its hosts.

    None: nothing is written. One machine seen through two endpoints counts once. Raises InvalidInput.
    """
    searched = tuple(searched)
    likely: dict[tuple[str, str], Found] = {}
    for place in searched:
        for one in place.found:
            if one.rated.rating in LIKELY and one.details is not None and not one.planned:
                likely.setdefault((place.info.identity, one.listed.ref.id), one)
    if likely:
        settings = [place.asked.settings for place in searched]
        draft_plan(settings, [_host(one) for one in likely.values()], out, sealed=sealed, force=force)
    return len(likely)


def _host(one: Found) -> DraftHost:
    listed, details = one.listed, one.details
    guest = listed.guest or (details.guest if details else None)
    hostname = guest.hostname.partition(".")[0] if guest else ""
    own = [hostname] if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", hostname) else []
    return DraftHost(
        endpoint=listed.ref.endpoint,
        calls=(*own, listed.ref.name),
        vm=(*([listed.ref.name] if one.unique else []), listed.path, listed.ref.id),
        build=one.rated.build,
        arch=one.rated.arch,
        evidence=f"{one.rated.rating}: {'; '.join(one.rated.reasons)}",
    )


def load_plan(path: Path | None, now: datetime) -> PlanFile | None:
    """Read the plan file whose endpoints are searched. Raises InvalidInput."""
    return None if path is None else planning.load(path, now)
