"""The packet filter of an isolated machine: allowed flows and own addresses -> rules -> nwfilter XML. Pure.

One filter for one machine, bound to each of its cards. Everything that is not accepted is dropped, in both
directions. Only protocols of the Ethernet level are used (mac, arp, ip, ipv6): libvirt turns these into
ebtables rules, which see every frame of the bridge. Rules of the IP level (tcp, all) would become iptables
rules, which see a bridged frame only where br_netfilter is loaded and switched on; no rule here may depend on
that.

What the Ethernet level cannot do:
- It keeps no state and sees no TCP flags. A reply is what comes from an allowed address and port. So that an
  allowed server cannot open connections to the guest's services, a reply goes to a client's port only: 1024
  and up, or for UDP the service's own number (NTP). A service of the guest on a port above 1023 stays in
  reach of an allowed server that sends from the allowed port. A client that must send from a reserved TCP
  port (NFS, LPR) is not served.
- It sees no ICMP types of IPv4: where icmp is allowed, that server may also ping the guest.
- It sees no ports in the later fragments of a datagram: they are dropped.
- It does not look into a neighbour advertisement (IPv6): a guest with an allowed IPv6 flow can give a false
  one, but only to the allowed addresses. Only neighbours can be reached by IPv6: a router's discovery is not
  let through.
- Without the guest's known addresses its ARP is bound to its MAC address only, not to an IP address.
"""

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_interface, ip_network

from orchestrator.contract.ownership import Owner
from orchestrator.model.network import Flow
from providers.kvm.cards import parse

_MARK = "ferry token: "
_ACCEPT, _DROP = 100, 1000
_CLIENT = ("1024", "65535")
_SOLICITED = int(IPv6Address("ff02::1:ff00:0"))

Net = IPv4Network | IPv6Network
Attributes = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, order=True)
class Rule:
    """One rule. `direction` is the guest's (out, in, inout), `match` the sorted attributes of `protocol`."""

    priority: int
    action: str
    direction: str
    protocol: str
    match: Attributes


DROP_ALL = Rule(_DROP, "drop", "inout", "mac", ())


def sealed_rules() -> frozenset[Rule]:
    """Return the rules for a machine that may talk to nobody, its own host included.

    A bridge without an address does not keep the host out by itself: where rp_filter is off, Linux answers
    ARP on it for addresses that it has elsewhere, and takes packets to them.
    """
    return frozenset({DROP_ALL})


def filtered_rules(allow: Sequence[Flow], addresses: Iterable[str]) -> frozenset[Rule]:
    """Return the rules for the allowed flows, their replies and ARP.

    `addresses`: the guest's known IPs, with or without a prefix; none of a family: any address of that
    family. Raises ValueError for one that is no address, and for a flow that no rule can express.
    """
    own = own_addresses(addresses)
    found = {DROP_ALL, *_arp([a for a in own if a.version == 4])}
    for flow in allow:
        to = ip_network(flow.to, strict=False)
        found.update(_flow(flow, to, [a for a in own if a.version == to.version]))
        if to.version == 6:
            found.update(_neighbour_discovery(to))
    return frozenset(found)


def own_addresses(addresses: Iterable[str]) -> tuple[IPv4Address | IPv6Address, ...]:
    """Return the addresses that a guest may claim, sorted; those that name no host are left out."""
    found = {ip_address(str(ip_interface(a).ip).partition("%")[0]) for a in addresses}
    usable = (a for a in found if not (a.is_unspecified or a.is_loopback or a.is_multicast))
    return tuple(sorted(usable, key=lambda a: (a.version, int(a))))


def claimed_addresses(rules: Iterable[Rule]) -> tuple[str, ...]:
    """Return the addresses that a filter binds its guest to: the sources of what it lets out."""
    names = ("arpsrcipaddr", "srcipaddr")
    found = {v for r in rules if r.direction == "out" for name, v in r.match if name in names}
    return tuple(str(a) for a in own_addresses(found))


def filter_xml(name: str, rules: Iterable[Rule], owner: Owner, uuid: str | None = None) -> str:
    """Return the filter's definition, bearing its `owner` in the comment of its last rule.

    `uuid` is needed to change the one that is there; without it libvirt refuses a name that is taken.
    """
    root = ET.Element("filter", name=name, chain="root")
    if uuid is not None:
        ET.SubElement(root, "uuid").text = uuid
    for rule in sorted(rules):
        element = ET.SubElement(
            root, "rule", action=rule.action, direction=rule.direction, priority=str(rule.priority)
        )
        match = ET.SubElement(element, rule.protocol, dict(rule.match))
        if rule == DROP_ALL:
            match.set("comment", _comment(owner))
    return ET.tostring(root, encoding="unicode")


def owned(text: str, owner: Owner) -> str:
    """Return the definition of a filter that ferry made, owned by another step."""
    root = parse(text)
    for match in root.iterfind("rule/*"):
        if match.get("comment", "").startswith(_MARK):
            match.set("comment", _comment(owner))
    return ET.tostring(root, encoding="unicode")


def read_filter(text: str) -> tuple[frozenset[Rule], Owner | None]:
    """Read a filter's definition: its rules, and whose it is if ferry made it.

    What our rules never hold (another filter's reference, a rule without a protocol) becomes a rule that
    equals none of ours, so that a comparison fails.
    """
    rules: set[Rule] = set()
    owner = None
    for child in parse(text):
        if child.tag == "uuid":
            continue
        body = next(iter(child), None)
        match = {} if body is None else dict(body.attrib)
        comment = match.pop("comment", "")
        if comment.startswith(_MARK):
            token, _, former = comment.removeprefix(_MARK).partition(" ")
            owner = Owner(token, former or None)
        protocol = child.tag if body is None else body.tag
        priority, action = int(child.get("priority", "0")), child.get("action", "")
        rules.add(Rule(priority, action, child.get("direction", ""), protocol, _attributes(match)))
    return frozenset(rules), owner


def chain_lengths(rules: Iterable[Rule]) -> tuple[int, int]:
    """Return how many rules the host must have for what a card sends, and for what it receives."""
    listed = list(rules)
    return sum(r.direction != "in" for r in listed), sum(r.direction != "out" for r in listed)


def _comment(owner: Owner) -> str:
    """Two tokens at most: libvirt keeps 255 characters."""
    return _MARK + " ".join(filter(None, (owner.token, owner.former)))


def _arp(own: Sequence[IPv4Address | IPv6Address]) -> Iterator[Rule]:
    """ARP about oneself: no other's MAC address and, where they are known, no other's IP address."""
    for address in own or (None,):
        for opcode in ("Request", "Reply"):
            sender = {"srcmacaddr": "$MAC", "arpsrcmacaddr": "$MAC", "opcode": opcode}
            target = {"opcode": opcode}
            if opcode == "Reply":
                target["arpdstmacaddr"] = "$MAC"
            if address is not None:
                sender["arpsrcipaddr"] = target["arpdstipaddr"] = str(address)
            yield _accept("out", "arp", sender)
            yield _accept("in", "arp", target)


def _flow(flow: Flow, to: Net, own: Sequence[IPv4Address | IPv6Address]) -> Iterator[Rule]:
    protocol = "ip" if to.version == 4 else "ipv6"
    for address in own or (None,):
        for there, back in _ports(flow, to):
            request = {"srcmacaddr": "$MAC", **_net("dst", to), **there}
            reply = {"dstmacaddr": "$MAC", **_net("src", to), **back}
            if address is not None:
                request |= _net("src", ip_network(address))
                reply |= _net("dst", ip_network(address))
            yield _accept("out", protocol, request)
            yield _accept("in", protocol, reply)


def _ports(flow: Flow, to: Net) -> Iterator[tuple[dict[str, str], dict[str, str]]]:
    """Yield pairs of what a request and its reply look like, apart from their addresses."""
    if flow.proto == "icmp":
        if to.version == 4:
            yield {"protocol": "icmp"}, {"protocol": "icmp"}
        else:
            yield _icmpv6(128), _icmpv6(129)
        return
    if flow.proto not in {"tcp", "udp"} or flow.port is None:
        message = (
            f"a flow to {flow.to} needs tcp or udp and a port, or icmp; it says {flow.proto} {flow.port}"
        )
        raise ValueError(message)
    service = str(flow.port)
    clients = [_CLIENT, (service, service)] if flow.proto == "udp" and flow.port < 1024 else [_CLIENT]
    for first, last in clients:
        there = {"srcportstart": first, "srcportend": last, "dstportstart": service, "dstportend": service}
        back = {"srcportstart": service, "srcportend": service, "dstportstart": first, "dstportend": last}
        yield {"protocol": flow.proto, **there}, {"protocol": flow.proto, **back}


def _neighbour_discovery(to: Net) -> Iterator[Rule]:
    """Solicit the allowed addresses and answer their solicitations: types 135 and 136, nothing of routers."""
    exact = max(to.prefixlen, 104)
    low = int(to.network_address) & 0xFFFFFF
    groups = ip_network((_SOLICITED | (low if exact == to.prefixlen else 0), exact))
    out, back = {"srcmacaddr": "$MAC"}, _net("src", to)
    for asked in (to, groups):
        yield _accept("out", "ipv6", {**out, **_net("dst", asked), **_icmpv6(135)})
    yield _accept("out", "ipv6", {**out, **_net("dst", to), **_icmpv6(136)})
    for answer in (135, 136):
        yield _accept("in", "ipv6", {**back, **_icmpv6(answer)})


def _icmpv6(kind: int) -> dict[str, str]:
    return {"protocol": "icmpv6", "type": str(kind), "typeend": str(kind)}


def _net(side: str, net: Net) -> dict[str, str]:
    return {f"{side}ipaddr": str(net.network_address), f"{side}ipmask": str(net.prefixlen)}


def _accept(direction: str, protocol: str, match: dict[str, str]) -> Rule:
    return Rule(_ACCEPT, "accept", direction, protocol, _attributes(match))


def _attributes(match: dict[str, str]) -> Attributes:
    """Sort, and write addresses in the one form that compares."""
    return tuple(sorted((name, _canonical(name, value)) for name, value in match.items()))


def _canonical(name: str, value: str) -> str:
    if name.endswith("ipaddr"):
        try:
            return str(ip_address(value))
        except ValueError:
            return value  # a variable
    return value.lower() if name.endswith("macaddr") and not value.startswith("$") else value
