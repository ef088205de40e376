"""Portgroups: what vCenter and its hosts say of a network that machines are attached to. Pure: no call.

A standard portgroup is a name on each of several hosts, and vCenter shows those of one name as one
network: what is said of it is said of every host that has it. A distributed portgroup is one object on
one switch. Two portgroups of one switch and one VLAN are one segment: frames pass between them.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from pyVmomi import vim

from orchestrator.contract.ownership import Owner
from orchestrator.model.network import Network
from providers.vsphere.batch import Props, Seen

NETWORK = ("name", "parent", "host", "vm", "customValue")
DISTRIBUTED = (
    *NETWORK,
    "config.distributedVirtualSwitch",
    "config.description",
    "config.configVersion",
    "config.defaultPortConfig",
    "config.uplink",
)
SWITCH = ("name", "uuid", "config.host")
HOST = (
    "name",
    "runtime.connectionState",
    "configManager.networkSystem",
    "config.network.portgroup",
    "config.network.vswitch",
    "config.network.vnic",
    "config.network.proxySwitch",
)
DATASTORE = ("name", "parent", "summary.freeSpace", "summary.accessible", "summary.maintenanceMode")
"""Read along with the networks: whoever is about to begin needs both."""
FIELD_NAME = "ferry-token"
"""The custom attribute of networks in which a standard portgroup of ours bears its token."""

_TOKEN = re.compile(r"^ferry token: ([A-Za-z0-9._-]+)(?: former: ([A-Za-z0-9._-]+))?$", re.MULTILINE)
_ALL = (0, 4095)
Vlans = tuple[tuple[int, int], ...]
_Distributed = vim.dvs.DistributedVirtualPortgroup


@dataclass(frozen=True, slots=True)
class Portgroup:
    """A standard or distributed portgroup, or a network that only an NSX manager knows (`opaque`)."""

    obj: Any
    name: str
    kind: str
    """standard, distributed or opaque."""
    switches: tuple[str, ...]
    """Names of the switches behind it; more than one: the hosts do not agree."""
    uplinks: tuple[str, ...]
    """Physical adapters of those switches, in words ("vmnic0 of esx1")."""
    addresses: tuple[str, ...]
    """Of VMkernel adapters on it, or their names where they have none."""
    near: tuple[str, ...]
    """Other portgroups on its switches whose frames reach it."""
    hosts: tuple[str, ...]
    """Managed object ids of the hosts that have it."""
    unseen: tuple[str, ...]
    """Names of those among them that do not answer: what is said of them is the last that vCenter knew."""
    policy: tuple[str, ...]
    """What its security policy lets a machine do ("see all frames")."""
    vlans: Vlans
    """First and last of each range of VLANs; 0 is none."""
    vms: tuple[Any, ...]
    owner: Owner | None
    switch: Any = None
    """The distributed switch."""
    switch_uuid: str = ""
    version: str = ""
    """Of a distributed portgroup's configuration."""
    parent: Any = None

    @property
    def id(self) -> str:
        """The managed object id; for a distributed portgroup its key, too."""
        return str(self.obj._moId)

    def network(self) -> Network:
        """Return it as the contract shows it."""
        return Network(
            name=self.name,
            id=self.id,
            bridge=", ".join(self.switches) or None,
            uplink=", ".join(self.uplinks) or None,
            addresses=self.addresses,
            token=None if self.owner is None else self.owner.token,
        )


@dataclass(frozen=True, slots=True)
class Site:
    """What was read: networks, hosts and distributed switches by managed object id; `field` is the key of the
    custom attribute, None where there is none yet."""

    seen: Mapping[str, Seen]
    field: int | None

    def of(self, kind: Any) -> list[Seen]:
        """Return the objects of a kind, in a stable order."""
        return sorted((s for s in self.seen.values() if isinstance(s.obj, kind)), key=lambda s: s.id)

    def portgroups(self) -> list[Portgroup]:
        """Return all networks but the switches' own uplinks."""
        found = (self.portgroup(one) for one in self.of(vim.Network) if not one.props.get("config.uplink"))
        return [one for one in found if one is not None]

    def portgroup(self, one: Seen) -> Portgroup | None:
        """Read one network; None where it is gone."""
        if "name" not in one.props:
            return None
        if isinstance(one.obj, _Distributed):
            return _distributed(one, self)
        if isinstance(one.obj, vim.OpaqueNetwork):
            return _opaque(one)
        return _standard(one, self)

    def hosts_of(self, one: Seen) -> list[Seen]:
        """Return the hosts that have a network."""
        ids = sorted(host._moId for host in one.props.get("host", ()))
        return [self.seen[i] for i in ids if i in self.seen and "name" in self.seen[i].props]


def plain(name: str) -> str:
    """Return a name as people write it: vCenter escapes "/", "\\" and "%" in names."""
    return unquote(name)


def owner_text(owner: Owner) -> str:
    """Return what a portgroup of ours bears."""
    return f"ferry token: {owner.token}" + ("" if owner.former is None else f" former: {owner.former}")


def owner_in(text: str | None) -> Owner | None:
    """Return whose a portgroup is, by what it bears."""
    found = _TOKEN.search(text or "")
    return None if found is None else Owner(found.group(1), found.group(2))


def connected(host: Seen) -> bool:
    """Tell whether a host answers vCenter."""
    return str(host.props.get("runtime.connectionState", "connected")) == "connected"


def host_portgroup(host: Seen, name: str) -> Any | None:
    """Return a host's own standard portgroup of this name."""
    return next((pg for pg in host.props.get("config.network.portgroup", ()) if pg.spec.name == name), None)


def host_switch(host: Seen, name: str) -> Any | None:
    """Return a host's own standard switch of this name."""
    return next((vs for vs in host.props.get("config.network.vswitch", ()) if vs.name == name), None)


def adapters(host: Seen, keys: Iterable[Any]) -> Iterator[str]:
    """Yield physical adapters in words. A key is "key-vim.host.PhysicalNic-vmnic0"."""
    for key in keys:
        yield f"{str(key).rpartition('-')[2]} of {host.props['name']}"


def _standard(one: Seen, site: Site) -> Portgroup:
    name, hosts = plain(one.props["name"]), site.hosts_of(one)
    mine = [(host, pg) for host in hosts if (pg := host_portgroup(host, name)) is not None]
    switches = [(host, pg.spec.vswitchName, host_switch(host, pg.spec.vswitchName)) for host, pg in mine]
    text = next((v.value for v in one.props.get("customValue", ()) if v.key == site.field), None)
    near = {other for host, pg in mine for other in _near(host, pg)}
    return Portgroup(
        obj=one.obj,
        name=name,
        kind="standard",
        switches=tuple(sorted({switch for _, switch, _ in switches})),
        uplinks=tuple(a for host, _, vs in switches for a in adapters(host, getattr(vs, "pnic", None) or ())),
        addresses=tuple(a for host in hosts for a in _vmkernel(host, lambda nic: nic.portgroup == name)),
        near=tuple(sorted(near)),
        hosts=tuple(host.id for host, _ in mine),
        unseen=tuple(host.props["name"] for host, _ in mine if not connected(host)),
        policy=tuple(sorted({word for host, pg in mine for word in _allowed(_security(pg))})),
        vlans=tuple(sorted({v for _, pg in mine for v in _standard_vlans(pg.spec.vlanId)})),
        vms=tuple(one.props.get("vm", ())),
        owner=owner_in(text),
        parent=one.props.get("parent"),
    )


def _near(host: Seen, mine: Any) -> Iterator[str]:
    vlans = _standard_vlans(mine.spec.vlanId)
    for other in host.props.get("config.network.portgroup", ()):
        same = other.spec.vswitchName == mine.spec.vswitchName and other.spec.name != mine.spec.name
        if same and _meet(vlans, _standard_vlans(other.spec.vlanId)):
            yield str(other.spec.name)


def _distributed(one: Seen, site: Site) -> Portgroup:
    reference = one.props.get("config.distributedVirtualSwitch")
    switch = None if reference is None else site.seen.get(reference._moId)
    props: Props = {} if switch is None else switch.props
    hosts, setting = site.hosts_of(one), one.props.get("config.defaultPortConfig")
    key = one.id
    return Portgroup(
        obj=one.obj,
        name=plain(one.props["name"]),
        kind="distributed",
        switches=(plain(str(props["name"])),) if "name" in props else (),
        uplinks=() if switch is None else uplinks_of(switch, site),
        addresses=tuple(a for host in hosts for a in _vmkernel(host, lambda nic: _on(nic, key))),
        near=() if switch is None else beside(switch, _vlans(one), site, but=key),
        hosts=tuple(host.id for host in hosts),
        unseen=tuple(host.props["name"] for host in hosts if not connected(host)),
        policy=tuple(_allowed(getattr(setting, "securityPolicy", None))),
        vlans=_vlans(one),
        vms=tuple(one.props.get("vm", ())),
        owner=owner_in(one.props.get("config.description")),
        switch=reference,
        switch_uuid=str(props.get("uuid", "")),
        version=str(one.props.get("config.configVersion", "")),
        parent=one.props.get("parent"),
    )


def uplinks_of(switch: Seen, site: Site) -> tuple[str, ...]:
    """Return the physical adapters of a distributed switch: those that vCenter has planned, and those that
    its hosts have. Either is a way out."""
    found: set[str] = set()
    for member in switch.props.get("config.host", ()):
        host = None if member.config.host is None else site.seen.get(member.config.host._moId)
        name = "a host" if host is None else str(host.props.get("name", host.id))
        planned = getattr(member.config.backing, "pnicSpec", None) or ()
        found.update(f"{nic.pnicDevice} of {name}" for nic in planned)
    for host in site.of(vim.HostSystem):
        for proxy in host.props.get("config.network.proxySwitch", ()):
            if proxy.dvsUuid == switch.props.get("uuid"):
                found.update(adapters(host, proxy.pnic or ()))
    return tuple(sorted(found))


def beside(switch: Seen, vlans: Vlans, site: Site, *, but: str = "") -> tuple[str, ...]:
    """Return the names of a distributed switch's portgroups that such VLANs reach, without `but` itself."""
    found = set()
    for other in site.of(_Distributed):
        reference = other.props.get("config.distributedVirtualSwitch")
        same = reference is not None and reference._moId == switch.id
        if same and other.id != but and not other.props.get("config.uplink") and _meet(vlans, _vlans(other)):
            found.add(plain(str(other.props.get("name", other.id))))
    return tuple(sorted(found))


def _opaque(one: Seen) -> Portgroup:
    return Portgroup(
        obj=one.obj,
        name=plain(one.props["name"]),
        kind="opaque",
        switches=(),
        uplinks=("an NSX segment: where it leads, vCenter does not say",),
        addresses=(),
        near=(),
        hosts=tuple(host._moId for host in one.props.get("host", ())),
        unseen=(),
        policy=(),
        vlans=(),
        vms=tuple(one.props.get("vm", ())),
        owner=None,
        parent=one.props.get("parent"),
    )


def _vmkernel(host: Seen, fits: Any) -> Iterator[str]:
    for nic in host.props.get("config.network.vnic", ()):
        if fits(nic):
            ip = getattr(nic.spec, "ip", None)
            six = getattr(getattr(ip, "ipV6Config", None), "ipV6Address", None) or ()
            found = [getattr(ip, "ipAddress", None), *(a.ipAddress for a in six)]
            yield from [str(a) for a in found if a] or [f"{nic.device} of {host.props['name']}"]


def _on(nic: Any, key: str) -> bool:
    port = getattr(nic.spec, "distributedVirtualPort", None)
    return port is not None and port.portgroupKey == key


def _standard_vlans(vlan: int | None) -> Vlans:
    return (_ALL,) if vlan == _ALL[1] else ((vlan or 0, vlan or 0),)


def _vlans(one: Seen) -> Vlans:
    vlan = getattr(one.props.get("config.defaultPortConfig"), "vlan", None)
    if isinstance(vlan, vim.dvs.VmwareDistributedVirtualSwitch.TrunkVlanSpec):
        return tuple((part.start, part.end) for part in vlan.vlanId)
    number = getattr(vlan, "vlanId", None) or 0
    # Which private VLANs see each other only the switch's map says: they count as everything.
    return (_ALL,) if hasattr(vlan, "pvlanId") else ((number, number),)


def _meet(one: Vlans, other: Vlans) -> bool:
    return any(a[0] <= b[1] and b[0] <= a[1] for a in one for b in other)


def _security(pg: Any) -> Any:
    policy = getattr(pg, "computedPolicy", None) or getattr(pg.spec, "policy", None)
    return getattr(policy, "security", None)


def _allowed(security: Any) -> Iterator[str]:
    for name, words in (
        ("allowPromiscuous", "see all frames (promiscuous mode)"),
        ("forgedTransmits", "send as another address (forged transmits)"),
        ("macChanges", "change its address (MAC changes)"),
    ):
        value = getattr(security, name, None)
        if getattr(value, "value", value):
            yield words
