"""Isolation proved by packets: a Linux guest on real libvirt, peers in network namespaces.

Before isolation every probe passes, so that a failing one means something. Then, mode by mode: what is
allowed passes, everything else fails, in both directions, IPv4, IPv6, and ARP spoofing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import libvirt
import pytest

from orchestrator.contract.conformance.effect import Ledger, RecordingEffect
from orchestrator.model.endpoint import EndpointSettings
from orchestrator.model.machine import MachineRef
from orchestrator.model.network import Flow, IsolationMode, IsolationSpec, NetworkSpec, NicCapture
from orchestrator.model.secret import SecretRef
from providers.kvm import provider
from providers.kvm.adapter import KvmAdapter
from tests.rigs import host as host_rig
from tests.rigs import packets
from tests.rigs.libvirtd import PrivateLibvirtd

pytestmark = [pytest.mark.kvm, pytest.mark.packets]

SERVER, OTHER, GUEST = "198.51.100.10", "198.51.100.66", "198.51.100.21"
SERVER6, GUEST6 = "2001:db8::10", "2001:db8::21"
HOST, HOST6 = "198.51.100.1", "2001:db8::1"
MAC, NEIGHBOUR_MAC = "52:54:00:fc:00:01", "52:54:00:fc:00:02"
BR_NF = [Path(f"/proc/sys/net/bridge/bridge-nf-call-{t}tables") for t in ("ip", "ip6")]
ALLOW = (
    Flow(to=SERVER, port=445, proto="tcp", why="nightly export"),
    Flow(to=SERVER, port=53, proto="udp", why="names"),
)


@dataclass
class Site:
    """Guest, peers and the adapter under test."""

    guest: packets.Guest
    neighbour: packets.Guest
    server: packets.Peer
    other: packets.Peer
    adapter: KvmAdapter
    bridge: str
    ledger: Ledger = field(default_factory=Ledger)

    def ref(self, guest: packets.Guest) -> MachineRef:
        return MachineRef(endpoint="lab", id=guest.domain.UUIDString(), name=guest.name)

    def from_guest(self) -> dict[str, bool]:
        """What the guest reaches."""
        return self.guest.probes(
            {
                "tcp445": f"probe tcp {SERVER} 445",
                "udp53": f"probe udp {SERVER} 53",
                "tcp80": f"probe tcp {SERVER} 80",
                "udp123": f"probe udp {SERVER} 123",
                "ping": f"ping -c1 -W1 {SERVER}",
                "other445": f"probe tcp {OTHER} 445",
                "v6tcp445": f"probe tcp {SERVER6} 445",
                "v6ping": f"ping6 -c1 -W1 {SERVER6}",
            }
        )

    def to_guest(self) -> dict[str, bool]:
        """What reaches the guest. It serves 445 and 8080."""
        return {
            "tcp8080": self.server.reaches("tcp", GUEST, 8080),
            "udp8080": self.server.reaches("udp", GUEST, 8080),
            "tcp445 from the service's port": self.server.reaches("tcp", GUEST, 445, 4450),
            "ping": self.server.pings(GUEST),
            "other": self.other.reaches("tcp", GUEST, 8080),
            "v6": self.server.reaches("tcp", GUEST6, 8080),
        }

    def poisoned(self) -> bool:
        """Let the guest claim the other peer's address; tell whether the server believes it."""
        honest = self.other.run("cat", "/sys/class/net/eth0/address").stdout.strip()
        self.server.believes(OTHER, honest)
        self.guest.run(
            f"ip addr add {OTHER}/32 dev eth0; arping -c 2 -U -I eth0 -s {OTHER} {OTHER};"
            f" arping -c 2 -A -I eth0 -s {OTHER} {SERVER}; ip addr del {OTHER}/32 dev eth0"
        )
        believed = self.server.mac_of(OTHER) != honest
        self.server.believes(OTHER, honest)
        return believed


@pytest.fixture(scope="module")
def site(libvirtd: PrivateLibvirtd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if lacking := packets.missing():
        pytest.skip(f"packet tests need: {', '.join(lacking)}")
    kernel, initrd, probe = packets.build(tmp_path_factory.mktemp("guest"))
    bridge = libvirtd.bridge_name()
    packets.make_bridge(bridge)
    number = os.getpid() % 100_000
    server = packets.Peer(f"fps{number}", bridge, probe, f"{SERVER}/24", f"{SERVER6}/64")
    other = packets.Peer(f"fpo{number}", bridge, probe, f"{OTHER}/24", "2001:db8::66/64")
    guest = packets.Guest(libvirtd, f"fpg{number}", MAC, bridge, kernel, initrd)
    neighbour = packets.Guest(libvirtd, f"fpn{number}", NEIGHBOUR_MAC, bridge, kernel, initrd)
    for peer in (server, other):
        peer.serve(445, 53, 80, 123)
    adapter = provider.open(
        EndpointSettings(name="lab", provider="kvm", settings={"uri": libvirtd.uri}), _secret
    )
    start(guest, f"{GUEST}/24", f"{GUEST6}/64")
    start(neighbour, "198.51.100.22/24", "2001:db8::22/64")
    yield Site(guest, neighbour, server, other, adapter, bridge)
    adapter.close()
    for thing in (guest, neighbour, server, other):
        thing.remove()
    packets.run("ip", "link", "del", bridge)


def _secret(ref: SecretRef) -> str:
    raise AssertionError(ref)


def start(guest: packets.Guest, *addresses: str) -> None:
    guest.boot()
    guest.addressed(*addresses)
    # In a shell of its own, so that no later `wait` waits for it.
    guest.run("( probe serve 445 8080 >/dev/null 2>&1 & )")


class Isolated:
    """Isolates a guest for the length of a `with` block, as the engine does, and gives it back."""

    def __init__(
        self, site: Site, guest: packets.Guest, spec: IsolationSpec, addresses: tuple[str, ...] = ()
    ) -> None:
        self.site, self.ref, self.spec, self.addresses = site, site.ref(guest), spec, addresses
        self.ledger = site.ledger
        self.captures: tuple[NicCapture, ...] = ()

    def __enter__(self) -> None:
        effect = RecordingEffect("ferry.packets.host.isolate", self.ledger)
        role = self.site.adapter.isolation
        self.captures = role.capture(self.ref)
        if self.spec.network is not None:
            role.ensure_network(self.spec.network, effect)
        role.ensure_isolated(self.ref, self.spec, self.addresses, effect)
        evidence = role.verify(self.ref, self.spec)
        assert evidence.holds, [f for f in evidence.findings if not f.ok]

    def __exit__(self, *_: object) -> None:
        effect = RecordingEffect("ferry.packets.host.release", self.ledger)
        self.site.adapter.isolation.ensure_released(self.ref, self.captures, effect)
        if self.spec.network is not None:
            self.site.adapter.isolation.ensure_network_removed(self.spec.network, effect)


def sealed() -> IsolationSpec:
    mode = IsolationMode.SEALED
    return IsolationSpec(mode=mode, network=NetworkSpec(name="packets-sealed", mode=mode, create=True))


def filtered(site: Site, *allow: Flow) -> IsolationSpec:
    mode = IsolationMode.FILTERED
    network = NetworkSpec(name="packets-filtered", mode=mode, create=True, uplink=site.bridge, allow=allow)
    return IsolationSpec(mode=mode, network=network)


def passing(found: dict[str, bool]) -> set[str]:
    return {name for name, passed in found.items() if passed}


def test_before_isolation_everything_passes_and_spoofing_works(site: Site) -> None:
    assert packets.settle(lambda: all(site.from_guest().values())), site.from_guest()
    assert all(site.to_guest().values()), site.to_guest()
    assert site.poisoned()


def test_unplugged_lets_nothing_through(site: Site) -> None:
    with Isolated(site, site.guest, IsolationSpec(mode=IsolationMode.UNPLUGGED)):
        assert passing(site.from_guest()) == set()
        assert passing(site.to_guest()) == set()
        assert not site.poisoned()


def test_sealed_lets_nothing_through_not_even_between_neighbours(site: Site) -> None:
    with Isolated(site, site.guest, sealed()), Isolated(site, site.neighbour, sealed()):
        assert passing(site.from_guest()) == set()
        assert passing(site.to_guest()) == set()
        assert not site.poisoned()
        neighbours = site.neighbour.probes(
            {
                "v4": f"probe tcp {GUEST} 8080",
                "v6": f"probe tcp {GUEST6} 8080",
                "ping": f"ping -c1 -W1 {GUEST}",
            }
        )
        assert passing(neighbours) == set()
        # The host itself: the bridge bears no address of either family, not even a link-local one.
        name = libvirt.open(site.guest.daemon.uri).networkLookupByName("packets-sealed").bridgeName()
        assert "inet" not in packets.run("ip", "addr", "show", "dev", name).stdout


@pytest.mark.parametrize("known", [(), (GUEST,)], ids=["address unknown", "address known"])
def test_filtered_lets_the_allowed_flows_and_their_replies_through_and_nothing_else(
    site: Site, known: tuple[str, ...]
) -> None:
    with Isolated(site, site.guest, filtered(site, *ALLOW), known):
        assert packets.settle(lambda: passing(site.from_guest()) == {"tcp445", "udp53"}), site.from_guest()
        assert passing(site.to_guest()) == set()
        # Another guest on the same uplink is a stranger, too.
        assert not site.neighbour.probes({"tcp": f"probe tcp {GUEST} 8080"})["tcp"]


def test_filtered_with_a_known_address_lets_nobody_be_impersonated(site: Site) -> None:
    with Isolated(site, site.guest, filtered(site, *ALLOW), (GUEST,)):
        assert not site.poisoned()
        site.guest.run("ip addr del 198.51.100.21/24 dev eth0; ip addr add 198.51.100.77/24 dev eth0")
        stolen = site.from_guest()
        site.guest.run("ip addr del 198.51.100.77/24 dev eth0; ip addr add 198.51.100.21/24 dev eth0")
        assert passing(stolen) == set(), "frames with a foreign IP address do not pass"
        foreign = "ip link set eth0 down; ip link set eth0 address {}; ip link set eth0 up"
        site.guest.run(foreign.format("52:54:00:fc:00:99"))
        forged = site.from_guest()
        site.guest.run(foreign.format(MAC))
        site.guest.run(f"ip addr add {GUEST6}/64 dev eth0")
        assert passing(forged) == set(), "frames with a foreign MAC address do not pass"


def test_filtered_by_ipv6_lets_that_flow_through_and_no_other(site: Site) -> None:
    with Isolated(site, site.guest, filtered(site, Flow(to=SERVER6, port=445, proto="tcp")), (GUEST, GUEST6)):
        assert packets.settle(lambda: passing(site.from_guest()) == {"v6tcp445"}), site.from_guest()
        assert passing(site.to_guest()) == set()


@pytest.mark.parametrize("value", ["0", "1"])
def test_filtered_does_not_depend_on_br_netfilter(site: Site, value: str) -> None:
    isolated = Isolated(site, site.guest, filtered(site, *ALLOW), (GUEST,))
    with host_rig.written(BR_NF, value), isolated:
        assert packets.settle(lambda: passing(site.from_guest()) == {"tcp445", "udp53"}), site.from_guest()
        assert passing(site.to_guest()) == set()


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
        assert packets.settle(lambda: passing(site.from_guest()) == {"tcp445", "udp53"}), site.from_guest()
        assert passing(site.to_guest()) == set()


def test_after_release_everything_passes_again(site: Site) -> None:
    assert packets.settle(lambda: all(site.from_guest().values())), site.from_guest()
    assert packets.settle(lambda: all(site.to_guest().values())), site.to_guest()
