"""What libvirt reports: machines, networks, golden images. Reads only, in bulk: for each machine its XML and
its snapshots, all else at once."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import libvirt

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.model.endpoint import EndpointInfo
from orchestrator.model.machine import Claim, GuestOs, Listed, Machine, MachineRef
from orchestrator.model.network import Network
from orchestrator.model.target import GoldenImage
from providers.kvm.cards import parse
from providers.kvm.chain import Layer
from providers.kvm.chain import below as header_below
from providers.kvm.claims import read_claims
from providers.kvm.convert import (
    Around,
    SnapshotView,
    agent_connected,
    layers,
    to_guest,
    to_listed,
    to_machine,
    to_snapshot,
)
from providers.kvm.faults import conflict, not_found
from providers.kvm.images import Images
from providers.kvm.link import Link
from providers.kvm.networks import to_network

T = TypeVar("T")

_AGENT_SECONDS = 5
_STATS = libvirt.VIR_DOMAIN_STATS_STATE | libvirt.VIR_DOMAIN_STATS_BLOCK
_NOWAIT = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
"""A domain that is busy is not waited for: libvirt leaves out what it would have to ask QEMU."""


class KvmInventory:
    """The Inventory role. `images` finds golden images."""

    def __init__(self, link: Link, images: Images) -> None:
        self._link = link
        self._images = images

    def about(self) -> EndpointInfo:
        """See the contract. The identity is libvirt's host uuid: without a DMI table set `host_uuid` in
        libvirtd.conf."""
        conn = self._link.conn()
        text, own, hypervisor = self._link.read(
            "ask libvirt about itself",
            lambda: (conn.getCapabilities(), conn.getLibVersion(), conn.getVersion()),
        )
        root = parse(text)
        accelerated = root.find("guest/arch[@name='x86_64']/domain[@type='kvm']") is not None
        notes = [
            "KVM acceleration is offered"
            if accelerated
            else "no KVM acceleration: guests are emulated (slow)",
            "libvirtd is on this machine" if self._link.local else "libvirtd is on another machine",
        ]
        return EndpointInfo(
            identity=f"libvirt:{root.findtext('host/uuid', '')}",
            product=f"libvirt with {conn.getType()}",
            version=f"libvirt {_version(own)}, {conn.getType()} {_version(hypervisor)}",
            notes=tuple(notes),
        )

    def machines(self, names: Sequence[str] | None = None) -> tuple[Machine, ...]:
        """See the contract. Ordered by name."""
        conn = self._link.conn()
        if names is None:
            everything = self._link.read("list the machines", conn.getAllDomainStats, _STATS, _NOWAIT)
            return self._observed(everything, read_claims(self._link) if everything else {})
        return self._these({d.UUIDString(): d for name in names for d in self._named(conn, name)})

    def listing(self) -> tuple[Listed, ...]:
        """See the contract. One call for all, one for each machine's XML; and where this connection may ask,
        those whose agent is connected are asked, which a silent one makes slow."""
        conn = self._link.conn()
        state = libvirt.VIR_DOMAIN_STATS_STATE
        counted = self._link.read("list the machines", conn.getAllDomainStats, state, _NOWAIT)
        listed = [one for domain, stats in counted if (one := self._listed(domain, stats)) is not None]
        return tuple(sorted(listed, key=lambda one: one.ref.name))

    def machine(self, ref: MachineRef) -> Machine:
        """Return one machine. Raises ProviderError: NOT_FOUND."""
        for machine in self._these({ref.id: self._link.domain(ref)}):
            return machine
        gone = f"machine {ref.name} ({ref.id}) on {ref.endpoint}"
        raise not_found(gone)

    def networks(self) -> tuple[Network, ...]:
        """See the contract."""
        found = []
        for network in self._link.read("list the networks", lambda: self._link.conn().listAllNetworks()):
            text = self._link.find("read a network", network.XMLDesc)
            active = self._link.find("read a network", network.isActive)
            if text is not None and active is not None:
                found.append(to_network(text, active=bool(active)))
        return tuple(sorted(found, key=lambda n: n.name))

    def images(self, names: Sequence[str]) -> tuple[GoldenImage, ...]:
        """See the contract."""
        return self._images.find(names)

    def below(self, layer: Layer) -> Layer | None:
        """Return the image below one that no running domain tells of: by its header here, by its storage
        volume elsewhere."""
        if self._link.local:
            return header_below(layer)
        if layer.format != "qcow2":
            return None
        volume = self._link.find(
            "look up a volume", lambda: self._link.conn().storageVolLookupByPath(layer.path)
        )
        text = None if volume is None else self._link.find("read a volume", volume.XMLDesc)
        backing = None if text is None else parse(text).find("backingStore")
        path = None if backing is None else backing.findtext("path")
        if backing is None or not path:
            return None
        kind = backing.find("format")
        return Layer(path, "" if kind is None else kind.get("type", ""))

    def chains(self, domain: Any) -> dict[str, tuple[Layer, ...]]:
        """Return the image chain of each disk of a domain that has a source, by the disk's key."""
        return layers(self._link.read("read a machine", domain.XMLDesc), self.below)

    def snapshots(self, domain: Any) -> tuple[SnapshotView, ...]:
        """Return a domain's snapshots, oldest first."""
        found = self._link.read("list the snapshots", domain.listAllSnapshots)
        texts = [self._link.find("read a snapshot", snapshot.getXMLDesc) for snapshot in found]
        views = [to_snapshot(text) for text in texts if text is not None]
        return tuple(sorted(views, key=lambda v: (str(v.snapshot.created_at), v.snapshot.name)))

    def _these(self, domains: Mapping[str, Any]) -> tuple[Machine, ...]:
        """Read these domains, by uuid. libvirt leaves out of the statistics what went away meanwhile."""
        if not domains:
            return ()
        conn = self._link.conn()
        what = "read the machines"
        stats = self._link.read(what, conn.domainListGetStats, [*domains.values()], _STATS, _NOWAIT)
        if busy := [domain for domain, counted in stats if _left_out(counted)]:
            # Named machines are asked for to be changed: here an unknown size would count as a change later.
            # libvirt itself waits at most half a minute, then tells what it can.
            asked = self._link.read(what, conn.domainListGetStats, busy, _STATS, 0)
            stats = [pair for pair in stats if not _left_out(pair[1])] + asked
        return self._observed(stats, read_claims(self._link, domains.keys()))

    def _observed(
        self, stats: Sequence[tuple[Any, dict[str, Any]]], claims: Mapping[str, Claim]
    ) -> tuple[Machine, ...]:
        found = [m for domain, counted in stats if (m := self._machine(domain, counted, claims)) is not None]
        return tuple(sorted(found, key=lambda m: m.ref.name))

    def _named(self, conn: Any, name: str) -> list[Any]:
        by_name = self._link.find(f"look up machine {name}", conn.lookupByName, name)
        by_id = self._quietly(lambda: conn.lookupByUUIDString(name)) if len(name) >= 32 else None
        if by_name is not None and by_id is not None and by_name.UUIDString() != by_id.UUIDString():
            message = f"{name} is the name of one machine and the id of another"
            raise conflict(message, "name the machine by its uuid")
        return [domain for domain in (by_name, by_id) if domain is not None][:1]

    def _listed(self, domain: Any, stats: Mapping[str, Any]) -> Listed | None:
        text = self._link.find("read a machine", domain.XMLDesc)
        if text is None:
            return None
        guest = self._guest(domain) if agent_connected(text) else None
        return to_listed(self._link.endpoint, text, stats, guest)

    def _machine(self, domain: Any, stats: dict[str, Any], claims: Mapping[str, Claim]) -> Machine | None:
        """Read one domain; None when it went away meanwhile."""
        try:
            text = self._link.read("read a machine", domain.XMLDesc)
            views = self.snapshots(domain)
            guest = self._guest(domain) if agent_connected(text) else None
        except ProviderError as error:
            if error.kind is ErrorKind.NOT_FOUND:
                return None
            raise
        around = Around(stats, tuple(v.snapshot for v in views), claims.get(domain.UUIDString()), guest)
        return to_machine(self._link.endpoint, text, around, self.below)

    def _guest(self, domain: Any) -> GuestOs | None:
        """Ask the guest agent, if this connection may. One that does not answer in time is as good as
        none."""
        if self._link.read_only:
            return None
        kinds = libvirt.VIR_DOMAIN_GUEST_INFO_OS | libvirt.VIR_DOMAIN_GUEST_INFO_HOSTNAME

        def ask() -> GuestOs:
            domain.agentSetResponseTimeout(_AGENT_SECONDS)
            return to_guest(domain.guestInfo(kinds))

        return self._quietly(ask)

    def _quietly(self, call: Callable[[], T]) -> T | None:
        try:
            return self._link.read("ask", call)
        except ProviderError:
            return None


def _left_out(counted: Mapping[str, Any]) -> bool:
    """Tell whether statistics hold the size of no disk at all, though there are disks."""
    return bool(counted.get("block.count")) and not any(key.endswith(".capacity") for key in counted)


def _version(number: int) -> str:
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"
