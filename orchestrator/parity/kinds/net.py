"""The network: settings, hosts file, routes, listeners, firewall."""

from collections.abc import Iterable, Iterator
from ipaddress import ip_address, ip_network

from orchestrator.model.facts import Firewall, FirewallRule, Listener, NetworkConfig, ServerFacts
from orchestrator.parity.item import Item, item, yes

_FIRST_DYNAMIC = 49152


def net(facts: ServerFacts) -> Iterator[Item]:
    """Give all of it."""
    if facts.network is not None:
        yield from _network(facts.network)
        yield from _hosts(facts.network.hosts or ())
        for route in facts.network.routes or ():
            metric = "" if route.metric is None else str(route.metric)
            yield item("route", route.destination, (("gateway", route.gateway),), metric=metric)
    yield from (_listener(listener) for listener in facts.listeners or ())
    if facts.firewall is not None:
        yield from _firewall(facts.firewall)


def _network(network: NetworkConfig) -> Iterator[Item]:
    cards = network.interfaces
    settings = {
        "name": network.hostname,
        "domain": network.domain,
        "addresses": _listed(address for card in cards for address in card.addresses),
        "gateways": _listed(gateway for card in cards for gateway in card.gateways),
        "dns": _listed(server for card in cards for server in card.dns),
    }
    for name, value in settings.items():
        if value:
            yield item("network", name, ((name, value),))


def _hosts(lines: Iterable[str]) -> Iterator[Item]:
    for line in lines:
        address, *names = line.split() or [""]
        for name in names:
            yield item("hosts", name, (("address", address.lower()),))


def _listener(listener: Listener) -> Item:
    """Ports that Windows hands out as they come have no meaning of their own: they are one item."""
    port = f"{_FIRST_DYNAMIC}+" if listener.port >= _FIRST_DYNAMIC else str(listener.port)
    reach = "this server only" if _is_loopback(listener.address) else "the network"
    return item(
        "listener", f"{listener.protocol.lower()}/{port}", (("open to", reach),), process=listener.process
    )


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _firewall(firewall: Firewall) -> Iterator[Item]:
    for name, on in firewall.profiles:
        yield item("firewall-profile", name, (("on", yes(on)),))
    for rule in firewall.rules:
        values = (("enabled", "yes" if rule.enabled else "no"), ("rule", _rule(rule)))
        yield item("firewall", rule.name, values)


def _rule(rule: FirewallRule) -> str:
    words = [
        "allow" if rule.allow else "block",
        "in" if rule.inbound else "out",
        rule.protocol.lower(),
        f"port {rule.local_ports}",
        f"with {_addresses(rule.remote_addresses)}",
    ]
    words += [f"program {rule.program}"] if rule.program else []
    words += [f"service {rule.service}"] if rule.service else []
    words += [f"in profile {rule.profiles}"] if rule.profiles != "*" else []
    return " ".join(words)


def _addresses(text: str) -> str:
    """Return a list of addresses and networks in one spelling and order ("192.0.2.0/24")."""
    return ",".join(sorted(_address(part.strip()) for part in text.split(",")))


def _address(text: str) -> str:
    try:
        return str(ip_network(text, strict=False)).removesuffix("/32").removesuffix("/128")
    except ValueError:
        return text


def _listed(values: Iterable[str]) -> str:
    return ", ".join(sorted(set(values)))
