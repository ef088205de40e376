"""Rules about networks, allowed flows and endpoints."""

from collections.abc import Iterator

from orchestrator.diagnostics import Diagnostic
from orchestrator.planfile.nodes import Table, Text, problem, warning
from orchestrator.planfile.rules.view import Document, key, table, text
from orchestrator.planfile.values import attempt, parse_bool, parse_destination, parse_flow_target
from orchestrator.planfile.wording import quoted, suggest


def known_endpoint(document: Document, name: Text | None) -> Iterator[Diagnostic]:
    """An endpoint that is referred to stands in `endpoints`."""
    if name and name not in document.endpoints.keys_at:
        hint = suggest(name, document.endpoints.keys_at, none="add it to `endpoints`")
        yield problem(name, "unknown-endpoint", f"endpoint {quoted(name)} is not in this file", hint)


def known_network(document: Document, name: Text | None) -> Iterator[Diagnostic]:
    """A network that is referred to stands in `networks`."""
    if name and name not in document.networks.keys_at:
        hint = suggest(name, document.networks.keys_at, none="add it to `networks`")
        yield problem(name, "unknown-network", f"network {quoted(name)} is not in this file", hint)


def endpoints(document: Document) -> Iterator[Diagnostic]:
    """There is one at least; certificates go unverified only in plain sight."""
    if "endpoints" in document.root and not document.endpoints.keys_at:
        yield problem(document.endpoints, "no-endpoint", "there is no endpoint", "add one")
    for name in document.endpoints:
        uri, verify = text(document.endpoints, name, "uri"), text(document.endpoints, name, "tls_verify")
        off = (
            uri if uri and "no_verify=1" in uri else verify if attempt(parse_bool, verify) is False else None
        )
        if off:
            hint = "name the authority instead where you can; every report will say so"
            yield warning(off, "tls-off", f"endpoint {quoted(name)} does not verify certificates", hint)


def shapes(document: Document) -> Iterator[Diagnostic]:
    """A network's keys fit its mode; two entries never describe one network."""
    seen: dict[tuple[str, str], str] = {}
    for name in document.networks:
        spec = table(document.networks, name)
        if spec is None:
            continue
        endpoint, real = text(spec, "endpoint"), text(spec, "name")
        yield from known_endpoint(document, endpoint)
        if document.provider(endpoint) == "azure" and endpoint:
            yield problem(
                endpoint,
                "azure-network",
                "on Azure there are subnets",
                "write `subnet` in the lift or target",
            )
        if endpoint and real:
            first = seen.setdefault((document.place(endpoint), real), name)
            if first != name:
                summary = f"network {quoted(real)} is already described as {quoted(first)}"
                yield problem(real, "network-twice", summary, f"use {quoted(first)} instead")
        provider = document.provider(endpoint)
        yield from _mode(spec, provider)
        if provider not in (None, "vsphere"):
            yield from _vsphere_only(spec)


def _vsphere_only(spec: Table) -> Iterator[Diagnostic]:
    for word in ("site_filter", "switch", "vlan"):
        if word in spec.keys_at:
            summary = f"`{word}` is for networks on vSphere"
            yield problem(key(spec, word), "vsphere-network", summary, f"remove `{word}`")


def _mode(spec: Table, provider: str | None) -> Iterator[Diagnostic]:
    mode = text(spec, "mode")
    if mode == "unplugged":
        yield problem(
            mode,
            "unplugged",
            "`unplugged` needs no network",
            "write `contain: {mode: unplugged}` at the host",
        )
    elif mode == "filtered" and provider == "vsphere":
        yield from _site_filtered(spec, mode)
    elif mode == "filtered":
        if "uplink" not in spec.keys_at and "site_filter" not in spec.keys_at:
            yield problem(
                mode, "no-uplink", "a filtered network has no `uplink`", "add the bridge or portgroup"
            )
        if not spec.get("allow") and "allow" not in spec.empty:
            yield warning(
                mode, "allows-nothing", "nothing is allowed to pass", "`mode: sealed` says that more safely"
            )
    elif mode in (None, "sealed") and "mode" not in spec.empty:
        for word in ("allow", "uplink", "site_filter"):
            if word in spec.keys_at:
                said = f"`{word}` on a network that is {'sealed' if mode else 'not isolated'}"
                hint = f"write `mode: filtered`, or remove `{word}`"
                yield problem(key(spec, word), f"{word}-not-filtered", said, hint)


def _site_filtered(spec: Table, mode: Text) -> Iterator[Diagnostic]:
    """On vSphere the site filters: ferry says so everywhere, makes nothing and checks nothing."""
    if "site_filter" not in spec.keys_at:
        summary = "ferry filters nothing on vSphere: whose filter is it?"
        hint = "add `site_filter: TEXT` (an NSX policy, a VLAN behind a firewall), or write `mode: sealed`"
        yield problem(mode, "no-site-filter", summary, hint)
    for word, why in (
        ("uplink", "is where ferry's own filter stands, and there is none on vSphere"),
        ("create", "would make a network without the site's filter"),
    ):
        if word in spec.keys_at and (word != "create" or attempt(parse_bool, text(spec, word))):
            yield problem(key(spec, word), f"{word}-site-filter", f"`{word}` {why}", f"remove `{word}`")


def flows(document: Document) -> Iterator[Diagnostic]:
    """tcp and udp name a port, icmp does not; a flow to everywhere is pointed at, a repeated one refused."""
    for allowed in document.flow_lists():
        seen: dict[tuple[object, ...], Table] = {}
        for spec in allowed:
            yield from _flow(spec)
            to = attempt(parse_flow_target, text(spec, "to"))
            same = (to, str(spec.get("port")), str(spec.get("proto", "tcp")))
            if to and same in seen:
                summary = f"the same flow stands in line {seen[same].at.line}"
                yield problem(spec, "flow-twice", summary, "keep one of them")
            seen.setdefault(same, spec)


def _flow(spec: Table) -> Iterator[Diagnostic]:
    to, proto = text(spec, "to"), text(spec, "proto")
    has_port = "port" in spec.keys_at
    if proto == "icmp" and has_port:
        yield problem(key(spec, "port"), "port", "icmp has no ports", "remove `port`")
    elif proto in (None, "tcp", "udp") and not has_port:
        yield problem(spec, "port", "`port` is missing", "add the one port that the old server may reach")
    network = attempt(parse_destination, to)
    if to and network is not None and network.prefixlen == 0:
        yield warning(to, "wide-flow", f"{quoted(to)} is every address", "name the servers that are needed")


RULES = (endpoints, shapes, flows)
