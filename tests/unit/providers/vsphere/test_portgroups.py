"""What is read of networks: every way out, every address, every portgroup beside it."""

from __future__ import annotations

from typing import Any

import pytest
from pyVmomi import vim

from orchestrator.contract.ownership import Owner
from orchestrator.model.network import IsolationMode, NetworkSpec
from providers.vsphere.batch import Seen
from providers.vsphere.networkrole import misfit, unsealed, vlan_words
from providers.vsphere.portgroups import Portgroup, Site, owner_in, owner_text
from providers.vsphere.standard import switch_name

_VDS = vim.dvs.VmwareDistributedVirtualSwitch
HOST = vim.HostSystem("host-1")


def group(name: str, switch: str = "vSwitch1", vlan: int = 0, promiscuous: bool = False) -> Any:
    policy = vim.host.NetworkPolicy(
        security=vim.host.NetworkPolicy.SecurityPolicy(allowPromiscuous=promiscuous)
    )
    spec = vim.host.PortGroup.Specification(name=name, vlanId=vlan, vswitchName=switch, policy=policy)
    return vim.host.PortGroup(spec=spec)


def host(
    *groups: Any, pnics: tuple[str, ...] = (), vnics: tuple[Any, ...] = (), moid: str = "host-1", **more: Any
) -> Seen:
    switch = vim.host.VirtualSwitch(
        name="vSwitch1", pnic=[f"key-vim.host.PhysicalNic-{nic}" for nic in pnics]
    )
    props = {
        "name": f"esx-{moid}",
        "runtime.connectionState": "connected",
        "config.network.portgroup": list(groups),
        "config.network.vswitch": [switch],
        "config.network.vnic": list(vnics),
    }
    return Seen(vim.HostSystem(moid), props | more)


def vmkernel(portgroup: str, ip: str | None = None, key: str | None = None) -> Any:
    port = None if key is None else vim.dvs.PortConnection(portgroupKey=key)
    spec = vim.host.VirtualNic.Specification(
        ip=vim.host.IpConfig(dhcp=ip is None, ipAddress=ip), distributedVirtualPort=port
    )
    return vim.host.VirtualNic(device="vmk1", portgroup=portgroup, spec=spec)


def standard(*hosts: Seen, name: str = "q", values: tuple[Any, ...] = ()) -> Portgroup:
    props = {"name": name, "host": [h.obj for h in hosts], "vm": [], "customValue": list(values)}
    one = Seen(vim.Network("network-1"), props)
    found = Site({s.id: s for s in (one, *hosts)}, 7).portgroup(one)
    assert found is not None
    return found


def dvpg(moid: str, name: str, vlan: Any = None, **more: Any) -> Seen:
    no = vim.BoolPolicy(inherited=False, value=False)
    config = _VDS.VmwarePortConfigPolicy(
        vlan=vlan, securityPolicy=_VDS.SecurityPolicy(allowPromiscuous=no, forgedTransmits=no, macChanges=no)
    )
    props = {
        "name": name,
        "host": [HOST],
        "config.distributedVirtualSwitch": vim.DistributedVirtualSwitch("dvs-1"),
        "config.defaultPortConfig": config,
    }
    return Seen(vim.dvs.DistributedVirtualPortgroup(moid), props | more)


def tag(number: int) -> Any:
    return _VDS.VlanIdSpec(vlanId=number)


def trunk(start: int, end: int) -> Any:
    return _VDS.TrunkVlanSpec(vlanId=[vim.NumericRange(start=start, end=end)])


def distributed(
    *groups: Seen, member: Any = None, proxy: Any = None, vnics: tuple[Any, ...] = ()
) -> Portgroup:
    members = [] if member is None else [member]
    switch = Seen(
        vim.DistributedVirtualSwitch("dvs-1"), {"name": "DVS%2fQ", "uuid": "50 0a", "config.host": members}
    )
    seen = host(vnics=vnics, **{"config.network.proxySwitch": [] if proxy is None else [proxy]})
    found = Site({s.id: s for s in (*groups, switch, seen)}, None).portgroup(groups[0])
    assert found is not None
    return found


def test_a_standard_network_without_a_way_out_is_sealed() -> None:
    found = standard(host(group("q")), host(group("q"), moid="host-2"))
    assert unsealed(found) is None
    assert (found.hosts, found.switches) == (("host-1", "host-2"), ("vSwitch1",))
    network = found.network()
    assert (network.bridge, network.uplink, network.addresses, network.token) == ("vSwitch1", None, (), None)


def test_one_host_with_an_uplink_opens_it_for_all() -> None:
    found = standard(host(group("q")), host(group("q"), pnics=("vmnic3",), moid="host-2"))
    assert "vmnic3 of esx-host-2" in (unsealed(found) or "")
    assert found.network().uplink == "vmnic3 of esx-host-2"


@pytest.mark.parametrize(("ip", "shown"), [("192.0.2.9", "192.0.2.9"), (None, "vmk1 of esx-host-1")])
def test_a_host_that_listens_on_it_spoils_it(ip: str | None, shown: str) -> None:
    found = standard(host(group("q"), vnics=(vmkernel("q", ip), vmkernel("other", "192.0.2.1"))))
    assert found.addresses == (shown,)
    assert shown in (unsealed(found) or "")


@pytest.mark.parametrize(
    ("vlan", "other", "near"),
    [(0, 0, True), (5, 5, True), (5, 6, False), (0, 4095, True), (5, 4095, True), (4095, 9, True)],
)
def test_a_portgroup_of_the_same_vlan_is_the_same_segment(vlan: int, other: int, near: bool) -> None:
    found = standard(host(group("q", vlan=vlan), group("r", vlan=other), group("s", switch="vSwitch2")))
    assert found.near == (("r",) if near else ())
    assert (unsealed(found) is None) is not near


def test_hosts_that_do_not_agree_on_the_switch_make_no_seal() -> None:
    found = standard(host(group("q")), host(group("q", switch="vSwitch2"), moid="host-2"))
    assert unsealed(found) is not None


def test_what_the_policy_lets_machines_do_is_said() -> None:
    assert standard(host(group("q", promiscuous=True))).policy == ("see all frames (promiscuous mode)",)


def test_a_host_that_does_not_answer_is_named() -> None:
    found = standard(host(group("q"), **{"runtime.connectionState": "notResponding"}))
    assert found.unseen == ("esx-host-1",)


def test_the_token_stands_in_the_attribute_of_ours_only() -> None:
    value = vim.CustomFieldsManager.StringValue
    text = owner_text(Owner("ferry.r.h.s", former="ferry.r.h.t"))
    assert standard(host(group("q")), values=(value(key=7, value=text),)).owner == owner_in(text)
    assert standard(host(group("q")), values=(value(key=8, value=text),)).owner is None


@pytest.mark.parametrize(
    ("vlan", "other", "near"),
    [
        (tag(0), tag(0), True),
        (tag(7), tag(8), False),
        (tag(7), trunk(0, 4094), True),
        (tag(7), trunk(8, 4094), False),
        (tag(7), _VDS.PvlanSpec(pvlanId=7), True),
        (None, tag(0), True),
    ],
)
def test_portgroups_of_a_distributed_switch_meet_by_vlan(vlan: Any, other: Any, near: bool) -> None:
    uplinks = dvpg("dvportgroup-9", "uplinks", trunk(0, 4094), **{"config.uplink": True})
    found = distributed(dvpg("dvportgroup-1", "q", vlan), dvpg("dvportgroup-2", "r", other), uplinks)
    assert found.near == (("r",) if near else ())
    assert found.switches == ("DVS/Q",)


def test_an_uplink_that_is_only_planned_counts() -> None:
    backing = vim.dvs.HostMember.PnicBacking(pnicSpec=[vim.dvs.HostMember.PnicSpec(pnicDevice="vmnic1")])
    member = vim.dvs.HostMember(config=vim.dvs.HostMember.ConfigInfo(host=HOST, backing=backing))
    found = distributed(dvpg("dvportgroup-1", "q", tag(7)), member=member)
    assert found.uplinks == ("vmnic1 of esx-host-1",)


def test_an_uplink_that_only_the_host_knows_counts() -> None:
    pnics = ["key-vim.host.PhysicalNic-vmnic2"]
    proxy = vim.host.HostProxySwitch(dvsUuid="50 0a", dvsName="DVS/Q", pnic=pnics)
    assert distributed(dvpg("dvportgroup-1", "q", tag(7)), proxy=proxy).uplinks == ("vmnic2 of esx-host-1",)
    other = vim.host.HostProxySwitch(dvsUuid="50 0b", dvsName="other", pnic=pnics)
    assert distributed(dvpg("dvportgroup-1", "q", tag(7)), proxy=other).uplinks == ()


def test_a_host_that_listens_on_a_distributed_portgroup_is_seen() -> None:
    found = distributed(
        dvpg("dvportgroup-1", "q", tag(7)), vnics=(vmkernel("", "192.0.2.3", "dvportgroup-1"),)
    )
    assert found.addresses == ("192.0.2.3",)


def test_an_opaque_network_is_never_sealed() -> None:
    one = Seen(vim.OpaqueNetwork("network-o3"), {"name": "segment"})
    found = Site({one.id: one}, None).portgroup(one)
    assert found is not None
    assert unsealed(found) is not None


def test_what_the_plan_says_of_switch_and_vlan_is_held_against_it() -> None:
    found = standard(host(group("q", vlan=5)))
    spec = NetworkSpec(name="q", mode=IsolationMode.SEALED, switch="vSwitch1", vlan=5)
    assert misfit(found, spec) is None
    assert "vSwitch9" in (misfit(found, spec.model_copy(update={"switch": "vSwitch9"})) or "")
    assert "VLAN 6" in (misfit(found, spec.model_copy(update={"vlan": 6})) or "")
    assert vlan_words(found) == "VLAN 5"


def test_a_switch_s_name_fits_a_host() -> None:
    names = {switch_name(f"ferry.{'r' * 90}.h{n}.isolate") for n in range(100)}
    assert len(names) == 100
    assert all(len(name) <= 31 for name in names)


@pytest.mark.parametrize("text", ["", "ferry token: ", "x ferry token: t", "ferry token: a b"])
def test_a_text_that_is_not_ours_names_no_owner(text: str) -> None:
    assert owner_in(text) is None
