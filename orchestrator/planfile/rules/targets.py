"""Rules about the staged replacements. A target is looked at together with `defaults.target`."""

from collections.abc import Iterator

from orchestrator.diagnostics import Diagnostic
from orchestrator.model.plan import FINDING
from orchestrator.planfile.nodes import Table, Text, problem
from orchestrator.planfile.rules.hosts import repeated, same_endpoint
from orchestrator.planfile.rules.networks import known_endpoint, known_network
from orchestrator.planfile.rules.view import Document, Host, key, table, tables, text, texts
from orchestrator.planfile.values import (
    Address,
    BadValue,
    Interface,
    attempt,
    parse_address,
    parse_computer_name,
    parse_interface,
    parse_name,
)
from orchestrator.planfile.wording import quoted

_NEEDED = {
    "endpoint": "endpoint: lab",
    "release": "release: 2025",
    "image": "image: win2025-golden",
    "admin_password": "admin_password: {env: STAGING_ADMIN}",
}


def complete(document: Document) -> Iterator[Diagnostic]:
    """What a target needs is given there or in the defaults."""
    for host in document.hosts:
        if host.target is None:
            if "parity" in host.node and "target" not in host.node.keys_at and not _only_findings(host):
                hint = f"add a `target`, or leave only waivers of findings (`{FINDING}...`) in `parity`"
                yield problem(key(host.node, "parity"), "parity-no-target", "parity without a target", hint)
            continue
        for name, example in _NEEDED.items():
            if not _has(host, name):
                hint = f"add it, for example `{example}`, here or in `defaults.target`"
                yield problem(host.target, "missing-key", f"the target has no `{name}`", hint)


def _only_findings(host: Host) -> bool:
    """Tell whether a host's parity only accepts findings about the old server, which needs no target."""
    parity = table(host.node, "parity")
    waivers = tables(parity, "waivers")
    accepted = [(text(waiver, "item") or "").startswith(FINDING) for waiver in waivers]
    return parity is not None and set(parity) == {"waivers"} and bool(accepted) and all(accepted)


def _has(host: Host, name: str) -> bool:
    return any(
        source is not None and name in source.keys_at for source in (host.target, host.target_defaults)
    )


def places(document: Document) -> Iterator[Diagnostic]:
    """A target is on a known endpoint, and on one network or subnet that fits it, which isolates nobody."""
    for host in document.hosts:
        endpoint = host.target_text("endpoint") if host.target is not None else None
        if endpoint is None or host.target is None:
            continue
        yield from known_endpoint(document, endpoint)
        provider = document.provider(endpoint)
        wanted, other = ("subnet", "network") if provider == "azure" else ("network", "subnet")
        if provider and not _has(host, wanted):
            hint = (
                "add `subnet: VNET/SUBNET`"
                if wanted == "subnet"
                else "add `network: NAME`, one of `networks`"
            )
            yield problem(host.target, f"no-{wanted}", f"a target on {provider} needs a `{wanted}`", hint)
        if provider and other in host.target.keys_at:
            summary = f"`{other}` does not fit a target on {provider}"
            yield problem(key(host.target, other), f"stray-{other}", summary, f"write `{wanted}`")
        elif provider != "azure":
            yield from _staging(document, endpoint, host.target_text("network"))
        yield from _azure_image(provider, host.target_text("image"))


def _staging(document: Document, endpoint: Text, name: Text | None) -> Iterator[Diagnostic]:
    yield from known_network(document, name)
    network = document.network(name)
    if name is None or network is None:
        return
    yield from same_endpoint(name, network, endpoint, "target")
    if "mode" in network.keys_at:
        hint = "stage on a network without `mode`"
        yield problem(name, "staging-isolated", f"network {quoted(name)} is for isolating old servers", hint)


def _azure_image(provider: str | None, image: Text | None) -> Iterator[Diagnostic]:
    if provider == "azure" and image and image.count(":") != 3 and not image.startswith("/subscriptions/"):
        hint = "write publisher:offer:sku:version, or an image's /subscriptions/... id"
        yield problem(image, "azure-image", f"{quoted(image)} is no Azure image", hint)


def machine_names(document: Document) -> Iterator[Diagnostic]:
    """No target takes the name of another target or of a source on the same endpoint."""
    found: list[tuple[object, Text]] = []
    sources = {}
    for host in document.hosts:
        endpoint, vm = text(host.node, "source", "endpoint"), text(host.node, "source", "vm")
        if endpoint and vm:
            sources[document.place(endpoint), vm.rpartition("/")[2].casefold()] = vm
    for host in document.hosts:
        endpoint, vm = host.target_text("endpoint"), text(host.target, "vm")
        if endpoint and vm:
            same = (document.place(endpoint), vm.casefold())
            found.append((same, vm))
            if source := sources.get(same):
                summary = f"target {quoted(vm)} has the name of the source in line {source.at.line}"
                yield problem(vm, "target-is-source", summary, "give the new machine another name")
    for vm, first in repeated(found):
        summary = f"a second target {quoted(vm)}, first in line {first.at.line}"
        yield problem(vm, "target-twice", summary, "give it another name")


def computer_names(document: Document) -> Iterator[Diagnostic]:
    """Windows takes the name, and no other target has it."""
    found: list[tuple[object, Text]] = []
    for host in document.hosts:
        given, vm = text(host.target, "computer_name"), text(host.target, "vm")
        if host.target is None or "computer_name" in host.target.keys_at:
            found += [(given.casefold(), given)] if given else []
        elif vm and attempt(parse_name, vm):
            found.append((vm.casefold(), vm))
            try:
                parse_computer_name(vm)
            except BadValue as bad:
                hint = f"{bad.hint}: write a `computer_name`"
                yield problem(vm, bad.code, f"{bad.summary}, and no computer name is given", hint)
    for name, first in repeated(found):
        summary = f"a second computer named {quoted(name.upper())}, first in line {first.at.line}"
        yield problem(name, "computer-name-twice", summary, "give it another `computer_name`")


def addresses(document: Document) -> Iterator[Diagnostic]:
    """The gateway is in the target's network and is not the target; no address is given twice."""
    found: list[tuple[object, Text]] = []
    for host in document.hosts:
        spec = host.of_target("address")
        if not isinstance(spec, Table):
            continue
        ip, gateway = text(spec, "ip"), text(spec, "gateway")
        own, router = attempt(parse_interface, ip), attempt(parse_address, gateway)
        if ip and own:
            found.append((own.ip, ip))
        if gateway and own and router:
            yield from _gateway(gateway, own, router)
        for server in texts(spec, "dns"):
            address = attempt(parse_address, server)
            if address and (address.is_unspecified or address.is_multicast):
                yield problem(
                    server,
                    "address",
                    f"{quoted(server)} is no server's address",
                    "write the server's address",
                )
    for ip, first in repeated(found):
        summary = f"address {quoted(ip)} is given twice, first in line {first.at.line}"
        yield problem(ip, "address-twice", summary, "give each target its own")


def _gateway(node: Text, own: Interface, router: Address) -> Iterator[Diagnostic]:
    if router not in own.network:
        hint = f"write an address in {own.network}"
        yield problem(node, "gateway", f"gateway {quoted(node)} is outside of the target's network", hint)
    elif router == own.ip:
        yield problem(node, "gateway", "the gateway is the target itself", "write the router's address")


RULES = (complete, places, machine_names, computer_names, addresses)
