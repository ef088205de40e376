"""Cut a machine off, prove it, give it back: the Isolation role on libvirt.

Every card is changed by libvirt's own update call, first the persistent definition, then the running machine,
so that a machine started in between starts isolated. A running card gets its filter before it is moved, and
keeps it until it has moved back: at no moment is it on its new network unfiltered.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import libvirt

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.provider import Effect, unsupported
from orchestrator.model.machine import Machine, MachineRef
from orchestrator.model.network import (
    IsolationEvidence,
    IsolationMode,
    IsolationSpec,
    Network,
    NetworkSpec,
    NicCapture,
)
from providers.kvm import networkrole
from providers.kvm.cards import Card, Connection, card, cards, network_connection, parse
from providers.kvm.faults import conflict, permanent
from providers.kvm.hindrances import obstacle, read_network
from providers.kvm.inventory import KvmInventory
from providers.kvm.link import Link, act
from providers.kvm.machinefilter import MachineFilter, rules_by_name
from providers.kvm.netfilter import Rule, filtered_rules, read_filter, sealed_rules
from providers.kvm.netview import look
from providers.kvm.proof import Binding, Scene, findings

_CONFIG, _LIVE = libvirt.VIR_DOMAIN_AFFECT_CONFIG, libvirt.VIR_DOMAIN_AFFECT_LIVE
_INACTIVE = libvirt.VIR_DOMAIN_XML_INACTIVE


@dataclass(frozen=True, slots=True)
class Seen:
    """A domain with its cards by MAC address; `live` is None while it is stopped."""

    domain: Any
    persistent: Mapping[str, Card]
    live: Mapping[str, Card] | None

    def cards(self) -> Iterator[tuple[int, Card]]:
        """Yield each card with the flag of its definition, the persistent ones first."""
        for flag, found in ((_CONFIG, self.persistent), (_LIVE, self.live or {})):
            for one in found.values():
                yield flag, one


@dataclass(frozen=True, slots=True)
class Former:
    """A card before isolation; `filter` is the definition of an earlier run's filter that was bound."""

    config: Card
    live: Card | None
    filter: str | None


class KvmIsolation:
    """The Isolation role."""

    def __init__(self, link: Link, inventory: KvmInventory) -> None:
        self._link = link
        self._inventory = inventory

    def ensure_network(self, spec: NetworkSpec, effect: Effect) -> Network:
        """See the contract."""
        return networkrole.ensure_network(self._link, spec, effect)

    def ensure_network_removed(self, spec: NetworkSpec, effect: Effect) -> bool:
        """See the contract."""
        return networkrole.ensure_network_removed(self._link, spec, effect)

    def capture(self, ref: MachineRef) -> tuple[NicCapture, ...]:
        """See the contract. `restore` is JSON with the card's XML, {"config": ..., "live": ... or null}, and
        the "filter" of an earlier run, if it is bound to one of the machine's cards."""
        seen = self._seen(ref)
        _refuse_unequal(seen, ref)
        earlier = MachineFilter(self._link, ref)
        bound = any(one.connection.filter == earlier.name for _, one in seen.cards())
        text = earlier.text() if bound else None
        return tuple(_captured(one, (seen.live or {}).get(one.mac), text) for one in seen.persistent.values())

    def ensure_isolated(
        self, ref: MachineRef, spec: IsolationSpec, addresses: Sequence[str], effect: Effect
    ) -> Machine:
        """See the contract."""
        if spec.network is not None and spec.network.site_filter is not None:
            what = "a network that the site filters itself"
            raise unsupported(what, "ferry makes and proves the filter here: name an uplink instead")
        seen = self._seen(ref)
        _refuse_unequal(seen, ref)
        if spec.network is not None and spec.mode is not IsolationMode.UNPLUGGED:
            networkrole.usable_network(self._link, spec.network)
        packet_filter = MachineFilter(self._link, ref)
        self._refuse_immovable(seen, spec, packet_filter.name)
        if spec.network is not None and spec.mode is not IsolationMode.UNPLUGGED:
            packet_filter.ensure(_rules(spec.mode, spec.network, addresses), effect)
        for flag, one in seen.cards():
            wanted = _wanted(one, spec, packet_filter.name)
            self._connect(seen, ref, flag, one, wanted, effect)
        return self._inventory.machine(ref)

    def verify(self, ref: MachineRef, spec: IsolationSpec) -> IsolationEvidence:
        """See the contract."""
        seen = self._seen(ref)
        moved = spec.mode is not IsolationMode.UNPLUGGED
        names = {one.connection.filter for _, one in seen.cards() if moved and one.connection.filter}
        taps = {one.tap for one in (seen.live or {}).values() if moved and one.tap}
        scene = Scene(
            persistent=seen.persistent,
            live=seen.live,
            network=None if spec.network is None else read_network(self._link, spec.network.name),
            filters=rules_by_name(self._link, names),
            bindings=self._bindings(taps),
            host=look(chains=moved and seen.live is not None) if self._link.local else None,
        )
        return IsolationEvidence(mode=spec.mode, findings=findings(spec, scene))

    def ensure_released(self, ref: MachineRef, captures: Sequence[NicCapture], effect: Effect) -> Machine:
        """See the contract."""
        seen = self._seen(ref)
        former = {capture.key: _restore(capture) for capture in captures}
        earlier = next((one.filter for one in former.values() if one.filter is not None), None)
        if set(former) != set(seen.persistent) or set(former) != set(seen.live or former):
            message = f"the network cards of {ref.name} are not those that were there before isolation"
            raise conflict(message, "give them back by hand, from the captures in the run's evidence")
        for flag, one in seen.cards():
            was = former[one.mac]
            # Stopped when it was captured and running now: it gets what it would have started with.
            wanted = (was.config if flag == _CONFIG or was.live is None else was.live).connection
            self._connect(seen, ref, flag, one, wanted, effect)
        if earlier is None:
            MachineFilter(self._link, ref).ensure_removed(effect)
        else:
            MachineFilter(self._link, ref).ensure_restored(earlier, effect)
        return self._inventory.machine(ref)

    def _seen(self, ref: MachineRef) -> Seen:
        domain = self._link.domain(ref)
        what = f"read machine {ref.name}"
        persistent = parse(self._link.read(what, domain.XMLDesc, _INACTIVE))
        running = self._link.read(what, domain.isActive)
        live = cards(parse(self._link.read(what, domain.XMLDesc, 0)), ref.name) if running else None
        return Seen(domain, cards(persistent, ref.name), live)

    def _connect(
        self, seen: Seen, ref: MachineRef, flag: int, one: Card, wanted: Connection, effect: Effect
    ) -> None:
        """Give one card another connection; a running one in two moves, so that it is never unfiltered."""
        if one.connection == wanted:
            return
        ours = MachineFilter(self._link, ref).name
        moves = [wanted] if flag == _CONFIG else steps(one.connection, wanted, ours)
        where = "persistent definition" if flag == _CONFIG else "running"
        for connection in moves:
            what = f"connect card {one.mac} of {ref.name} ({where}) to {connection.source}"
            act(effect, what, seen.domain.updateDeviceFlags, one.connected(connection), flag)

    def _refuse_immovable(self, seen: Seen, spec: IsolationSpec, packet_filter: str) -> None:
        running = seen.live is not None
        for _, one in seen.cards():
            if one.connection == _wanted(one, spec, packet_filter):
                continue
            fault = obstacle(self._link, one.connection.source, spec.mode, running=running)
            if fault is not None:
                raise ProviderError(ErrorKind.UNSUPPORTED, f"card {one.mac} cannot be cut off: {fault}")

    def _bindings(self, taps: Collection[str]) -> dict[str, Binding]:
        """Read the bindings of these taps: one call for the list, one for each of them."""
        if not taps:
            return {}
        listed = self._link.read("list filter bindings", lambda: self._link.conn().listAllNWFilterBindings())
        found = {}
        for one in (b for b in listed if b.portDev() in taps):
            text = self._link.find("read a filter binding", one.XMLDesc)
            if text is not None:
                found[one.portDev()] = _binding(text)
        return found


def steps(now: Connection, wanted: Connection, ours: str) -> tuple[Connection, ...]:
    """Return the moves that bring a running card from one connection to the other; `ours` is our filter.

    libvirt changes the network before the filter. So our filter is bound before the move, and an old one is
    taken off after it: on no network is the card without the filter that belongs there.
    """
    first = wanted.filter == ours or now.filter is None
    between = now.filter_of(wanted) if first else wanted.filter_of(now)
    return (wanted,) if between in (now, wanted) else (between, wanted)


def _binding(text: str) -> Binding:
    root = parse(text)
    mac, reference = root.find("mac"), root.find("filterref")
    return Binding(
        filter="" if reference is None else reference.get("filter", ""),
        mac="" if mac is None else mac.get("address", "").lower(),
    )


def _rules(mode: IsolationMode, network: NetworkSpec, addresses: Sequence[str]) -> frozenset[Rule]:
    return sealed_rules() if mode is IsolationMode.SEALED else filtered_rules(network.allow, addresses)


def _wanted(one: Card, spec: IsolationSpec, packet_filter: str) -> Connection:
    if spec.mode is IsolationMode.UNPLUGGED or spec.network is None:
        return one.connection.down()
    isolated = spec.mode is IsolationMode.SEALED
    return network_connection(
        spec.network.name, packet_filter=packet_filter, isolated=isolated, link=one.connection
    )


def _captured(persistent: Card, live: Card | None, earlier: str | None) -> NicCapture:
    former = {"config": persistent.xml, "live": None if live is None else live.xml, "filter": earlier}
    restore = json.dumps(former)
    return NicCapture(key=persistent.mac, nic=(live or persistent).nic(), restore=restore)


def _restore(capture: NicCapture) -> Former:
    """Read a capture back. Raises ProviderError (PERMANENT)."""
    try:
        stored = json.loads(capture.restore)
        config, live, earlier = card(parse(stored["config"])), stored["live"], stored.get("filter")
        if earlier is not None:
            read_filter(earlier)
        return Former(config, None if live is None else card(parse(live)), earlier)
    except (ValueError, KeyError, TypeError, SyntaxError):
        message = f"what card {capture.key} was like before isolation cannot be read"
        hint = "give the card back by hand: `ferry run show` and the report name its network"
        raise permanent(message, hint) from None


def _refuse_unequal(seen: Seen, ref: MachineRef) -> None:
    """A card that was plugged in or pulled while running, and not in the definition, is not guessed about."""
    if seen.live is not None and set(seen.live) != set(seen.persistent):
        message = f"the running {ref.name} has other network cards than its definition"
        raise conflict(message, "restart it, or bring the definition up to date, then preview again")
