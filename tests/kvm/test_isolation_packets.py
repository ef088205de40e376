"""Isolation proved by packets: a Linux guest on real libvirt, peers in network namespaces.

Before isolation every probe passes, so that a failing one means something. Then, mode by mode: what is
allowed passes, everything else fails, in both directions, IPv4, IPv6, frames made by hand, and ARP spoofing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import libvirt
import pytest

from orchestrator.model.network import Flow, IsolationMode, IsolationSpec, NetworkSpec
from tests.rigs import host as host_rig
from tests.rigs import packets
from tests.rigs.frames import datagram
from tests.rigs.libvirtd import PrivateLibvirtd
from tests.rigs.packet_site import (
    GUEST,
    GUEST6,
    HOST,
    HOST6,
    MAC,
    OTHER,
    SERVER,
    SERVER6,
    Isolated,
    Site,
    packet_site,
    start,
)

pytestmark = [pytest.mark.kvm, pytest.mark.packets]

BR_NF = [Path(f"/proc/sys/net/bridge/bridge-nf-call-{t}tables") for t in ("ip", "ip6")]
ALLOW = (
    Flow(to=SERVER, port=445, proto="tcp", why="nightly export"),
    Flow(to=SERVER, port=53, proto="udp", why="names"),
)


@pytest.fixture(scope="module")
def site(libvirtd: PrivateLibvirtd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if lacking := packets.missing():
        pytest.skip(f"packet tests need: {', '.join(lacking)}")
    with packet_site(libvirtd, tmp_path_factory.mktemp("guest")) as made:
        yield made


def sealed() -> IsolationSpec:
    mode = IsolationMode.SEALED
    return IsolationSpec(mode=mode, network=NetworkSpec(name="packets-sealed", mode=mode, create=True))


def filtered(site: Site, *allow: Flow) -> IsolationSpec:
    mode = IsolationMode.FILTERED
    network = NetworkSpec(name="packets-filtered", mode=mode, create=True, uplink=site.bridge, allow=allow)
    return IsolationSpec(mode=mode, network=network)


def passing(found: dict[str, bool]) -> set[str]:
    return {name for name, passed in found.items() if passed}


def only(site: Site, *allowed: str) -> None:
    """What is allowed passes, if need be when the bridge has learned where the guest is; nothing else does,
    not even at first."""

    def through() -> bool:
        found = passing(site.from_guest())
        assert found <= set(allowed)
        return found == set(allowed)

    assert packets.settle(through)
    assert passing(site.to_guest()) == set()
    assert passing(site.frames()) == set()


def everything_passes(site: Site) -> None:
    for look in (site.from_guest, site.to_guest, site.between, site.frames):
        assert packets.settle(lambda look=look: all(look().values())), set(found := look()) - passing(found)


def test_before_isolation_everything_passes_and_spoofing_works(site: Site) -> None:
    everything_passes(site)
    assert site.poisoned()


def test_unplugged_lets_nothing_through(site: Site) -> None:
    with Isolated(site, site.guest, IsolationSpec(mode=IsolationMode.UNPLUGGED)):
        only(site)
        assert passing(site.between()) == set()
        assert not site.poisoned()


def test_sealed_lets_nothing_through_not_even_between_neighbours(site: Site) -> None:
    with Isolated(site, site.guest, sealed()), Isolated(site, site.neighbour, sealed()):
        only(site)
        assert passing(site.between()) == set()
        assert not site.poisoned()
        # The host itself: the bridge bears no address of either family, not even a link-local one.
        name = libvirt.open(site.guest.daemon.uri).networkLookupByName("packets-sealed").bridgeName()
        assert "inet" not in packets.run("ip", "addr", "show", "dev", name).stdout


@pytest.mark.parametrize("known", [(), (GUEST,)], ids=["address unknown", "address known"])
def test_filtered_lets_the_allowed_flows_and_their_replies_through_and_nothing_else(
    site: Site, known: tuple[str, ...]
) -> None:
    with Isolated(site, site.guest, filtered(site, *ALLOW), known):
        only(site, "tcp445", "udp53")
        # Another guest on the same uplink is a stranger, too.
        assert passing(site.between()) == set()


def test_filtered_keeps_an_allowed_service_from_reserved_ports_only(site: Site) -> None:
    """The limit that the filter's description admits: without TCP flags a reply and a connection from the
    service's own port look alike."""
    with Isolated(site, site.guest, filtered(site, *ALLOW), (GUEST,)):
        assert packets.settle(lambda: site.server.reaches("tcp", GUEST, 8080, 445))
        assert not site.server.reaches("tcp", GUEST, 445, 445)
        assert not site.server.reaches("tcp", GUEST, 8080, 80)


def test_filtered_with_a_known_address_lets_nobody_be_impersonated(site: Site) -> None:
    """One way is enough for a lie: nothing waits for an answer here."""
    forged = "52:54:00:fc:00:99"
    questions = {name: datagram(name, ip, SERVER) for name, ip in (("own", GUEST), ("foreign", OTHER))}

    def told() -> set[str]:
        site.server.hear()
        site.guest.shout(questions)
        return site.server.heard()

    assert packets.settle(lambda: told() == {"own", "foreign"})
    with Isolated(site, site.guest, filtered(site, *ALLOW), (GUEST,)):
        assert not site.poisoned()
        assert packets.settle(lambda: told() == {"own"})
        site.server.believes(GUEST, MAC)
        with mac_address(site.guest, forged):
            assert told() == set(), "frames with a foreign MAC address do not pass"
            assert not announced(site, forged)
    with mac_address(site.guest, forged):
        assert told() == {"own", "foreign"}
        assert announced(site, forged), "but without the filter"


@contextmanager
def mac_address(guest: packets.Guest, mac: str) -> Iterator[None]:
    change = "ip link set eth0 down; ip link set eth0 address {}; ip link set eth0 up"
    guest.run(change.format(mac))
    yield
    guest.run(change.format(MAC))
    # It went with the link.
    guest.run(f"ip addr add {GUEST6}/64 dev eth0")


def announced(site: Site, mac: str) -> bool:
    """Let the guest announce its own address; tell whether the server believes it to be at `mac`."""
    site.guest.run(f"arping -c 2 -U -I eth0 -s {GUEST} {GUEST}; arping -c 2 -A -I eth0 -s {GUEST} {SERVER}")
    return site.server.mac_of(GUEST) == mac


def test_filtered_by_ipv6_lets_that_flow_through_and_no_other(site: Site) -> None:
    with Isolated(site, site.guest, filtered(site, Flow(to=SERVER6, port=445, proto="tcp")), (GUEST, GUEST6)):
        only(site, "v6tcp445")


@pytest.mark.parametrize("value", ["0", "1"])
def test_filtered_does_not_depend_on_br_netfilter(site: Site, value: str) -> None:
    isolated = Isolated(site, site.guest, filtered(site, *ALLOW), (GUEST,))
    with host_rig.written(BR_NF, value), isolated:
        only(site, "tcp445", "udp53")


@pytest.fixture
def host(site: Site) -> Iterator[host_rig.Host]:
    """The host as lax as it can be: it takes packets for any of its addresses from any card."""
    conf = Path("/proc/sys/net")
    lax = [conf / f"ipv4/conf/{card}/rp_filter" for card in ("all", "default", site.bridge)]
    host = host_rig.Host(f"fph{os.getpid() % 100_000}", HOST, HOST6)
    try:
        with host_rig.written([*lax, conf / f"ipv6/conf/{site.bridge}/disable_ipv6"], "0"):
            yield host
    finally:
        host.remove()


def reached(site: Site, host: host_rig.Host, bridge: str) -> set[str]:
    """How the guest reaches the host through the bridge that it is on, answered or not."""
    mac = Path(f"/sys/class/net/{bridge}/address").read_text().strip()
    gate = host_rig.link_local(mac)
    for address in (HOST, HOST6):
        host.heard(address)
    # A hostile guest needs no ARP to know where to send to.
    site.guest.run(f"arp -s {HOST} {mac}; ip -6 route add {HOST6}/128 via {gate} dev eth0")
    found = site.guest.probes(
        {
            "arp": f"arping -c1 -w1 -I eth0 {HOST}",
            "link-local": f"ping6 -c1 -W1 {gate}%eth0",
            "v4": f"probe udp {HOST} {host.port(HOST)}",
            "v6": f"probe udp {HOST6} {host.port(HOST6)}",
        }
    )
    site.guest.run(f"arp -d {HOST}; ip -6 route del {HOST6}/128")
    found |= {"v4": host.heard(HOST), "v6": host.heard(HOST6)}
    return passing(found)


def test_not_even_the_host_itself_is_in_reach(site: Site, host: host_rig.Host) -> None:
    everything = {"arp", "link-local", "v4", "v6"}
    assert packets.settle(lambda: reached(site, host, site.bridge) == everything), "it is, before isolation"
    with Isolated(site, site.guest, sealed()):
        name = libvirt.open(site.guest.daemon.uri).networkLookupByName("packets-sealed").bridgeName()
        assert reached(site, host, name) == set()
    with Isolated(site, site.guest, filtered(site, *ALLOW), (GUEST,)):
        # A question by ARP under one's own address is allowed there; nothing can be sent to who answers.
        assert reached(site, host, site.bridge) == {"arp"}


def test_filtered_holds_after_a_power_cycle(site: Site) -> None:
    with Isolated(site, site.guest, filtered(site, *ALLOW), (GUEST,)):
        site.guest.cut_power()
        start(site.guest, f"{GUEST}/24", f"{GUEST6}/64")
        only(site, "tcp445", "udp53")


def test_after_release_everything_passes_again(site: Site) -> None:
    everything_passes(site)
