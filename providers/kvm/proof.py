"""Is the machine cut off? Findings from what libvirt and the host show now, never from our own record. Pure.

Each finding names what was seen, so that a person can look at the same place.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from orchestrator.model.network import Finding, IsolationMode, IsolationSpec, Network, NetworkSpec
from providers.kvm.cards import Card, Connection
from providers.kvm.netfilter import Rule, chain_lengths, claimed_addresses, filtered_rules, sealed_rules
from providers.kvm.netview import Chains, HostView
from providers.kvm.networks import misfit

_NOT_HERE = "cannot be seen from here: libvirt runs on another host; run ferry on that host to prove it"


@dataclass(frozen=True, slots=True)
class Binding:
    """A filter that libvirt says is bound to a tap, with the MAC address that it stands for."""

    filter: str
    mac: str


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything seen of one machine. `live` is None when it is stopped, `host` where it is another host.

    `network` is the one that the spec names, None when it is not there; `filters` the rules of the filters
    that the cards name, by name; `bindings` by tap.
    """

    persistent: Mapping[str, Card]
    live: Mapping[str, Card] | None
    network: Network | None
    filters: Mapping[str, frozenset[Rule]]
    bindings: Mapping[str, Binding]
    host: HostView | None


def findings(spec: IsolationSpec, scene: Scene) -> tuple[Finding, ...]:
    """Return everything checked; the isolation holds when all are ok."""
    return tuple(_findings(spec, scene))


def _findings(spec: IsolationSpec, scene: Scene) -> Iterator[Finding]:
    yield _card_sets(scene)
    for card in scene.persistent.values():
        yield _connected(spec, card.connection, f"card {card.mac}, persistent definition")
    if scene.live is None:
        yield Finding(check="power", ok=True, detail="stopped; what it starts with is the definition above")
    for card in (scene.live or {}).values():
        yield _connected(spec, card.connection, f"card {card.mac}, running")
    if spec.mode is IsolationMode.UNPLUGGED or spec.network is None:
        return
    yield from _network(spec.network, scene)
    for name in sorted({c.connection.filter or "" for c in _all_cards(scene)}):
        yield _filter(spec.network, name, scene.filters.get(name))
    for card in (scene.live or {}).values():
        yield from _tap(spec.network, card, scene)


def _all_cards(scene: Scene) -> list[Card]:
    return [*scene.persistent.values(), *(scene.live or {}).values()]


def _card_sets(scene: Scene) -> Finding:
    persistent = sorted(scene.persistent)
    live = persistent if scene.live is None else sorted(scene.live)
    detail = f"{len(persistent)} in the definition ({', '.join(persistent) or 'none'})"
    if live != persistent:
        detail += f", but running with {', '.join(live) or 'none'}"
    return Finding(check="network cards", ok=live == persistent, detail=detail)


def _connected(spec: IsolationSpec, seen: Connection, where: str) -> Finding:
    """What libvirt's definition says of a card."""
    said = [seen.source, f"link {'up' if seen.link_up else 'down'}", f"filter {seen.filter or 'none'}"]
    said += ["isolated port"] if seen.port_isolated else []
    if spec.mode is IsolationMode.UNPLUGGED:
        ok = not seen.link_up
    else:
        wanted = f"network:{spec.network.name}" if spec.network else None
        ok = seen.source == wanted and seen.filter is not None
        ok = ok and (seen.port_isolated or spec.mode is IsolationMode.FILTERED)
    return Finding(check=where, ok=ok, detail=", ".join(said))


def _network(spec: NetworkSpec, scene: Scene) -> Iterator[Finding]:
    network, check = scene.network, f"network {spec.name}"
    if network is None:
        yield Finding(check=check, ok=False, detail="libvirt has no network of this name")
        return
    fault = misfit(network, spec)
    uplink, addresses = network.uplink or "none", ", ".join(network.addresses) or "none"
    detail = f"bridge {network.bridge or 'none'}, uplink {uplink}, host addresses {addresses}"
    yield Finding(check=check, ok=fault is None, detail=detail if fault is None else f"{detail}: {fault}")
    if scene.live is not None:
        detail = "active" if network.active else "not active, though the machine runs"
        yield Finding(check=f"{check}, state", ok=network.active, detail=detail)
    if network.active and network.bridge is not None:
        yield from _bridge(spec, network.bridge, scene.host)


def _bridge(spec: NetworkSpec, bridge: str, host: HostView | None) -> Iterator[Finding]:
    """What the host says of the bridge: sealed means no address, and no port but taps that are kept apart."""
    if host is None:
        yield Finding(check=f"bridge {bridge}", ok=False, detail=_NOT_HERE)
        return
    if not host.is_bridge(bridge):
        detail = "the host has no kernel bridge of this name"
        yield Finding(check=f"bridge {bridge}", ok=False, detail=detail)
        return
    if spec.mode is not IsolationMode.SEALED:
        yield Finding(check=f"bridge {bridge}", ok=True, detail="a kernel bridge, the declared uplink")
        return
    addresses = host.addresses.get(bridge, ())
    detail = ", ".join(addresses) or "none"
    yield Finding(check=f"bridge {bridge}, addresses of the host", ok=not addresses, detail=detail)
    ports = host.ports(bridge)
    others = [p.name for p in ports if not (p.tap and p.isolated)]
    detail = (
        f"{', '.join(p.name for p in ports) or 'none'}; not an isolated tap: {', '.join(others) or 'none'}"
    )
    yield Finding(check=f"bridge {bridge}, ports", ok=not others, detail=detail)


def _filter(spec: NetworkSpec, name: str, rules: frozenset[Rule] | None) -> Finding:
    """The filter's content is what the plan demands, to the rule."""
    check = f"filter {name or 'none'}"
    if rules is None:
        return Finding(check=check, ok=False, detail="libvirt has no filter of this name")
    if spec.mode is IsolationMode.SEALED:
        ok = rules == sealed_rules()
        return Finding(
            check=check, ok=ok, detail="drops everything" if ok else "does not only drop everything"
        )
    own = claimed_addresses(rules)
    wanted = filtered_rules(spec.allow, own)
    bound = (
        f"bound to {', '.join(own)}" if own else "the guest's addresses are not known: bound to its MAC only"
    )
    detail = f"{len(rules)} rules for {len(spec.allow)} allowed flows, {bound}"
    if rules != wanted:
        detail += (
            f"; {len(rules - wanted)} rules that the plan does not ask for, {len(wanted - rules)} missing"
        )
    return Finding(check=check, ok=rules == wanted, detail=detail)


def _tap(spec: NetworkSpec, card: Card, scene: Scene) -> Iterator[Finding]:
    """What becomes of a running card's frames on the host."""
    tap, where = card.tap or "none", f"card {card.mac}, tap {card.tap or 'none'}"
    yield _bound(where, card, scene.bindings.get(tap))
    if scene.host is None:
        yield Finding(check=where, ok=False, detail=_NOT_HERE)
        return
    master, wanted = scene.host.master(tap), scene.network.bridge if scene.network else None
    ok = master is not None and master == wanted
    yield Finding(check=f"{where}, bridge", ok=ok, detail=f"port of {master or 'no bridge'}; wanted {wanted}")
    if spec.mode is IsolationMode.SEALED:
        isolated = scene.host.port(tap).isolated
        detail = "kept from other isolated ports" if isolated else "not isolated"
        yield Finding(check=f"{where}, port", ok=isolated, detail=detail)
    rules = scene.filters.get(card.connection.filter or "")
    yield _kernel(where, scene.host.chains(tap), rules or frozenset())


def _bound(where: str, card: Card, bound: Binding | None) -> Finding:
    """What libvirt says is bound to the tap."""
    ok = bound is not None and (bound.filter, bound.mac) == (card.connection.filter, card.mac)
    detail = "none" if bound is None else f"{bound.filter} for {bound.mac}"
    return Finding(check=f"{where}, filter binding", ok=ok, detail=detail)


def _kernel(where: str, chains: Chains | None, rules: frozenset[Rule]) -> Finding:
    """A reload of the host's firewall wipes the rules out behind libvirt's back."""
    check = f"{where}, rules in the kernel"
    if chains is None:
        detail = "not looked at: only root may read them; libvirt says that the filter is bound"
        return Finding(check=check, ok=True, detail=detail)
    wanted, found = chain_lengths(rules), (len(chains.out), len(chains.back))
    last = all(chain and chain[-1] == "-j DROP" for chain in (chains.out, chains.back))
    ok = chains.entered_out and chains.entered_back and last and found == wanted
    detail = f"{found[0]} for frames out, {found[1]} for frames in, of {wanted[0]} and {wanted[1]}"
    if not (chains.entered_out and chains.entered_back):
        detail += (
            "; frames do not pass them: a firewall reload removed them? restarting libvirtd puts them back"
        )
    return Finding(
        check=check, ok=ok, detail=detail if last else f"{detail}; the last does not drop the rest"
    )
