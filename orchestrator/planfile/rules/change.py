"""Rules about the change's frame: the window, waivers, places still to fill in, snapshot jobs."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from orchestrator.diagnostics import Diagnostic
from orchestrator.planfile.nodes import Table, Text, problem, walk, warning
from orchestrator.planfile.rules.view import Document, key, table, tables, text, texts
from orchestrator.planfile.values import attempt, parse_date, parse_duration, parse_local_time, parse_timezone
from orchestrator.planfile.wording import quoted, suggest

FILL_IN = "<fill in: "
"""How a draft marks what a person must still write: `<fill in: the golden image's name>`."""

_SNAPSHOT_AGE = timedelta(hours=72)


def window(document: Document) -> Iterator[Diagnostic]:
    """It opens before it closes, has not gone by, and its times exist once on the clocks of its zone."""
    spec = table(document.root, "change", "window")
    opens, closes, zone_name = (text(spec, k) for k in ("opens", "closes", "timezone"))
    first, last = attempt(parse_local_time, opens), attempt(parse_local_time, closes)
    zone = attempt(parse_timezone, zone_name)
    if first and opens and zone:
        yield from _clock(opens, first, ZoneInfo(zone), fold=1)
    if last and closes and zone:
        yield from _clock(closes, last, ZoneInfo(zone), fold=0)
    if first and last and closes and last <= first:
        yield problem(
            closes,
            "window",
            "the window closes before it opens",
            f"write a time after `{first.isoformat(timespec='minutes')}`",
        )
    elif last and closes and last.date() < document.today:
        yield warning(
            closes, "window-past", "the window has gone by", "write a time to come, or apply will be refused"
        )


def _clock(node: Text, local: datetime, zone: ZoneInfo, fold: int) -> Iterator[Diagnostic]:
    """A time that daylight saving leaves out is refused; of one that comes twice we say which is taken."""
    early, late = local.replace(tzinfo=zone, fold=0), local.replace(tzinfo=zone, fold=1)
    try:
        back = early.astimezone(UTC).astimezone(zone).replace(tzinfo=None)
        twice = early.utcoffset() != late.utcoffset()
    except OverflowError:
        yield problem(node, "time", f"{quoted(node)} is out of range", "write a year from 1970 to 9000")
        return
    if back != local:
        summary = f"{quoted(node)} does not exist in {zone.key}: clocks go forward"
        yield problem(node, "no-such-time", summary, f"write `{back.isoformat(timespec='minutes')}`")
    elif twice:
        which = "second" if fold else "first"
        summary = f"{quoted(node)} comes twice in {zone.key}: clocks go back"
        yield warning(
            node, "time-twice", summary, f"the {which} one is taken; write another time to be clear"
        )


def profiles(document: Document) -> Iterator[Diagnostic]:
    """A parity profile is one that there is."""
    parents = [table(document.root, "defaults", "parity"), *(table(h.node, "parity") for h in document.hosts)]
    for parent in parents:
        name = text(parent, "profile")
        if name and document.profiles and name not in document.profiles:
            summary = f"there is no parity profile {quoted(name)}"
            yield problem(name, "unknown-profile", summary, suggest(name, document.profiles))


def waivers(document: Document) -> Iterator[Diagnostic]:
    """None has expired, none stands twice in one list."""
    lists: list[tuple[Table, tuple[str, ...]]] = [(document.root, ("defaults", "parity", "waivers"))]
    lists += [(host.node, ("parity", "waivers")) for host in document.hosts]
    for parent, path in lists:
        seen: dict[str, Text] = {}
        for waiver in tables(parent, *path):
            expires, item = text(waiver, "expires"), text(waiver, "item")
            day = attempt(parse_date, expires)
            if expires and day and day <= document.today:
                hint = "remove it, or have its owner accept it until a later day"
                yield problem(expires, "waiver-expired", f"the waiver has expired on {day.isoformat()}", hint)
            if item and item in seen:
                summary = f"{quoted(item)} is waived a second time, first in line {seen[item].at.line}"
                yield problem(item, "waiver-twice", summary, "keep one of them")
            elif item:
                seen[item] = item


def fill_ins(document: Document) -> Iterator[Diagnostic]:
    """Nothing is left that a draft asked a person for."""
    for _, node in walk(document.root):
        if isinstance(node, Text) and node.startswith(FILL_IN) and node.endswith(">"):
            wanted = node[len(FILL_IN) : -1]
            yield problem(node, "fill-in", f"still to fill in: {wanted}", "write it in place of the mark")


def snapshot_jobs(document: Document) -> Iterator[Diagnostic]:
    """Names are unique, hosts are known, something is kept, not for too long."""
    names = {host.name for host in document.hosts if host.name}
    seen: dict[str, Text] = {}
    for job in tables(document.root, "snapshot_jobs"):
        name = text(job, "name")
        if name and name.casefold() in seen:
            yield problem(name, "job-twice", f"a second job {quoted(name)}", "give it another name")
        elif name:
            seen[name.casefold()] = name
        for host in texts(job, "hosts"):
            if host not in names:
                yield problem(
                    host, "unknown-host", f"host {quoted(host)} is not in this file", suggest(host, names)
                )
        yield from _keep(job)
    if "snapshot_jobs" in document.root:
        at = key(document.root, "snapshot_jobs")
        yield warning(
            at, "not-run", "snapshot jobs are checked but not run by this version", "schedule them elsewhere"
        )


def _keep(job: Table) -> Iterator[Diagnostic]:
    keep = table(job, "keep")
    if keep is None:
        return
    if not {"last", "max_age"} & keep.keys_at.keys():
        yield problem(keep, "keep", "`keep` has no limit", "write `last`, `max_age` or both")
    age = text(keep, "max_age")
    if age and (attempt(parse_duration, age) or timedelta()) > _SNAPSHOT_AGE:
        hint = "72h at most is usual: it is no backup"
        yield warning(age, "snapshot-age", f"{quoted(age)} is long for a snapshot", hint)


RULES = (window, profiles, waivers, fill_ins, snapshot_jobs)
