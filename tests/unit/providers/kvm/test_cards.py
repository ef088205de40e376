"""Cards in a domain's XML: what compares equal, what a change replaces and what it leaves alone."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from orchestrator.contract.errors import ErrorKind, ProviderError
from providers.kvm.cards import Card, card, cards, network_connection, parse
from providers.kvm.isolation import steps

MAC = "52:54:00:AA:BB:01"
PERSISTENT = f"""<interface type='network'>
  <mac address='{MAC}'/>
  <source network='default'/>
  <model type='e1000'/>
  <boot order='2'/>
  <address type='pci' slot='0x03'/>
</interface>"""
LIVE = f"""<interface type='bridge'>
  <mac address='{MAC}'/>
  <source network='default' portid='fc1f0a5e' bridge='virbr0'/>
  <target dev='vnet7'/>
  <model type='e1000'/>
  <boot order='2'/>
  <alias name='net0'/>
  <address type='pci' slot='0x03'/>
</interface>"""
OURS = "ferry-0001"


def one(text: str) -> Card:
    return card(parse(text))


def test_running_and_persistent_card_on_one_network_are_connected_alike() -> None:
    live, persistent = one(LIVE), one(PERSISTENT)
    assert live.connection == persistent.connection
    assert live.connection.source == "network:default"
    assert (live.mac, live.tap, persistent.tap) == (MAC.lower(), "vnet7", None)


@pytest.mark.parametrize(
    ("kind", "source", "shown"),
    [
        ("bridge", "<source bridge='br0'/>", "bridge:br0"),
        ("direct", "<source dev='eth0' mode='bridge'/>", "direct:eth0"),
        ("ethernet", "", "ethernet:"),
        ("vhostuser", "<source type='unix' path='/run/x'/>", "vhostuser:/run/x"),
    ],
)
def test_source_names_kind_and_place(kind: str, source: str, shown: str) -> None:
    text = f"<interface type='{kind}'><mac address='{MAC}'/>{source}</interface>"
    assert one(text).nic().network == shown


@pytest.mark.parametrize(
    ("inner", "up"), [("", True), ("<link state='up'/>", True), ("<link state='down'/>", False)]
)
def test_link_is_up_unless_it_is_said_to_be_down(inner: str, up: bool) -> None:
    assert one(PERSISTENT.replace("</interface>", f"{inner}</interface>")).nic().link_up is up


@pytest.mark.parametrize("text", [PERSISTENT, LIVE])
def test_change_replaces_the_connection_and_nothing_else(text: str) -> None:
    before = one(text)
    wanted = network_connection("q", packet_filter=OURS, isolated=True, link=before.connection)
    after = one(before.connected(wanted))
    assert after.connection == wanted
    assert (after.connection.source, after.connection.filter) == ("network:q", OURS)
    assert after.connection.port_isolated

    def rest(element: ET.Element) -> list[tuple[str, dict[str, str]]]:
        moved = {"source", "port", "filterref", "link"}
        return [(c.tag, dict(c.attrib)) for c in element if c.tag not in moved]

    assert rest(parse(after.xml)) == rest(parse(before.xml))


def test_way_back_is_exact() -> None:
    before = one(PERSISTENT.replace("<model", "<vlan><tag id='7'/></vlan><link state='down'/><model"))
    moved = one(
        before.connected(network_connection("q", packet_filter=None, isolated=True, link=before.connection))
    )
    back = one(moved.connected(before.connection))
    assert back.connection == before.connection
    assert sorted(ET.tostring(c) for c in parse(back.xml)) == sorted(
        ET.tostring(c) for c in parse(before.xml)
    )


def test_isolated_card_keeps_its_link_down() -> None:
    down = one(LIVE).connection.down()
    assert not network_connection("q", packet_filter=None, isolated=True, link=down).link_up


def test_two_cards_of_one_address_are_refused() -> None:
    domain = parse(f"<domain><devices>{PERSISTENT}{PERSISTENT}</devices></domain>")
    with pytest.raises(ProviderError, match="more than one network card") as caught:
        cards(domain, "file01")
    assert caught.value.kind is ErrorKind.CONFLICT


def test_card_without_an_address_is_refused() -> None:
    with pytest.raises(ProviderError, match="no MAC address"):
        one("<interface type='network'><source network='default'/></interface>")


def test_document_with_entities_is_not_read() -> None:
    with pytest.raises(ProviderError, match="DOCTYPE"):
        parse("<!DOCTYPE d [<!ENTITY a 'aaaa'>]><d>&a;</d>")


PLACES = {None: "default", OURS: "uplink", "theirs": "guarded"}
"""Which filter belongs on which network; the uplink must never be seen with another one than ours."""


@pytest.mark.parametrize("before", [None, OURS, "theirs"])
@pytest.mark.parametrize("after", [None, OURS, "theirs"])
def test_a_running_card_is_on_no_network_without_the_filter_that_belongs_there(
    before: str | None, after: str | None
) -> None:
    link = one(LIVE).connection
    now = network_connection(PLACES[before], packet_filter=before, isolated=False, link=link)
    wanted = network_connection(PLACES[after], packet_filter=after, isolated=False, link=link)
    moves = steps(now, wanted, OURS)
    assert moves[-1] == wanted
    for connection in (now, *moves):
        if connection.source == "network:uplink":
            assert connection.filter == OURS
    for earlier, later in zip((now, *moves), moves, strict=False):
        if earlier.source != later.source and OURS in (earlier.filter, later.filter):
            assert earlier.filter == later.filter == OURS, "libvirt changes the network before the filter"
