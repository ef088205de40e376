"""Rules about the legacy hosts: names, sources, and that each has what its disposition needs."""

from collections.abc import Iterable, Iterator

from orchestrator.diagnostics import Diagnostic
from orchestrator.planfile.nodes import Items, Table, Text, problem
from orchestrator.planfile.rules.networks import known_endpoint, known_network
from orchestrator.planfile.rules.view import Document, Host, key, table, text
from orchestrator.planfile.wording import quoted


def some(document: Document) -> Iterator[Diagnostic]:
    """There is a host at all."""
    hosts = document.root.get("hosts")
    if isinstance(hosts, Items) and not hosts:
        yield problem(hosts, "no-host", "there is no host", "add one")


def names(document: Document) -> Iterator[Diagnostic]:
    """No two hosts have one name, however it is written."""
    found = [(host.name.casefold(), name) for host in document.hosts if (name := text(host.node, "name"))]
    for name, first in repeated(found):
        yield problem(
            name, "host-twice", f"a second host {quoted(name)}, first in line {first.at.line}", "rename one"
        )


def sources(document: Document) -> Iterator[Diagnostic]:
    """Sources are on hypervisors that the file knows, and no machine is claimed twice."""
    found: list[tuple[object, Text]] = []
    for host in document.hosts:
        endpoint, vm = text(host.node, "source", "endpoint"), text(host.node, "source", "vm")
        yield from known_endpoint(document, endpoint)
        if endpoint and document.provider(endpoint) == "azure":
            yield problem(
                endpoint, "source-azure", "a source is not on Azure", "name the hypervisor where it runs now"
            )
        if endpoint and vm:
            found.append(((document.place(endpoint), vm.casefold()), vm))
    for vm, first in repeated(found):
        summary = f"machine {quoted(vm)} is claimed twice, first in line {first.at.line}"
        yield problem(vm, "source-twice", summary, "a machine belongs to one host")


def dispositions(document: Document) -> Iterator[Diagnostic]:
    """A host has the block of its disposition and not the other."""
    for host in document.hosts:
        wanted = text(host.node, "disposition")
        if wanted not in ("contain", "lift"):
            continue
        other = "lift" if wanted == "contain" else "contain"
        if wanted not in host.node.keys_at:
            example = (
                "contain: {mode: unplugged}"
                if wanted == "contain"
                else "lift: {endpoint: ..., size: ..., subnet: ...}"
            )
            summary = f"disposition {quoted(wanted)} without a `{wanted}` block"
            yield problem(wanted, f"no-{wanted}", summary, f"add `{example}`")
        if other in host.node.keys_at:
            summary = f"a `{other}` block on a host whose disposition is {quoted(wanted)}"
            yield problem(
                key(host.node, other),
                f"stray-{other}",
                summary,
                f"remove it, or write `disposition: {other}`",
            )


def contains(document: Document) -> Iterator[Diagnostic]:
    """Isolation is either unplugged or by one isolating network of the source's own endpoint."""
    for host in document.hosts:
        spec = table(host.node, "contain")
        if spec is None:
            continue
        mode, network = text(spec, "mode"), text(spec, "network")
        if not spec.keys_at:
            yield problem(
                spec, "no-contain", "`contain` is empty", "write `{mode: unplugged}` or `{network: NAME}`"
            )
        elif {"mode", "network"} <= spec.keys_at.keys():
            hint = "keep one: the network has its own mode"
            yield problem(spec, "contain-both", "`contain` has both `mode` and `network`", hint)
        elif mode in ("sealed", "filtered"):
            hint = f"write `network: NAME` of a network with `mode: {mode}`"
            yield problem(mode, "mode-needs-network", f"{quoted(mode)} needs a network", hint)
        yield from _isolating(document, host, network)


def _isolating(document: Document, host: Host, name: Text | None) -> Iterator[Diagnostic]:
    yield from known_network(document, name)
    network = document.network(name)
    if network is None or name is None:
        return
    if "mode" not in network.keys_at:
        hint = "give the network `mode: sealed` or `mode: filtered`, or use another"
        yield problem(name, "network-no-mode", f"network {quoted(name)} does not isolate", hint)
    yield from same_endpoint(name, network, text(host.node, "source", "endpoint"), "source")


def same_endpoint(name: Text, network: Table, wanted: Text | None, whose: str) -> Iterator[Diagnostic]:
    """A network is on the endpoint of the machine that is to be put on it."""
    endpoint = text(network, "endpoint")
    if endpoint and wanted and endpoint != wanted:
        summary = f"network {quoted(name)} is on {quoted(endpoint)}, the {whose} on {quoted(wanted)}"
        yield problem(name, "network-elsewhere", summary, f"use a network of {quoted(wanted)}")


def lifts(document: Document) -> Iterator[Diagnostic]:
    """A lift goes to Azure."""
    for host in document.hosts:
        endpoint = text(host.node, "lift", "endpoint")
        yield from known_endpoint(document, endpoint)
        provider = document.provider(endpoint)
        if endpoint and provider and provider != "azure":
            hint = "name an endpoint with `provider: azure`"
            yield problem(endpoint, "lift-not-azure", f"endpoint {quoted(endpoint)} is not on Azure", hint)


def references(document: Document) -> Iterator[Diagnostic]:
    """A reference to a secret says exactly one place."""
    for spec in _secret_tables(document):
        given = spec.keys_at.keys() & {"env", "file", "keyring"}
        if len(given) != 1 and spec.keys_at.keys() <= {"env", "file", "keyring"}:
            summary = "a reference to a secret names " + ("no place" if not given else f"{len(given)} places")
            yield problem(
                spec, "reference", summary, "write one of {env: NAME}, {file: PATH}, {keyring: SERVICE/USER}"
            )


def _secret_tables(document: Document) -> Iterator[Table]:
    parents: list[Table | None] = [table(document.endpoints, name) for name in document.endpoints]
    parents += [table(document.root, "defaults", "target"), *(host.target for host in document.hosts)]
    for parent in parents:
        for word in ("username", "password", "subscription", "admin_password"):
            if (spec := table(parent, word)) is not None:
                yield spec


def repeated(found: Iterable[tuple[object, Text]]) -> Iterator[tuple[Text, Text]]:
    """Of pairs (what must differ, where it stands) give each repeated one with the first of its kind.

    Never by identity of the values: an alias stands for the very same one in two places.
    """
    seen: dict[object, Text] = {}
    for same, value in found:
        if same in seen:
            yield value, seen[same]
        else:
            seen[same] = value


RULES = (some, names, sources, dispositions, contains, lifts, references)
