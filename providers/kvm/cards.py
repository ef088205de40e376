"""Network cards in a domain's XML: what isolation changes about a card, and what it leaves alone. Pure.

libvirt rewrites a card as a whole, so every change starts from the card as libvirt has it now and replaces
its connection only: model, address, alias, tap and all else stay.
"""

import xml.etree.ElementTree as ET
from copy import deepcopy
from dataclasses import dataclass

from orchestrator.contract.errors import ProviderError
from orchestrator.model.machine import Nic
from providers.kvm.faults import conflict, permanent

_PARTS = ("source", "virtualport", "vlan", "port", "filterref", "link")
_RUN_TIME = ("portid", "bridge", "dev", "mode")
"""Attributes that libvirt adds to the source of a running card that is attached by a network's name."""


def parse(text: str) -> ET.Element:
    """Parse libvirt's own XML. A DOCTYPE, which libvirt never writes, is refused: entities can be a bomb."""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        message = "libvirt answered with XML that holds a DOCTYPE; it is not read"
        raise permanent(message)
    return ET.fromstring(text)  # noqa: S314  # no DOCTYPE, hence no entities


@dataclass(frozen=True, slots=True)
class Connection:
    """How a card is connected: `kind` is libvirt's interface type, `parts` the elements that belong to it.

    Without what changes from run to run, so that a live and a persistent card compare equal.
    """

    kind: str
    parts: tuple[tuple[str, str], ...]

    @property
    def source(self) -> str:
        """Where it leads, as `kind:name`."""
        element = self._element("source")
        names = () if element is None else (element.get(a) for a in ("network", "bridge", "dev", "path"))
        return f"{self.kind}:{next((n for n in names if n), '')}"

    @property
    def filter(self) -> str | None:
        """Name of the packet filter."""
        element = self._element("filterref")
        return None if element is None else element.get("filter")

    @property
    def link_up(self) -> bool:
        """A link is up unless libvirt says down."""
        element = self._element("link")
        return element is None or element.get("state") != "down"

    @property
    def port_isolated(self) -> bool:
        """Tell whether the bridge keeps the card from other isolated ports."""
        element = self._element("port")
        return element is not None and element.get("isolated") == "yes"

    def down(self) -> "Connection":
        """Return the same connection with its link down."""
        return self._having("link", '<link state="down" />')

    def link_of(self, other: "Connection") -> "Connection":
        """Return the same connection with the other's link state."""
        return self._having("link", dict(other.parts).get("link"))

    def filter_of(self, other: "Connection") -> "Connection":
        """Return the same connection with the other's filter."""
        return self._having("filterref", dict(other.parts).get("filterref"))

    def _having(self, tag: str, text: str | None) -> "Connection":
        parts = {**dict(self.parts), tag: text}
        return Connection(self.kind, tuple((t, p) for t in _PARTS if (p := parts.get(t)) is not None))

    def _element(self, tag: str) -> ET.Element | None:
        text = dict(self.parts).get(tag)
        return None if text is None else parse(text)


@dataclass(frozen=True, slots=True)
class Card:
    """One network card; `mac` in lower case, `tap` the host's device of a running one, `xml` all of it."""

    mac: str
    model: str
    tap: str | None
    connection: Connection
    xml: str

    def connected(self, connection: Connection) -> str:
        """Return this card's XML with another connection."""
        element = parse(self.xml)
        for child in [c for c in element if c.tag in _PARTS]:
            element.remove(child)
        element.set("type", connection.kind)
        element.extend(parse(text) for _, text in connection.parts)
        return ET.tostring(element, encoding="unicode")

    def nic(self) -> Nic:
        """Return it as the contract shows it."""
        link = self.connection
        return Nic(
            key=self.mac, model=self.model, network=link.source, link_up=link.link_up, filter=link.filter
        )


def network_connection(
    network: str, *, packet_filter: str | None, isolated: bool, link: Connection
) -> Connection:
    """Return a connection to a libvirt network, behind a filter if one is named; the link state is `link`'s.

    `isolated` keeps it from other isolated ports of the same bridge.
    """
    wanted = ET.Element("interface", type="network")
    ET.SubElement(wanted, "source", network=network)
    if isolated:
        ET.SubElement(wanted, "port", isolated="yes")
    if packet_filter is not None:
        ET.SubElement(wanted, "filterref", filter=packet_filter)
    return _connection(wanted).link_of(link)


def card(element: ET.Element) -> Card:
    """Read one `<interface>`. Raises ProviderError for one without a MAC address."""
    address, model, target = (element.find(tag) for tag in ("mac", "model", "target"))
    mac = "" if address is None else address.get("address", "")
    if not mac:
        message = "a network card of the machine has no MAC address in libvirt's XML"
        raise permanent(message)
    return Card(
        mac=mac.lower(),
        model=(None if model is None else model.get("type")) or "default",
        tap=None if target is None else target.get("dev"),
        connection=_connection(element),
        xml=_bare(element),
    )


def cards(domain: ET.Element, name: str) -> dict[str, Card]:
    """Return the cards of a domain's XML by MAC address. Raises ProviderError: two cards of one address."""
    found = [card(e) for e in domain.findall("devices/interface")]
    by_mac = {c.mac: c for c in found}
    if len(by_mac) != len(found):
        raise _twice([c.mac for c in found], name)
    return by_mac


def _twice(macs: list[str], name: str) -> ProviderError:
    twice = ", ".join(sorted({m for m in macs if macs.count(m) > 1}))
    hint = "cards are told apart by their address; give each its own"
    return conflict(f"machine {name} has more than one network card with the address {twice}", hint)


def _connection(interface: ET.Element) -> Connection:
    kind, parts = interface.get("type", ""), []
    for tag in _PARTS:
        child = interface.find(tag)
        if child is None:
            continue
        copy = deepcopy(child)
        if tag == "source" and copy.get("network"):
            # A running card shows the type of what the network led to ("bridge"), beside the network's name.
            kind = "network"
            for name in _RUN_TIME:
                copy.attrib.pop(name, None)
        parts.append((tag, _bare(copy)))
    return Connection(kind, tuple(parts))


def _bare(element: ET.Element) -> str:
    """Serialise without the indentation of the document around it."""
    copy = deepcopy(element)
    for node in copy.iter():
        node.text = (node.text or "").strip() or None
        node.tail = None
    return ET.tostring(copy, encoding="unicode")
