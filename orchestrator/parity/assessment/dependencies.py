"""Who else needs a host, and would be cut off with it: the others' facts against its names and services."""

from collections.abc import Iterable, Iterator, Mapping

from orchestrator.model.facts import ProductType, ServerFacts
from orchestrator.parity.assessment.references import (
    Endpoint,
    Reference,
    endpoint_of,
    host_lines,
    odbc_servers,
    texts,
)
from orchestrator.parity.assessment.result import Dependency, Ground
from orchestrator.parity.assessment.subject import switched_on
from orchestrator.parity.names import windows_key


def dependencies(on: str, facts: Mapping[str, ServerFacts | None]) -> tuple[Dependency, ...]:
    """Return what the other hosts need of `on`, by their facts.

    `facts` is by the hosts' names in the plan; None: not known. Where the facts of `on` itself are not known,
    its name in the plan is all that is looked for.
    """
    own = facts.get(on)
    found: list[Dependency] = []
    for who in sorted(facts):
        theirs = facts[who]
        if who == on or theirs is None:
            continue
        found += [
            Dependency(on=on, who=who, what=reference.what, ground=_ground(theirs, reference))
            for reference in _needs(on, own, theirs)
        ]
    return tuple(dict.fromkeys(found))


def _ground(facts: ServerFacts, reference: Reference) -> Ground:
    section = reference.fact.partition(".")[0]
    return Ground(fact=reference.fact, value=reference.text, source=dict(facts.sources).get(section, ""))


def _needs(on: str, own: ServerFacts | None, theirs: ServerFacts) -> Iterator[Reference]:
    known = endpoint_of(on, own)
    target = endpoint_of(on, own, _aliases(known, theirs))
    target = _without(target, endpoint_of("", theirs))
    yield from _hosts_file(target, theirs)
    yield from (r for r in odbc_servers(theirs) if target.is_called(r.text))
    for reference in texts(theirs):
        if target.is_named_in(reference.text):
            share = _share(own, target.shares_in(reference.text))
            yield reference.model_copy(update={"what": reference.what + share})
    yield from _network(target, own, theirs)
    if own is not None:
        yield from _membership(own, theirs)


def _share(own: ServerFacts | None, names: tuple[str, ...]) -> str:
    """Say in words which share is meant, and whether this host has it."""
    if not names:
        return ""
    if own is None or own.shares is None:
        return f", share {names[-1]}"
    there = {windows_key(share.name): share.name for share in own.shares}
    had = next((there[windows_key(name)] for name in names if windows_key(name) in there), "")
    return f", share {had}" if had else f", share {names[-1]} that it does not have"


def _aliases(target: Endpoint, theirs: ServerFacts) -> Iterator[str]:
    """Return the names that the other host's own hosts file gives to this one."""
    return (name for address, names in host_lines(theirs) if address in target.addresses for name in names)


def _without(target: Endpoint, self_: Endpoint) -> Endpoint:
    """Leave out what the other host takes for itself: a copy that kept its name or address names itself."""
    return Endpoint(
        names=tuple(n for n in target.names if n not in self_.names),
        addresses=tuple(a for a in target.addresses if a not in self_.addresses),
    )


def _hosts_file(target: Endpoint, theirs: ServerFacts) -> Iterator[Reference]:
    for address, names in host_lines(theirs):
        if address in target.addresses or any(target.is_called(name) for name in names):
            line = " ".join((address, *names))
            yield Reference(fact="network.hosts", text=line, what="has it in its hosts file")


def _network(target: Endpoint, own: ServerFacts | None, theirs: ServerFacts) -> Iterator[Reference]:
    network = theirs.network
    if network is None:
        return
    for card in network.interfaces:
        yield from _listed(target, f"network.{card.id}.dns", card.dns, "asks it for DNS names")
        yield from _listed(
            target, f"network.{card.id}.gateway", card.gateways, "routes everything through it"
        )
        if card.dhcp and own is not None and _serves_dhcp(own):
            yield Reference(
                fact=f"network.{card.id}.dhcp", text="by DHCP", what="may get its address from it by DHCP"
            )
    for route in network.routes or ():
        what = f"routes {route.destination} through it"
        yield from _listed(target, "network.routes", (route.gateway,), what)


def _listed(target: Endpoint, fact: str, values: Iterable[str], what: str) -> Iterator[Reference]:
    return (Reference(fact=fact, text=value, what=what) for value in values if value in target.addresses)


def _serves_dhcp(own: ServerFacts) -> bool:
    return switched_on(own, ("DHCPServer",)) != ()


def _membership(own: ServerFacts, theirs: ServerFacts) -> Iterator[Reference]:
    if own.identity.product_type is not ProductType.DOMAIN_CONTROLLER:
        return
    served, joined = _domain(own), _domain(theirs)
    if served and windows_key(served) == windows_key(joined):
        what = "is a member of the domain that it serves"
        yield Reference(fact="identity.membership", text=joined, what=what)


def _domain(facts: ServerFacts) -> str:
    """Return the directory domain of a host; its primary DNS domain where no membership is known."""
    member = facts.identity.membership
    if member is not None:
        return member.name if member.domain else ""
    return facts.network.domain if facts.network is not None else ""
