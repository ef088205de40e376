"""Who else needs a host, and would be cut off with it: the others' facts against its names and services.

All places of all hosts are read once and kept by the names in them, so that a plan of a thousand hosts is not
a million comparisons.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from orchestrator.model.facts import ProductType, ServerFacts
from orchestrator.parity.assessment.references import (
    SECTIONS,
    Reference,
    aliases,
    keys_of,
    references,
    shares_in,
)
from orchestrator.parity.assessment.result import Dependency, Ground
from orchestrator.parity.assessment.subject import Services, why_unknown
from orchestrator.parity.names import windows_key


class Fleet:
    """The hosts of a plan by their names there, with what is known of each; None: not known."""

    def __init__(self, facts: Mapping[str, ServerFacts | None]) -> None:
        """Read every place that names a machine."""
        self._facts = {name: facts[name] for name in sorted(facts)}
        self._keys = {name: keys_of(name, known) for name, known in self._facts.items()}
        self._places: dict[str, list[tuple[str, Reference]]] = {}
        for who, known in self._facts.items():
            if known is not None:
                self._read(who, known)

    def unseen(self, on: str) -> tuple[str, ...]:
        """Return the other hosts whose facts nobody has."""
        return tuple(name for name, known in self._facts.items() if known is None and name != on)

    def half_seen(self, on: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Return the other hosts of which something is unknown that could name `on`, and what."""
        found = (
            (name, tuple(section for section in SECTIONS if why_unknown(known, section)))
            for name, known in self._facts.items()
            if known is not None and name != on
        )
        return tuple((name, sections) for name, sections in found if sections)

    def needing(self, on: str) -> tuple[Dependency, ...]:
        """Return what the other hosts need of `on`, by host and then in the order of their facts."""
        own = self._facts.get(on)
        keys = self._keys.get(on) or keys_of(on, own)
        named = (
            (who, reference)
            for key in sorted(keys)
            for who, reference in self._places.get(key, ())
            if who != on and key not in self._keys[who]
        )
        found: dict[str, list[Reference]] = {}
        for who, reference in (*named, *self._served(on, own)):
            found.setdefault(who, []).append(_with_share(reference, keys, own))
        return tuple(
            self._dependency(on, who, reference)
            for who in sorted(found)
            for reference in sorted(set(found[who]), key=lambda r: (r.fact, r.text, r.what))
        )

    def _read(self, who: str, facts: ServerFacts) -> None:
        known = aliases(facts)
        for reference in references(facts):
            # A name that the host's own hosts file gives to an address stands for that address.
            keys = {*reference.keys, *(known[key] for key in reference.keys if key in known)}
            for key in keys:
                self._places.setdefault(key, []).append((who, reference))

    def _served(self, on: str, own: ServerFacts | None) -> Iterator[tuple[str, Reference]]:
        """What is needed without a name of it anywhere: DHCP, and the domain."""
        if own is None:
            return
        dhcp = bool(Services(own).switched_on(("DHCPServer",)))
        controller = own.identity.product_type is ProductType.DOMAIN_CONTROLLER
        for who, theirs in self._facts.items():
            if who == on or theirs is None:
                continue
            if dhcp:
                yield from ((who, reference) for reference in _by_dhcp(theirs))
            if controller:
                yield from ((who, reference) for reference in _membership(own, theirs))

    def _dependency(self, on: str, who: str, reference: Reference) -> Dependency:
        facts = self._facts[who]
        section = reference.fact.partition(".")[0]
        source = dict(facts.sources).get(section, "") if facts is not None else ""
        ground = Ground(fact=reference.fact, value=reference.text, source=source)
        return Dependency(on=on, who=who, what=reference.what, ground=ground)


def dependencies(on: str, facts: Mapping[str, ServerFacts | None]) -> tuple[Dependency, ...]:
    """Return what the other hosts need of `on`, by their facts; `facts` as for `Fleet`."""
    return Fleet(facts).needing(on)


def _with_share(reference: Reference, keys: frozenset[str], own: ServerFacts | None) -> Reference:
    """Say in words which share is meant, and whether this host has it."""
    names = shares_in(reference.text, keys)
    if not names or reference.fact.startswith("odbc."):
        return reference
    words = f", share {names[-1]}"
    if own is not None and own.shares is not None:
        there = {windows_key(share.name): share.name for share in own.shares}
        had = next((there[windows_key(name)] for name in names if windows_key(name) in there), "")
        words = f", share {had}" if had else f"{words} that it does not have"
    return replace(reference, what=reference.what + words)


def _by_dhcp(theirs: ServerFacts) -> Iterator[Reference]:
    for card in theirs.network.interfaces if theirs.network is not None else ():
        if card.dhcp:
            what = "may get its address from it by DHCP"
            yield Reference(fact=f"network.{card.id}.dhcp", text="by DHCP", what=what, keys=())


def _membership(own: ServerFacts, theirs: ServerFacts) -> Iterator[Reference]:
    served, joined = _domain(own), _domain(theirs)
    if served and windows_key(served) == windows_key(joined):
        what = "is a member of the domain that it serves"
        yield Reference(fact="identity.membership", text=joined, what=what, keys=())


def _domain(facts: ServerFacts) -> str:
    """Return the directory domain of a host; its primary DNS domain where no membership is known."""
    member = facts.identity.membership
    if member is not None:
        return member.name if member.domain else ""
    return facts.network.domain if facts.network is not None else ""
