"""What a discovery found, as lines for people and as the document for programs. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from orchestrator.app.discovery import WORTH_A_LOOK, Found, Searched
from orchestrator.lifecycle.candidates import ON_TRUST, Rating
from orchestrator.model.machine import Disk, Machine, PowerState
from orchestrator.model.text import printable

_HEAD = ("HOST", "WHERE", "POWER", "VERDICT")
_WIDEST = 40
_GIB, _MIB = 1024**3, 1024**2
_SILENT = (Rating.CANDIDATE, Rating.UNKNOWN)


def shown(searched: Iterable[Searched], *, everything: bool) -> list[Found]:
    """Return the machines to list: the most likely first, within one rating as the endpoint lists them."""
    order = list(Rating)
    found = [one for place in searched for one in place.found]
    chosen = [one for one in found if everything or one.rated.rating in WORTH_A_LOOK]
    return sorted(chosen, key=lambda one: order.index(one.rated.rating))


def lines(searched: Sequence[Searched], *, everything: bool, asked: bool) -> Iterator[str]:
    """Give the table: a row for each machine, below it what speaks for and against it, then the counts.

    `asked`: whether every guest agent was asked that there is.
    """
    found = shown(searched, everything=everything)
    rows = [_row(one) for one in found]
    widths = [max(map(len, column)) for column in zip(_HEAD, *rows, strict=True)]
    if rows:
        yield _aligned(_HEAD, widths)
    for one, row in zip(found, rows, strict=True):
        yield _aligned(row, widths)
        yield from (f"    {line}" for line in _below(one))
    if rows:
        yield ""
    for place in searched:
        yield f"{_cut(place.asked.settings.name)} ({printable(place.info.product, 80)}): {_counted(place)}"
    ratings = {one.rated.rating for one in found}
    if not ratings.intersection(WORTH_A_LOOK):
        yield "nothing found that looks like a Windows Server 2008 SP2"
    left_out = sum(len(place.found) for place in searched) - len(found)
    if left_out:
        verb = "is" if left_out == 1 else "are"
        yield f"{left_out} of them {verb} not shown; --all shows every machine with its verdict"
    silent = sum(_silent(one) for place in searched for one in place.found)
    if silent and not asked:
        yield (
            f"{_number(silent, 'running machine')} told nothing from inside; "
            "--ask-agents also asks agents that answer only a connection that may write (KVM)"
        )
    if ratings & {Rating.CANDIDATE, Rating.DOUBTFUL}:
        yield ON_TRUST


def document(searched: Sequence[Searched], *, everything: bool) -> dict[str, Any]:
    """Return the same for programs."""
    return {
        "endpoints": [
            {
                "name": place.asked.settings.name,
                "provider": place.asked.settings.provider,
                "identity": place.info.identity,
                "product": place.info.product,
                "machines": len(place.found),
                "counts": {rating.value: place.counts.get(rating, 0) for rating in Rating},
            }
            for place in searched
        ],
        "machines": [_machine(one) for one in shown(searched, everything=everything)],
        "note": ON_TRUST,
    }


def _machine(one: Found) -> dict[str, Any]:
    listed = one.listed.model_dump(mode="json")
    return {
        "verdict": one.rated.rating.value,
        "reasons": list(one.rated.reasons),
        "build": one.rated.build,
        "arch": one.rated.arch,
        "planned": one.planned,
        "listed": listed,
        "details": one.details.model_dump(mode="json") if one.details else None,
    }


def _row(one: Found) -> tuple[str, ...]:
    listed = one.listed
    where = (
        listed.ref.endpoint
        if listed.path in ("", listed.ref.name)
        else f"{listed.ref.endpoint}: {listed.path}"
    )
    power = "template" if listed.template else listed.power.value
    return _cut(listed.ref.name), _cut(where), power, one.rated.rating.value


def _below(one: Found) -> Iterator[str]:
    yield from one.rated.reasons
    if one.planned:
        yield f"it is host {one.planned} of the plan file"
    if one.details is not None:
        yield _details(one.details)


def _details(machine: Machine) -> str:
    disks = [disk for disk in machine.disks if not disk.cdrom]
    networks = dict.fromkeys(nic.network for nic in machine.nics)
    foreign = sum(1 for snapshot in machine.snapshots if snapshot.token is None)
    parts = [
        f"{_number(len(disks), 'disk')} of {_size(disks)}",
        _number(len(machine.nics), "network card") + (f" on {', '.join(networks)}" if networks else ""),
        machine.firmware.value,
    ]
    parts += [_number(len(machine.snapshots), "snapshot") + f", {foreign} not of ferry"] * bool(
        machine.snapshots
    )
    parts += [f"claimed by run {machine.claim.run}"] if machine.claim else []
    return "; ".join([*parts, *machine.busy])


def _size(disks: Sequence[Disk]) -> str:
    sizes = [disk.size_bytes for disk in disks if disk.size_bytes is not None]
    if len(sizes) < len(disks):
        return "unknown size"
    return f"{sum(sizes) / _GIB:.1f} GiB" if sum(sizes) >= _GIB else f"{sum(sizes) // _MIB} MiB"


def _counted(place: Searched) -> str:
    counts = ", ".join(_rated(count, rating) for rating, count in place.counts.items())
    return f"{_number(len(place.found), 'machine')}{': ' if counts else ''}{counts}"


def _rated(count: int, rating: Rating) -> str:
    return _number(count, rating.value) if rating in (Rating.CANDIDATE, Rating.OTHER) else f"{count} {rating}"


def _silent(one: Found) -> bool:
    told = one.listed.guest or (one.details.guest if one.details else None)
    return one.listed.power is PowerState.ON and told is None and one.rated.rating in _SILENT


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _cut(text: str) -> str:
    """Foreign text in a column: harmless before it is measured."""
    return printable(printable(text, _WIDEST), _WIDEST)
