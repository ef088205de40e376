"""Is the machine cut off? Findings from what vCenter and its hosts show now, never from our own record.
Pure.

Each finding names what was seen, so that a person can look at the same place. Standard switches keep no
machines apart, so isolated servers on one portgroup reach each other: it is said. What tells another
isolated server from a stranger is its mark, which its isolation set in the very task that moved its
cards.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from orchestrator.model.machine import PowerState
from orchestrator.model.network import Finding, IsolationMode, IsolationSpec, NetworkSpec
from providers.vsphere.batch import Props
from providers.vsphere.cards import is_on, uncuttable
from providers.vsphere.cardstate import card_state
from providers.vsphere.convert import cards, devices_of, mac, network_of, power
from providers.vsphere.networkrole import misfit, vlan_words
from providers.vsphere.portgroups import Portgroup


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another machine on the network. `isolated`: its mark names this network, and it is on no other."""

    name: str
    isolated: bool


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything seen of one machine. `network` is the one that the spec names, None when it is not there."""

    props: Props
    host: str
    """The managed object id of the host that it runs on, or would start on."""
    network: Portgroup | None
    neighbours: tuple[Neighbour, ...]


def findings(spec: IsolationSpec, scene: Scene) -> tuple[Finding, ...]:
    """Return everything checked; the isolation holds when all are ok."""
    return tuple(_findings(spec, scene))


def _findings(spec: IsolationSpec, scene: Scene) -> Iterator[Finding]:
    devices = devices_of(scene.props)
    found, passed = cards(devices), uncuttable(devices)
    macs = ", ".join(mac(card) for card in found) or "none"
    yield Finding(check="network cards", ok=True, detail=f"{len(found)} ({macs})")
    yield Finding(check="passed-through devices", ok=passed is None, detail=passed or "none")
    state = power(scene.props)
    for card in found:
        yield _card(card, spec, scene, state)
    if spec.mode is IsolationMode.UNPLUGGED or spec.network is None:
        return
    if scene.network is None:
        detail = "vCenter has no network of this name"
        yield Finding(check=f"network {spec.network.name}", ok=False, detail=detail)
        return
    yield from _network(spec.network, scene.network, scene)


def _card(card: Any, spec: IsolationSpec, scene: Scene, state: PowerState) -> Finding:
    seen = card_state(card)
    names = {} if scene.network is None else {scene.network.id: scene.network.name}
    said = [network_of(card, names), f"at the start {'connected' if seen.starts else 'not connected'}"]
    if state is not PowerState.OFF:
        said.insert(1, f"link {'up' if seen.up else 'down'}")
    if spec.mode is IsolationMode.UNPLUGGED:
        control = bool(getattr(card.connectable, "allowGuestControl", False))
        said.append(f"the guest {'may' if control else 'may not'} connect it")
        ok = not (seen.starts or control or (seen.up and state is not PowerState.OFF))
    else:
        ok = scene.network is not None and is_on(card, scene.network)
    return Finding(check=f"card {seen.mac}", ok=ok, detail=", ".join(said))


def _network(spec: NetworkSpec, network: Portgroup, scene: Scene) -> Iterator[Finding]:
    check, fault = f"network {spec.name}", misfit(network, spec)
    where = f"{network.kind} portgroup, switch {', '.join(network.switches) or 'none'}, {vlan_words(network)}"
    uplinks, addresses = ", ".join(network.uplinks) or "none", ", ".join(network.addresses) or "none"
    ways = f"uplinks {uplinks}, host addresses {addresses}"
    detail = f"{where}, {ways}" + (f": {fault}" if fault else "")
    yield Finding(check=check, ok=fault is None, detail=detail)
    yield _hosts(check, network, scene)
    policy = ", ".join(network.policy)
    detail = (
        f"machines on it may: {policy}" if policy else "no machine sees another's frames, or sends as another"
    )
    yield Finding(check=f"{check}, security policy", ok=True, detail=detail)
    if spec.site_filter is not None:
        detail = f"the site's own, not made and not checked by ferry: {spec.site_filter}"
        yield Finding(check=f"{check}, filter", ok=True, detail=detail)
    if spec.mode is IsolationMode.SEALED:
        yield _neighbours(check, scene.neighbours)


def _hosts(check: str, network: Portgroup, scene: Scene) -> Finding:
    here = scene.host in network.hosts
    detail = f"looked at on {len(network.hosts)}, the machine's {'is' if here else 'is not'} among them"
    if network.unseen:
        detail += f"; {', '.join(network.unseen)} do not answer: this is the last that vCenter knew of them"
    return Finding(check=f"{check}, hosts", ok=here, detail=detail)


def _neighbours(check: str, neighbours: tuple[Neighbour, ...]) -> Finding:
    strangers = [one.name for one in neighbours if not one.isolated]
    others = [one.name for one in neighbours if one.isolated]
    if strangers:
        detail = f"{', '.join(strangers)} can reach it and are not isolated on it"
    elif others:
        few = ", ".join(others[:10]) + (f" and {len(others) - 10} more" if len(others) > 10 else "")
        detail = f"only isolated servers, which can reach each other on one host: {few}"
    else:
        detail = "none"
    return Finding(check=f"{check}, other machines", ok=not strangers, detail=detail)
