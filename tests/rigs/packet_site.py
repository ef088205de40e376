"""The site of the packet tests: a Linux guest and a neighbour on a private libvirtd, peers in network
namespaces, the adapter under test; and how a guest is isolated there for a while."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.contract.conformance.effect import Ledger, RecordingEffect
from orchestrator.model.endpoint import EndpointSettings
from orchestrator.model.machine import MachineRef
from orchestrator.model.network import IsolationSpec, NicCapture
from orchestrator.model.secret import SecretRef
from providers.kvm import provider
from providers.kvm.adapter import KvmAdapter
from tests.rigs import packets
from tests.rigs.frames import frames
from tests.rigs.libvirtd import PrivateLibvirtd

SERVER, OTHER, GUEST = "198.51.100.10", "198.51.100.66", "198.51.100.21"
NEIGHBOUR, HOST = "198.51.100.22", "198.51.100.1"
SERVER6, GUEST6 = "2001:db8::10", "2001:db8::21"
NEIGHBOUR6, HOST6 = "2001:db8::22", "2001:db8::1"
MAC, NEIGHBOUR_MAC = "52:54:00:fc:00:01", "52:54:00:fc:00:02"


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
                "udp445": f"probe udp {SERVER} 445",
                "tcp53": f"probe tcp {SERVER} 53",
                "ping": f"ping -c1 -W1 {SERVER}",
                "other445": f"probe tcp {OTHER} 445",
                "v6tcp445": f"probe tcp {SERVER6} 445",
                "v6ping": f"ping6 -c1 -W1 {SERVER6}",
            }
        )

    def to_guest(self) -> dict[str, bool]:
        """What reaches the guest. It serves 445 and 8080."""
        probes: dict[str, Callable[[], bool]] = {
            "tcp8080": lambda: self.server.reaches("tcp", GUEST, 8080),
            "udp8080": lambda: self.server.reaches("udp", GUEST, 8080),
            "tcp445 from the service's port": lambda: self.server.reaches("tcp", GUEST, 445, 445),
            "udp445 from the service's port": lambda: self.server.reaches("udp", GUEST, 445, 53),
            "ping": lambda: self.server.pings(GUEST),
            "other": lambda: self.other.reaches("tcp", GUEST, 8080),
            "v6": lambda: self.server.reaches("tcp", GUEST6, 8080),
        }
        with ThreadPoolExecutor(len(probes)) as pool:
            return dict(zip(probes, pool.map(lambda probe: probe(), probes.values()), strict=True))

    def between(self) -> dict[str, bool]:
        """What the two guests reach of each other."""
        there = self.guest.probes(_to(NEIGHBOUR, NEIGHBOUR6, "there"))
        return there | self.neighbour.probes(_to(GUEST, GUEST6, "back"))

    def frames(self) -> dict[str, bool]:
        """Which frames made by hand cross, out and in."""
        found = {}
        ways = (("out", self.guest, self.server), ("in", self.server, self.guest))
        for way, sender, receiver in ways:
            ends = (GUEST, SERVER, GUEST6) if way == "out" else (SERVER, GUEST, SERVER6)
            sent = frames(*ends)
            receiver.hear()
            sender.shout(sent)
            heard = receiver.heard()
            found |= {f"{way} {name}": name in heard for name in sent}
        return found

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


def _to(address: str, address6: str, way: str) -> dict[str, str]:
    return {
        f"{way}-v4": f"probe tcp {address} 8080",
        f"{way}-v6": f"probe tcp {address6} 8080",
        f"{way}-ping": f"ping -c1 -W1 {address}",
    }


@contextmanager
def packet_site(libvirtd: PrivateLibvirtd, folder: Path) -> Iterator[Site]:
    """Build the site and boot its guests; the guest's kernel and programs are put into `folder`."""
    kernel, initrd, probe = packets.build(folder)
    bridge = libvirtd.bridge_name()
    packets.make_bridge(bridge)
    number = os.getpid() % 100_000
    server = packets.Peer(f"fps{number}", bridge, probe, f"{SERVER}/24", f"{SERVER6}/64")
    other = packets.Peer(f"fpo{number}", bridge, probe, f"{OTHER}/24", "2001:db8::66/64")
    guest = packets.Guest(libvirtd, f"fpg{number}", MAC, bridge, kernel, initrd)
    neighbour = packets.Guest(libvirtd, f"fpn{number}", NEIGHBOUR_MAC, bridge, kernel, initrd)
    for peer in (server, other):
        peer.serve(445, 53, 80, 123)
    endpoint = EndpointSettings(name="lab", provider="kvm", settings={"uri": libvirtd.uri})
    adapter = provider.open(endpoint, _secret)
    start(guest, f"{GUEST}/24", f"{GUEST6}/64")
    start(neighbour, f"{NEIGHBOUR}/24", f"{NEIGHBOUR6}/64")
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
