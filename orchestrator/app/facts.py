"""Inventories and parity: of files, of hosts as a run found them."""

import codecs
from datetime import date
from pathlib import Path

from pydantic import ValidationError

from orchestrator.app import runs, states
from orchestrator.app.images import Found, judged
from orchestrator.diagnostics import Diagnostic, FerryError, InvalidInput
from orchestrator.engine import evidence
from orchestrator.engine.state import State
from orchestrator.engine.upkeep import refresh_parity
from orchestrator.guest.collectors import facts_from_output, is_output
from orchestrator.lifecycle.builds import release_of
from orchestrator.model.facts import ServerFacts
from orchestrator.model.plan import ParitySpec
from orchestrator.parity.compare import compare
from orchestrator.parity.pack import RulePack, load_folder
from orchestrator.parity.progress import progress
from orchestrator.parity.result import ParityResult, Progress

TARGETS = ("2022", "2025")
MAX_BYTES = 64 * 1024 * 1024


def of_run(url: str | None, run: str, host: str, target: bool) -> Found:
    """Return what a run found of a host, or of its target."""
    with states.opened(url) as state:
        return judged(stored(state, states.run_id(state, run), host, target=target))


def stored(state: State, run: str, host: str, *, target: bool) -> ServerFacts:
    """Return the newest facts of a run's host or target. Raises FerryError when there are none."""
    runs.known_host(state, run, host)
    found = evidence.read(state, run, host, "facts-target" if target else "facts-source", ServerFacts)
    if found is None:
        what = "replacement" if target else "host"
        message = f"run {run} has no inventory of the {what} {host}"
        raise FerryError(message, hint="`ferry run show` tells how far the run came", code="no-evidence")
    return found


def of_file(path: Path) -> ServerFacts:
    """Read an inventory that `ferry inventory` printed, or what a collector printed inside a server.

    Raises InvalidInput; FerryError where a collector's output is damaged (code "bad-collection").
    """
    data = _content(path)
    if is_output(data):
        return facts_from_output(data)
    try:
        return ServerFacts.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        summary = f"{path} is no inventory: {where}: {first['msg']}"
        hint = "make one with `ferry inventory`, or in the server with the script of `ferry collector show`"
        raise InvalidInput((Diagnostic("facts", summary, hint),)) from None


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InvalidInput((Diagnostic("facts", f"{path} is larger than 64 MiB", "is it an inventory?"),))
        data = path.read_bytes()
    except OSError as error:
        raise InvalidInput((Diagnostic("facts", f"{path} cannot be read: {error.strerror}"),)) from None
    # PowerShell's own ">" writes UTF-16.
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace").encode("utf-8", "replace")
    return data.removeprefix(codecs.BOM_UTF8)


def parity_of_run(
    url: str | None, name: str, host: str, refresh: bool
) -> tuple[ParityResult, Progress | None]:
    """Return how a run's host stands: the newest look, or with `refresh` a new one, and what moved since
    the look before."""
    with states.opened(url) as state:
        run = states.run_id(state, name)
        before = last_look(state, run, host)
        provider_names = runs.providers_of(state, run)
    if not refresh:
        return before, None
    with runs.working(url, provider_names) as engine:
        now = refresh_parity(engine, run, host)
    return now, progress(before, now)


def last_look(state: State, run: str, host: str) -> ParityResult:
    """Return the newest comparison: of a refresh, else the baseline."""
    runs.known_host(state, run, host)
    for kind in ("refresh", "parity"):
        found = evidence.read(state, run, host, kind, ParityResult)
        if found is not None:
            return found
    message = f"run {run} has no comparison of {host} yet"
    raise FerryError(message, hint="`ferry run show` tells how far the run came", code="no-evidence")


def rules_of(folder: Path | None) -> RulePack | None:
    """Return the rules with those of a site's folder before them; None: only those that ship."""
    return load_folder(folder) if folder else None


def parity_of_files(
    before: Path, after: Path, profile: str, today: date, rules: RulePack | None = None
) -> ParityResult:
    """Compare two inventories; the release is told from the newer one."""
    old, new = of_file(before), of_file(after)
    spec = ParitySpec(profile=profile)
    return compare(old, new, spec, release=_target_release(new), today=today, pack=rules)


def _target_release(facts: ServerFacts) -> int:
    """Return 2022 or 2025 by the build. Raises InvalidInput for another Windows."""
    found = release_of(facts.identity)
    if found is None or found.key not in TARGETS:
        summary = (
            f"the second inventory is of build {facts.identity.build}, not of Windows Server 2022 or 2025"
        )
        raise InvalidInput((Diagnostic("release", summary, "give the old server first, the new one second"),))
    return int(found.key)
