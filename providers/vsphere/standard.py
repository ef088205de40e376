"""Standard portgroups of ours: made and removed host by host, with a switch of their own.

The first host, by its id, goes before all others, so that of two who make the same name one loses there and
takes back what it made; in the removal it is the last. A standard portgroup has no description: its switch is
named after the token (unless the plan names one), and the network bears the token as a custom attribute as
soon as the first host has it. On a switch that the plan names, a crash before that leaves a portgroup that
nobody can tell as ours: it is used, and left.
"""

import hashlib
import re
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from pyVmomi import vim

from orchestrator.contract.errors import ProviderError
from orchestrator.contract.ownership import Owner, entry
from orchestrator.contract.provider import Effect, ObjectKind
from orchestrator.model.network import IsolationMode, NetworkSpec
from providers.vsphere.batch import Seen
from providers.vsphere.faults import conflict, is_fault, not_found
from providers.vsphere.link import Link
from providers.vsphere.networks import Networks
from providers.vsphere.portgroups import (
    FIELD_NAME,
    Portgroup,
    Site,
    connected,
    host_portgroup,
    host_switch,
    owner_text,
)

_KIND = ObjectKind.NETWORK
TAKEN = (vim.fault.AlreadyExists, vim.fault.DuplicateName)
_OWN = re.compile(r"ferry-[0-9a-f]{24}")
_HOSTS_AT_ONCE = 4
_SHOWN_SECONDS, _PAUSE = 30.0, 0.5
"""vCenter shows a host's new portgroup when the host has told it: usually at once."""


def switch_name(token: str) -> str:
    """Return the name of the standard switch that a token makes; a host takes 31 characters."""
    return f"ferry-{hashlib.sha256(token.encode()).hexdigest()[:24]}"


def make_standard(link: Link, networks: Networks, site: Site, spec: NetworkSpec, effect: Effect) -> None:
    """Make it on each host that answers; go on where an earlier call of this step stopped. `site` was just
    read."""
    _refuse_datacenters(link, site)
    hosts = [host for host in site.of(vim.HostSystem) if connected(host)]
    if not hosts:
        message = f"no host answers that network {spec.name} could be made on"
        raise conflict(message, "wait until vCenter shows one as connected")
    switch = spec.switch or switch_name(effect.token)
    # Before anything is made that could not be marked without it.
    key = _added(link, networks, effect) if site.field is None else site.field
    effect.intend(_KIND, entry(spec.name, effect.token))
    first, *others = hosts
    if not _put(link, first, spec, switch, effect):
        return  # another one was quicker; whose it is now is looked at
    with ThreadPoolExecutor(_HOSTS_AT_ONCE, thread_name_prefix="portgroups") as pool:
        marked = pool.submit(_mark, link, networks, first, spec, effect, key)
        there = list(pool.map(lambda host: _put(link, host, spec, switch, effect), others))
        marked.result()
    strange = [host.props["name"] for host, ours in zip(others, there, strict=True) if not ours]
    if strange:
        message = f"another portgroup {spec.name} than on {first.props['name']} is on: {', '.join(strange)}"
        raise conflict(message, "remove one of them by hand, or name another network in the plan")
    effect.made(_KIND, entry(spec.name, effect.token))


def _refuse_datacenters(link: Link, site: Site) -> None:
    """Refuse to choose between datacenters. Raises ProviderError: CONFLICT."""
    found = site.of(vim.Datacenter)
    if len(found) != 1:
        message = f"a standard network is made in one datacenter; {link.endpoint} shows {len(found)}"
        raise conflict(message, "name the endpoint's `datacenter`")


def _put(link: Link, host: Seen, spec: NetworkSpec, switch: str, effect: Effect) -> bool:
    """Make the portgroup on one host. False: the host has one of that name on another switch."""
    there = host_portgroup(host, spec.name)
    if there is not None:
        return bool(there.spec.vswitchName == switch)
    system, name = host.props["configManager.networkSystem"], host.props["name"]
    _refuse_unfit(host, switch, spec)
    if host_switch(host, switch) is None:
        made = vim.host.VirtualSwitch.Specification(numPorts=128)  # no bridge: no uplink
        link.act(effect, f"make switch {switch} on {name}", lambda: system.AddVirtualSwitch(switch, made))
    group = _group(spec, switch)
    try:
        link.act(effect, f"make network {spec.name} on {name}", lambda: system.AddPortGroup(group))
    except ProviderError as error:
        if not is_fault(error, *TAKEN):
            raise
        if spec.switch is None:
            link.act(effect, f"remove switch {switch} on {name}", lambda: system.RemoveVirtualSwitch(switch))
        return False
    return True


def refuse_unfit_switch(site: Site, switch: str, spec: NetworkSpec) -> None:
    """Refuse a standard switch that the plan names where a host lacks it or it has an uplink. Raises
    ProviderError: CONFLICT."""
    for host in site.of(vim.HostSystem):
        if connected(host):
            _refuse_unfit(host, switch, spec)


def _refuse_unfit(host: Seen, switch: str, spec: NetworkSpec) -> None:
    behind, name = host_switch(host, switch), host.props["name"]
    if behind is None and spec.switch is not None:
        message = f"host {name} has no switch {switch}"
        raise conflict(message, "name another `switch`, or none")
    if behind is not None and behind.pnic and spec.mode is IsolationMode.SEALED:
        message = f"switch {switch} of host {name} has an uplink: nothing on it is sealed"
        raise conflict(message, "name a switch without any, or none: ferry makes its own")


def _group(spec: NetworkSpec, switch: str) -> Any:
    """Return a portgroup on which no machine sees another's frames or sends as another."""
    closed = vim.host.NetworkPolicy.SecurityPolicy(
        allowPromiscuous=False, macChanges=False, forgedTransmits=False
    )
    policy = vim.host.NetworkPolicy(security=closed)
    return vim.host.PortGroup.Specification(
        name=spec.name, vlanId=spec.vlan or 0, vswitchName=switch, policy=policy
    )


def _mark(link: Link, networks: Networks, host: Seen, spec: NetworkSpec, effect: Effect, key: int) -> None:
    """Write the token on the network once vCenter shows it."""
    until = time.monotonic() + _SHOWN_SECONDS
    while True:
        shown = [one for one in networks.named(spec.name) if host.id in one.hosts]
        if shown or time.monotonic() > until:
            break
        time.sleep(_PAUSE)
    if not shown:
        what = f"network {spec.name}, made on {host.props['name']} just now,"
        raise not_found(what)
    if shown[0].owner is None:
        _write(link, key, shown[0], Owner(effect.token), effect)


def mark_standard(link: Link, networks: Networks, found: Portgroup, owner: Owner, effect: Effect) -> None:
    """Write whose it is on the network."""
    _write(link, _attribute(link, networks, effect), found, owner, effect)


def _write(link: Link, key: int, found: Portgroup, owner: Owner, effect: Effect) -> None:
    text = owner_text(owner)
    fields, what = link.content.customFieldsManager, f"mark network {found.name}"
    link.act(effect, what, lambda: fields.SetField(entity=found.obj, key=key, value=text))


def _attribute(link: Link, networks: Networks, effect: Effect) -> int:
    """Return the key of the custom attribute for tokens, added where there is none: it stays for ever, and
    all states share it."""
    key = networks.field()
    return _added(link, networks, effect) if key is None else key


def _added(link: Link, networks: Networks, effect: Effect) -> int:
    """Add the custom attribute; where another one was quicker, return its key."""
    fields, what = link.content.customFieldsManager, f"add the custom attribute {FIELD_NAME}"
    try:
        made = link.act(effect, what, lambda: fields.AddCustomFieldDef(name=FIELD_NAME, moType=vim.Network))
        return int(made.key)
    except ProviderError as error:
        key = networks.field() if is_fault(error, *TAKEN) else None
        if key is None:
            raise
        return key


def remove_standard(link: Link, networks: Networks, found: Portgroup, effect: Effect) -> None:
    """Remove it from all hosts, the first host last: whoever makes one of that name meanwhile is refused
    there."""
    hosts = {host.id: host for host in networks.site().of(vim.HostSystem)}
    for host in (hosts[i] for i in sorted(found.hosts, reverse=True) if i in hosts):
        _take_off(link, host, found.name, effect)


def _take_off(link: Link, host: Seen, name: str, effect: Effect) -> None:
    """Remove the portgroup from one host: with its switch, in one call, where that was made for it."""
    group = host_portgroup(host, name)
    system, what = host.props["configManager.networkSystem"], f"remove network {name} on {host.props['name']}"
    switch = "" if group is None else group.spec.vswitchName
    behind = host_switch(host, switch)
    alone = [pg for pg in host.props["config.network.portgroup"] if pg.spec.vswitchName == switch] == [group]
    if _OWN.fullmatch(switch) and behind is not None and alone:
        try:
            link.act(effect, what, lambda: system.RemoveVirtualSwitch(switch))
            return
        except ProviderError as error:
            if not is_fault(error, vim.fault.ResourceInUse):
                raise
        link.act(effect, what, lambda: system.RemovePortGroup(name))
        link.act(effect, f"{what}, its switch", lambda: system.RemoveVirtualSwitch(switch))
        return
    link.act(effect, what, lambda: system.RemovePortGroup(name))


def tidy(link: Link, networks: Networks, found: Portgroup, effect: Effect) -> None:
    """Remove the empty switch of this step whose portgroup another one made meanwhile."""
    name = switch_name(effect.token)
    if found.owner is not None and found.owner.token == effect.token:
        return
    for host in networks.site().of(vim.HostSystem):
        switch = host_switch(host, name)
        used = any(pg.spec.vswitchName == name for pg in host.props.get("config.network.portgroup", ()))
        if switch is not None and not used:
            system, where = host.props["configManager.networkSystem"], host.props["name"]
            what = f"remove switch {name} on {where}"
            link.act(effect, what, partial(system.RemoveVirtualSwitch, name))
