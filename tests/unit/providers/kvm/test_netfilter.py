"""The rules of a filter: what each plan and each known address becomes, and what is never equal to it."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.contract.errors import ProviderError
from orchestrator.contract.ownership import Owner
from orchestrator.model.network import Flow
from providers.kvm.cards import parse
from providers.kvm.netfilter import (
    DROP_ALL,
    Rule,
    chain_lengths,
    claimed_addresses,
    filter_xml,
    filtered_rules,
    own_addresses,
    owned,
    read_filter,
)

OWNER = Owner("ferry.R.h.isolate")
ports = st.integers(1, 65535)
hosts = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))


@st.composite
def flows(draw: st.DrawFn) -> Flow:
    to = draw(hosts)
    net = ip_network((to, draw(st.integers(8, to.max_prefixlen))), strict=False)
    proto = draw(st.sampled_from(["tcp", "udp", "icmp"]))
    return Flow(to=str(net), port=None if proto == "icmp" else draw(ports), proto=proto)


plans = st.tuples(st.lists(flows(), max_size=4), st.lists(hosts.map(str), max_size=3))


def accepted(rules: frozenset[Rule], direction: str, protocol: str) -> list[dict[str, str]]:
    return [
        dict(r.match)
        for r in sorted(rules)
        if (r.action, r.direction, r.protocol) == ("accept", direction, protocol)
    ]


@given(plans)
def test_definition_reads_back_as_the_same_rules_and_token(plan: tuple[list[Flow], list[str]]) -> None:
    rules = filtered_rules(*plan)
    assert read_filter(filter_xml("f", rules, OWNER)) == (rules, OWNER)


@given(plans)
def test_definition_that_changes_hands_keeps_its_rules_and_names_both(
    plan: tuple[list[Flow], list[str]],
) -> None:
    rules, longest = filtered_rules(*plan), Owner("t" * 120, former="f" * 120)
    text = owned(filter_xml("f", rules, OWNER), longest)
    assert read_filter(text) == (rules, longest)
    assert max(len(m.get("comment", "")) for m in parse(text).iterfind("rule/*")) < 256


@given(plans)
def test_everything_that_is_not_accepted_is_dropped_last_in_both_directions(
    plan: tuple[list[Flow], list[str]],
) -> None:
    rules = filtered_rules(*plan)
    assert max(rules) == DROP_ALL
    assert {r.action for r in rules - {DROP_ALL}} == {"accept"}
    assert all(r.priority < DROP_ALL.priority for r in rules - {DROP_ALL})
    assert parse(filter_xml("f", rules, OWNER))[-1][0].tag == "mac"


@given(plans)
def test_only_rules_that_every_bridged_frame_meets_are_used(plan: tuple[list[Flow], list[str]]) -> None:
    rules = filtered_rules(*plan)
    assert {r.protocol for r in rules} <= {"mac", "arp", "ip", "ipv6"}


@given(plans)
def test_nothing_goes_out_under_a_foreign_mac_address(plan: tuple[list[Flow], list[str]]) -> None:
    sent = [dict(r.match) for r in filtered_rules(*plan) if r.direction == "out"]
    assert all(match["srcmacaddr"] == "$MAC" for match in sent)


@given(plans)
def test_nothing_goes_out_to_and_nothing_comes_from_an_address_that_is_not_allowed(
    plan: tuple[list[Flow], list[str]],
) -> None:
    allowed = [ip_network(f.to, strict=False) for f in plan[0]]
    groups = ip_network("ff02::1:ff00:0/104")
    for rule in filtered_rules(*plan):
        match, side = dict(rule.match), "dst" if rule.direction == "out" else "src"
        if rule.protocol in ("ip", "ipv6"):
            net = ip_network(f"{match[side + 'ipaddr']}/{match[side + 'ipmask']}")
            assert net in allowed or (net.version == 6 and net.subnet_of(groups) and match["type"] == "135")


@given(flows(), st.lists(hosts.map(str), max_size=2))
def test_an_allowed_flow_has_a_way_out_and_its_mirror_image_back(flow: Flow, own: list[str]) -> None:
    rules = filtered_rules([flow], own)
    protocol = "ip" if ip_network(flow.to).version == 4 else "ipv6"
    mirrored = {"src": "dst", "dst": "src"}
    named = "icmp" if protocol == "ip" else "icmpv6"
    wanted = named if flow.proto == "icmp" else flow.proto

    def mirror(match: dict[str, str]) -> dict[str, str]:
        return {mirrored.get(k[:3], k[:3]) + k[3:]: {"128": "129"}.get(v, v) if k.startswith("type") else v
                for k, v in match.items()}  # fmt: skip

    out = [m for m in accepted(rules, "out", protocol) if m["protocol"] == wanted]
    out = [m for m in out if m.get("type") not in ("135", "136")]
    back = [m for m in accepted(rules, "in", protocol) if m["protocol"] == wanted]
    back = [m for m in back if m.get("type") not in ("135", "136")]
    assert out
    there, here = ([sorted(m.items()) for m in side] for side in (map(mirror, out), back))
    assert sorted(there) == sorted(here)


def test_an_allowed_server_cannot_open_connections_to_reserved_ports() -> None:
    rules = filtered_rules([Flow(to="198.51.100.10", port=445)], ())
    (reply,) = accepted(rules, "in", "ip")
    assert (reply["srcportstart"], reply["srcportend"]) == ("445", "445")
    assert (reply["dstportstart"], reply["dstportend"]) == ("1024", "65535")


def test_a_time_service_may_answer_to_its_own_port() -> None:
    rules = filtered_rules([Flow(to="198.51.100.10", port=123, proto="udp")], ())
    assert {m["dstportstart"] for m in accepted(rules, "in", "ip")} == {"123", "1024"}


def test_known_addresses_bind_frames_and_arp_to_them() -> None:
    rules = filtered_rules([Flow(to="198.51.100.10", port=445)], ("198.51.100.21/24", "198.51.100.22"))
    own = {"198.51.100.21", "198.51.100.22"}
    assert {m["srcipaddr"] for m in accepted(rules, "out", "ip")} == own
    assert {m["arpsrcipaddr"] for m in accepted(rules, "out", "arp")} == own
    assert {m["arpdstipaddr"] for m in accepted(rules, "in", "arp")} == own
    assert claimed_addresses(rules) == ("198.51.100.21", "198.51.100.22")


def test_without_known_addresses_arp_is_bound_to_the_mac_address() -> None:
    rules = filtered_rules([], ())
    assert all(m["arpsrcmacaddr"] == "$MAC" for m in accepted(rules, "out", "arp"))
    assert claimed_addresses(rules) == ()


def test_ipv6_is_dropped_unless_an_ipv6_flow_is_allowed() -> None:
    rules = filtered_rules([Flow(to="198.51.100.10", port=445)], ("198.51.100.21", "2001:db8::21"))
    assert not [r for r in rules if r.protocol == "ipv6"]


def test_neighbour_discovery_is_for_the_allowed_address_only() -> None:
    rules = filtered_rules([Flow(to="2001:db8::aa:bbcc", port=445)], ())
    asked = [m for m in accepted(rules, "out", "ipv6") if m.get("type") == "135"]
    assert {(m["dstipaddr"], m["dstipmask"]) for m in asked} == {
        ("2001:db8::aa:bbcc", "128"),
        ("ff02::1:ffaa:bbcc", "128"),
    }
    types = {m["type"] for d in ("in", "out") for m in accepted(rules, d, "ipv6") if "type" in m}
    assert types == {"135", "136"}, "nothing of routers: 133, 134, 137"


@pytest.mark.parametrize("useless", ["0.0.0.0", "127.0.0.1", "224.0.0.1", "::", "::1", "ff02::1"])  # noqa: S104
def test_what_names_no_host_is_no_own_address(useless: str) -> None:
    assert own_addresses([useless, "198.51.100.21", "fe80::1%eth0"]) == (
        ip_address("198.51.100.21"),
        ip_address("fe80::1"),
    )


@pytest.mark.parametrize(
    ("flow", "addresses"),
    [
        (Flow(to="198.51.100.10", port=445, proto="sctp"), ()),
        (Flow(to="198.51.100.10", proto="tcp"), ()),
        (Flow(to="server.example", port=445), ()),
        (Flow(to="198.51.100.10", port=445), ("not an address",)),
    ],
)
def test_what_no_rule_can_express_is_refused(flow: Flow, addresses: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"."):
        filtered_rules([flow], addresses)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<filter ", "<filter chain='root' "),
        ("</filter>", "<filterref filter='clean-traffic'/></filter>"),
        ("</filter>", "<rule action='accept' direction='inout' priority='0'/></filter>"),
        ("</filter>", "<rule action='accept' direction='in' priority='500'><mac/></rule></filter>"),
        ('action="drop"', 'action="accept"'),
        ('priority="1000"', 'priority="-1000"'),
        ("198.51.100.10", "198.51.100.11"),
        ('dstportend="445"', 'dstportend="446"'),
        ('srcmacaddr="$MAC"', 'srcmacaddr="52:54:00:00:00:01"'),
    ],
)
def test_a_definition_that_somebody_changed_is_not_ours(old: str, new: str) -> None:
    rules = filtered_rules([Flow(to="198.51.100.10", port=445)], ())
    text = filter_xml("f", rules, OWNER).replace(' chain="root"', "")
    assert read_filter(text)[0] == rules
    assert old in text
    same = new.startswith("<filter ")  # the chain's name says nothing about the rules
    assert (read_filter(text.replace(old, new))[0] == rules) is same


def test_a_filter_without_our_comment_has_no_token() -> None:
    text = filter_xml("f", {DROP_ALL}, OWNER).replace("ferry token: ", "")
    assert read_filter(text)[1] is None


def test_a_definition_with_entities_is_not_read() -> None:
    with pytest.raises(ProviderError):
        read_filter("<!DOCTYPE f [<!ENTITY a 'b'>]><filter/>")


@given(plans)
def test_the_kernel_must_show_each_rule_once_for_each_direction(plan: tuple[list[Flow], list[str]]) -> None:
    rules = filtered_rules(*plan)
    out, back = chain_lengths(rules)
    assert out + back == len(rules) + 1, "only the last rule is for both"
