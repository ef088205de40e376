"""Rules about the order of work: waves and dependencies."""

from collections.abc import Iterator

from orchestrator.diagnostics import Diagnostic
from orchestrator.planfile.nodes import Items, Text, problem, warning
from orchestrator.planfile.rules.hosts import repeated
from orchestrator.planfile.rules.view import Document, Host, text, texts
from orchestrator.planfile.wording import nearest, quoted, suggest

DEFAULT_WAVE = "all"
_FEW_WAVES = 50


def waves(document: Document) -> Iterator[Diagnostic]:
    """Where the order of waves is given it is complete, without repetition, and no wave is empty."""
    listed = texts(document.root, "waves")
    for wave, first in repeated((str(wave), wave) for wave in listed):
        yield problem(
            wave, "wave-twice", f"wave {quoted(wave)} stands in line {first.at.line} too", "keep one"
        )
    if "waves" not in document.root.keys_at:
        yield from _alike(document)
    elif isinstance(document.root.get("waves"), Items):
        yield from _complete(document, listed)


def _complete(document: Document, listed: list[Text]) -> Iterator[Diagnostic]:
    used = {_wave(host) for host in document.hosts}
    for wave in dict.fromkeys(listed):
        if str(wave) not in used:
            yield warning(
                wave,
                "wave-empty",
                f"wave {quoted(wave)} has no host",
                "remove it, or correct a host's `wave`",
            )
    for host in document.hosts:
        own = text(host.node, "wave")
        if _wave(host) not in listed and (own or "wave" not in host.node.keys_at):
            summary = f"wave {quoted(_wave(host))} is not in `waves`"
            yield problem(
                own or host.node, "unknown-wave", summary, suggest(_wave(host), listed, none="add it")
            )


def _alike(document: Document) -> Iterator[Diagnostic]:
    """Without a list of waves a misspelt one would quietly become a wave of its own."""
    seen: list[str] = []
    for host in document.hosts:
        wave = text(host.node, "wave")
        if wave is None or wave in seen or len(seen) > _FEW_WAVES:
            continue
        near = nearest(wave, [s for s in seen if s.casefold() == wave.casefold() or _one_letter_off(s, wave)])
        if near:
            summary = f"wave {quoted(wave)} looks like {quoted(near)} above"
            yield warning(wave, "wave-alike", summary, f"write {quoted(near)}, or list both in `waves`")
        seen.append(wave)


def _one_letter_off(one: str, other: str) -> bool:
    """Tell a slip of the pen from numbered names: wave1 and wave2 are not alike, canary and canarry are."""
    if len(one) == len(other):
        differing = [(a, b) for a, b in zip(one, other, strict=True) if a != b]
        return (
            len(differing) == 1 and differing[0][0].isalpha() and differing[0][1].isalpha() and len(one) > 3
        )
    short, long = sorted((one, other), key=len)
    return len(long) == len(short) + 1 and len(short) > 3 and _drops_one_letter(long, short)


def _drops_one_letter(long: str, short: str) -> bool:
    return any(long[i].isalpha() and long[:i] + long[i + 1 :] == short for i in range(len(long)))


def dependencies(document: Document) -> Iterator[Diagnostic]:
    """Hosts depend on hosts of this file, of the same or an earlier wave, and never in a circle."""
    by_name = {host.name: host for host in document.hosts if host.name}
    order = _wave_order(document)
    for host in document.hosts:
        for wanted in texts(host.node, "depends_on"):
            other = by_name.get(wanted)
            if other is None:
                hint = suggest(wanted, by_name.keys() - {host.name})
                yield problem(wanted, "unknown-host", f"host {quoted(wanted)} is not in this file", hint)
            elif order.get(_wave(other), 0) > order.get(_wave(host), 0):
                summary = f"{quoted(wanted)} runs in wave {quoted(_wave(other))}, after {quoted(_wave(host))}"
                yield problem(wanted, "depends-on-later", summary, "move one of them to another wave")
    yield from _circles(by_name)


def _wave(host: Host) -> str:
    return str(text(host.node, "wave") or DEFAULT_WAVE)


def _wave_order(document: Document) -> dict[str, int]:
    listed = [str(wave) for wave in texts(document.root, "waves")] or [_wave(host) for host in document.hosts]
    return {wave: number for number, wave in enumerate(dict.fromkeys(listed))}


def _circles(by_name: dict[str, Host]) -> Iterator[Diagnostic]:
    """Report each circle once, at the entry that closes it. Walks without recursion: chains may be long."""
    done: set[str] = set()
    for start in by_name:
        path = {} if start in done else {start: iter(texts(by_name[start].node, "depends_on"))}
        while path:
            name = next(reversed(path))
            entry = next(path[name], None)
            if entry is None:
                done.add(name)
                del path[name]
            elif entry in path:
                names = list(path)
                circle = " -> ".join([*names[names.index(entry) :], entry])
                yield problem(entry, "circle", f"hosts wait for each other: {circle}", "remove one of these")
            elif entry in by_name and entry not in done:
                path[str(entry)] = iter(texts(by_name[entry].node, "depends_on"))


RULES = (waves, dependencies)
