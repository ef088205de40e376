"""ServerFacts as a flat mapping of items with simple values: what two servers are compared by.

An item's id is "kind:name" in the server's own spelling; its key is the same in the form that Windows
compares. Nothing is judged here, and an unknown section gives no items: ask `unknown_sections`.
"""

from collections.abc import Iterator, Mapping

from orchestrator.model.facts import ServerFacts
from orchestrator.parity.item import SECTIONS, SETS, Item, Items, listed, parts
from orchestrator.parity.kinds.machine import machine
from orchestrator.parity.kinds.net import net
from orchestrator.parity.kinds.people import people
from orchestrator.parity.kinds.running import running
from orchestrator.parity.kinds.web import web
from orchestrator.parity.names import product_name, version_numbers, windows_key
from orchestrator.parity.vocabulary import Vocabulary, naming

_INSIDE = {"hosts": "network", "routes": "network"}
"""Sections that are a part of another one in the facts."""
_HIGHEST = frozenset({"version", "size", "used"})
"""Values of which the highest counts where there are several; of all others each counts."""


def items_of(facts: ServerFacts, vocabulary: Vocabulary | None = None) -> Items:
    """Return every item of the known sections. Items of one key become one with all their values."""
    found: dict[str, list[Item]] = {}
    for item in _all(facts, vocabulary or Vocabulary()):
        found.setdefault(item.key, []).append(item)
    return {key: _merged(found[key]) for key in sorted(found)}


def unknown_sections(facts: ServerFacts) -> Mapping[str, str]:
    """Return the sections that the collector could not see, each with its reason."""
    reasons = dict(facts.unknown)
    return {name: _reason(reasons, name) for name in SECTIONS if _is_unseen(facts, name)}


def unknown_parts(facts: ServerFacts) -> Mapping[str, str]:
    """Return the parts of known sections that the collector could not see ("tasks.rest"), with reasons."""
    whole = {f"{outer}.{section}" for section, outer in _INSIDE.items()}
    unseen = unknown_sections(facts)
    return {
        name: reason
        for name, reason in facts.unknown
        if (section := name.partition(".")[0]) in SECTIONS
        and section not in unseen
        and name not in (section, *whole)
    }


def item_key(written: str) -> str:
    """Return the key of an item as a person wrote it ("software:7-Zip 23.01 (x64)")."""
    kind, colon, name = written.strip().partition(":")
    if windows_key(kind) == "SOFTWARE":
        name = product_name(name)
    elif windows_key(kind) == "CERTIFICATE":
        name = name.replace(" ", "").replace(":", "")
    return windows_key(f"{kind}{colon}{name}")


def _all(facts: ServerFacts, vocabulary: Vocabulary) -> Iterator[Item]:
    names = naming(vocabulary, facts.identity.hostname or "", facts.users or ())
    yield from machine(facts, vocabulary)
    yield from running(facts, names)
    yield from people(facts, names)
    yield from net(facts)
    yield from web(facts, names)


def _is_unseen(facts: ServerFacts, section: str) -> bool:
    outer = _INSIDE.get(section)
    if outer is None:
        return getattr(facts, section) is None
    whole = getattr(facts, outer)
    return whole is None or getattr(whole, section) is None


def _reason(reasons: Mapping[str, str], section: str) -> str:
    outer = _INSIDE.get(section, "")
    found = (reasons.get(name) for name in (section, f"{outer}.{section}", outer))
    return next((reason for reason in found if reason), "the collector did not see it")


def _merged(items: list[Item]) -> Item:
    """Make one of several; which spelling and order they came in makes no difference."""
    if len(items) == 1:
        return items[0]
    ordered = sorted(items, key=lambda item: (item.id, [(n, v or "") for n, v in item.values], item.details))
    names = dict.fromkeys(name for item in ordered for name, _ in item.values)
    return Item(
        id=ordered[0].id,
        kind=ordered[0].kind,
        values=tuple((name, _together(name, [item.value(name) for item in ordered])) for name in names),
        details=tuple(dict.fromkeys(pair for item in ordered for pair in item.details)),
    )


def _together(name: str, values: list[str | None]) -> str | None:
    known = sorted({value for value in values if value is not None})
    if not known or (len(known) < len(set(values)) and name not in _HIGHEST):
        return None
    if name in _HIGHEST:
        return max(known, key=lambda version: (version_numbers(version) or (), version))
    if name in SETS:
        return listed(part for value in known for part in parts(value))
    if name == "open to":
        return known[0]  # "the network" comes before "this server only"
    return ", ".join(known)
