"""Networks that the plan wants: found, made, and removed when nothing is on them any more.

A network that is there is never changed: one that does not fit is refused. On a distributed switch a
portgroup is made in one task and bears its token in its description; standard ones are made by
`standard`.
"""

import time
from typing import Any

from pyVmomi import vim

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.ownership import Owner, entry, forget, hand_over, ours, settle
from orchestrator.contract.provider import Effect, ObjectKind, unsupported
from orchestrator.model.network import IsolationMode, Network, NetworkSpec
from providers.vsphere.batch import Seen
from providers.vsphere.faults import conflict, is_fault, not_found
from providers.vsphere.link import Link
from providers.vsphere.networks import Networks
from providers.vsphere.portgroups import (
    Portgroup,
    Site,
    beside,
    owner_text,
    plain,
    uplinks_of,
)
from providers.vsphere.standard import (
    TAKEN,
    make_standard,
    mark_standard,
    refuse_unfit_switch,
    remove_standard,
    switch_name,
    tidy,
)

_KIND = ObjectKind.NETWORK


def find(networks: Networks, spec: NetworkSpec) -> Portgroup | None:
    """Return the network of the spec as it is now. Raises ProviderError: CONFLICT where several fit."""
    return choose(networks, networks.named(spec.name), spec)


def choose(
    networks: Networks, found: list[Portgroup], spec: NetworkSpec, host: str | None = None
) -> Portgroup | None:
    """Return the one network that the spec means, on the host of this id if one is given. Raises
    ProviderError: CONFLICT."""
    if len(found) > 1 and spec.switch is not None:
        found = [one for one in found if spec.switch in one.switches]
    if len(found) > 1 and host is not None:
        found = [one for one in found if host in one.hosts]
    if len(found) > 1:
        where = "; ".join(
            f"{one.id} on switch {', '.join(one.switches) or 'none'} in {networks.datacenter(one)}"
            for one in found
        )
        message = f"{spec.name} names {len(found)} networks: {where}"
        raise conflict(message, "name its `switch` in the plan, or the endpoint's `datacenter`")
    return found[0] if found else None


def misfit(portgroup: Portgroup, spec: NetworkSpec) -> str | None:
    """Say why a network that is there is not what `spec` asks for; None when it fits."""
    if spec.switch is not None and portgroup.switches != (spec.switch,):
        return f"it is on switch {', '.join(portgroup.switches) or 'none'}; the plan wants {spec.switch}"
    if spec.vlan is not None and portgroup.vlans != ((spec.vlan, spec.vlan),):
        return f"it is on {vlan_words(portgroup)}; the plan wants VLAN {spec.vlan}"
    return unsealed(portgroup) if spec.mode is IsolationMode.SEALED else None


def unsealed(portgroup: Portgroup) -> str | None:
    """Say what makes a network no sealed one; None when it is sealed."""
    if portgroup.kind == "opaque":
        return "NSX manages it: where it leads, vCenter does not say"
    if portgroup.uplinks:
        return f"its switch has an uplink ({', '.join(portgroup.uplinks)}); a sealed network has none"
    if portgroup.addresses:
        return f"a host has an address on it ({', '.join(portgroup.addresses)}); a sealed network has none"
    if portgroup.near:
        others = ", ".join(portgroup.near)
        return f"portgroups {others} of its switch have the same VLAN; a sealed network has its own"
    return None if len(portgroup.switches) == 1 else "it is on no switch, or on several"


def vlan_words(portgroup: Portgroup) -> str:
    """Return a network's VLANs in words."""
    words = [f"{a}" if a == b else f"{a}-{b}" for a, b in portgroup.vlans if (a, b) != (0, 0)]
    return f"VLAN {', '.join(words)}" if words else "no VLAN"


def ensure_network(link: Link, networks: Networks, spec: NetworkSpec, effect: Effect) -> Network:
    """Return the network, made if the plan says so. Raises ProviderError: NOT_FOUND, CONFLICT, UNSUPPORTED.

    It is ours only if it bears our token then: another state may have been quicker.
    """
    refuse_unfiltered(spec)
    announced = effect.owns(_KIND, entry(spec.name, effect.token))
    just_seen = None if announced else choose(networks, networks.lately(spec.name), spec)
    if just_seen is not None and misfit(just_seen, spec) is None and not _by(just_seen, effect.token):
        return just_seen.network()  # whoever moves a card there looks again
    began = time.monotonic()
    found = find(networks, spec)
    if found is None or _by(found, effect.token):
        _refuse_unwanted(link, spec)
        site = networks.site(since=began)
        networks.changed(spec.name)
        _make(link, networks, site, spec, effect)
        found = find(networks, spec)
        if found is None:
            what = f"network {spec.name}, made just now,"
            raise not_found(what)
    elif announced:
        tidy(link, networks, found, effect)
    settle(effect, _KIND, spec.name, None if found.owner is None else found.owner.token)
    refuse_misfit(found, spec)
    return found.network()


def refuse_unfiltered(spec: NetworkSpec) -> None:
    """Refuse a filtered network whose filter nobody has declared. Raises ProviderError: UNSUPPORTED."""
    if spec.mode is IsolationMode.FILTERED and spec.site_filter is None:
        hint = (
            "let the site filter it (an NSX policy, a VLAN behind a firewall) and say so: "
            "`site_filter: TEXT` in the plan; or use sealed or unplugged"
        )
        what = "a packet filter of ferry's own on vSphere"
        raise unsupported(what, hint)


def refuse_misfit(portgroup: Portgroup, spec: NetworkSpec) -> None:
    """Refuse a network that is not what the spec asks for. Raises ProviderError: CONFLICT."""
    fault = misfit(portgroup, spec)
    if fault is not None:
        message = f"network {spec.name} does not fit the plan: {fault}"
        raise conflict(message, "name another network in the plan, or mend this one by hand")


def ensure_network_removed(link: Link, networks: Networks, spec: NetworkSpec, effect: Effect) -> bool:
    """Remove a network of ours from all hosts; False while a machine or template is on it. Raises
    ProviderError: CONFLICT."""
    found = find(networks, spec)
    if found is not None:
        owner = Owner(effect.token) if _unmarked(found, effect.token) else found.owner
        if owner is None or not ours(effect, _KIND, spec.name, owner.token):
            message = f"network {spec.name} was not made by this state and is not removed"
            raise conflict(message, "remove it by hand if nobody needs it")
        if found.vms:
            return False
        networks.changed(spec.name)
        hand_over(effect, _KIND, spec.name, owner, lambda new: _own(link, networks, found, new, effect))
        _remove(link, networks, found, effect)
        networks.changed(spec.name)
    forget(effect, _KIND, spec.name, effect.token)
    return True


def _by(portgroup: Portgroup, token: str) -> bool:
    """Tell whether this token made it, all of it or not yet."""
    marked = portgroup.owner is not None and portgroup.owner.token == token
    return (marked and portgroup.kind == "standard") or _unmarked(portgroup, token)


def _unmarked(portgroup: Portgroup, token: str) -> bool:
    return portgroup.owner is None and switch_name(token) in portgroup.switches


def refuse_uncreatable(link: Link, networks: Networks, spec: NetworkSpec) -> None:
    """Refuse to make a network that is not there, as far as that can be told from what was read a moment ago.
    Raises ProviderError: NOT_FOUND, CONFLICT."""
    _refuse_unwanted(link, spec)
    site = networks.last()
    switch = _switch(site, spec)
    if switch is not None:
        _refuse_open_switch(switch, site, spec)
    elif spec.switch is not None:
        refuse_unfit_switch(site, spec.switch, spec)


def _refuse_unwanted(link: Link, spec: NetworkSpec) -> None:
    if not spec.create:
        message = f"{link.endpoint} has no network {spec.name}, and the plan does not create it"
        raise ProviderError(ErrorKind.NOT_FOUND, message, hint="make it, or write create: true")
    if spec.mode is IsolationMode.FILTERED:
        message = f"{link.endpoint} has no network {spec.name}; the site makes it, with its filter"
        raise ProviderError(ErrorKind.NOT_FOUND, message, hint="make it, or name the right one")


def _make(link: Link, networks: Networks, site: Site, spec: NetworkSpec, effect: Effect) -> None:
    switch = _switch(site, spec)
    if switch is not None:
        _make_distributed(link, switch, site, spec, effect)
    else:
        make_standard(link, networks, site, spec, effect)


def _switch(site: Site, spec: NetworkSpec) -> Seen | None:
    """Return the distributed switch of the spec's name. Raises ProviderError: CONFLICT."""
    found = [
        one
        for one in site.of(vim.DistributedVirtualSwitch)
        if spec.switch is not None and plain(str(one.props.get("name", ""))) == spec.switch
    ]
    if len(found) > 1:
        message = f"there are {len(found)} distributed switches {spec.switch}"
        raise conflict(message, "name the endpoint's `datacenter`")
    return found[0] if found else None


def _make_distributed(link: Link, switch: Seen, site: Site, spec: NetworkSpec, effect: Effect) -> None:
    """Make it, unless another one was quicker: vCenter itself refuses a name that is taken."""
    vlan = spec.vlan or 0
    _refuse_open_switch(switch, site, spec)
    effect.intend(_KIND, entry(spec.name, effect.token))
    config = vim.dvs.DistributedVirtualPortgroup.ConfigSpec(
        name=spec.name,
        type="earlyBinding",
        numPorts=8,
        autoExpand=True,
        description=f"{effect.reason}\n{owner_text(Owner(effect.token))}",
        defaultPortConfig=_port_policy(vlan),
    )
    try:
        link.run(effect, f"make network {spec.name}", lambda: switch.obj.AddDVPortgroup_Task([config]))
    except ProviderError as error:
        if not is_fault(error, *TAKEN):
            raise
    else:
        effect.made(_KIND, entry(spec.name, effect.token))


def _refuse_open_switch(switch: Seen, site: Site, spec: NetworkSpec) -> None:
    if spec.mode is not IsolationMode.SEALED:
        return
    uplinks, vlan = uplinks_of(switch, site), spec.vlan or 0
    if uplinks:
        message = f"switch {spec.switch} has uplinks ({', '.join(uplinks)}): nothing on it is sealed"
        raise conflict(message, "name a switch without any, or none: ferry makes its own")
    others = [name for name in beside(switch, ((vlan, vlan),), site) if name != spec.name]
    if others:
        message = f"portgroups {', '.join(others)} of switch {spec.switch} are on VLAN {vlan or 'none'}, too"
        raise conflict(message, "give the network a `vlan` of its own")


def _port_policy(vlan: int) -> Any:
    vds = vim.dvs.VmwareDistributedVirtualSwitch
    no = vim.BoolPolicy(inherited=False, value=False)
    return vds.VmwarePortConfigPolicy(
        vlan=vds.VlanIdSpec(inherited=False, vlanId=vlan),
        securityPolicy=vds.SecurityPolicy(
            inherited=False, allowPromiscuous=no, macChanges=no, forgedTransmits=no
        ),
    )


def _own(link: Link, networks: Networks, found: Portgroup, owner: Owner, effect: Effect) -> None:
    """Write whose it is on the network. A distributed one's version guards it against another's change."""
    if found.kind != "distributed":
        mark_standard(link, networks, found, owner, effect)
        return
    config = vim.dvs.DistributedVirtualPortgroup.ConfigSpec(
        configVersion=found.version, description=f"{effect.reason}\n{owner_text(owner)}"
    )
    what = f"mark network {found.name}"
    link.run(effect, what, lambda: found.obj.ReconfigureDVPortgroup_Task(config))


def _remove(link: Link, networks: Networks, found: Portgroup, effect: Effect) -> None:
    if found.kind == "distributed":
        link.run(effect, f"remove network {found.name}", found.obj.Destroy_Task)
    else:
        remove_standard(link, networks, found, effect)
