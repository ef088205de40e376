"""Discovered machines to a plan file for a person to finish.

Every name here comes from a hypervisor or from inside a guest, so none is trusted to be a name of ours, nor
to be harmless text. What nobody can know is marked, and nothing that exists is overwritten.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path

from orchestrator.diagnostics import Diagnostic, InvalidInput, Location, Severity
from orchestrator.model.base import Value
from orchestrator.model.endpoint import EndpointSettings, SettingValue
from orchestrator.model.secret import SecretRef
from orchestrator.planfile.clear_secrets import find_secrets
from orchestrator.planfile.decode import check_tree
from orchestrator.planfile.draft import fill_in, slug, write_new, yaml_text
from orchestrator.planfile.locate import MAX_BYTES
from orchestrator.planfile.nodes import Items, Node, Table, Text
from orchestrator.planfile.rules.change import FILL_IN
from orchestrator.planfile.values import BadValue, parse_label

_NO_DAY = date(1970, 1, 1)
"""A draft has neither waivers nor a window for the day to judge."""
_AT = Location("draft", 1, 1)
_TO_FILL_IN = Table(Location("draft", 2, 1))
"""Of a place with a mark nothing else is reported, so marks stand apart."""
_NETWORK_WORDS = (
    "Where the old servers are cut off: name a network without uplink, host address or other machines.\n"
    "create: true makes it where it does not exist. To pull their cables instead, write at each host\n"
    "contain: {mode: unplugged}, and remove this network."
)


class DraftHost(Value):
    """One machine for the draft. `calls`: how it calls itself, best first; `vm`: how its endpoint finds it,
    best first, the last always does; `evidence`: a line for the person who reads the draft."""

    endpoint: str
    calls: tuple[str, ...]
    vm: tuple[str, ...]
    build: int | None = None
    arch: str | None = None
    evidence: str = ""


def draft_plan(
    endpoints: Sequence[EndpointSettings],
    hosts: Sequence[DraftHost],
    out: Path,
    *,
    sealed: bool = True,
    force: bool = False,
) -> None:
    """Write a plan file of these hosts. `sealed`: into a network to be named, else their links go down.

    Raises InvalidInput where `out` exists without `force`, or where there are too many hosts for one file.
    """
    used = [endpoint for endpoint in endpoints if any(host.endpoint == endpoint.name for host in hosts)]
    root = _root(slug(out.stem, "discovered"), used, hosts, sealed=sealed)
    _, found = check_tree(root, _NO_DAY)
    problems = tuple(d for d in found if d.severity is Severity.ERROR and d.code != "fill-in")
    if problems:
        raise InvalidInput(problems)
    text = _text(root)
    if len(text.encode()) > MAX_BYTES:
        for host in root["hosts"]:
            host.comment = ""
        text = _text(root)
    if len(text.encode()) > MAX_BYTES:
        summary = f"{len(hosts)} hosts make a plan file of more than {MAX_BYTES // 1024} KiB"
        raise InvalidInput((Diagnostic("too-large", summary, "discover one endpoint or folder at a time"),))
    write_new(out, text, force=force)


def _text(root: Table) -> str:
    head = (
        "# Drafted by ferry discover. What is left to write is marked <fill in: ...>.\n"
        "# Above each host: what speaks for it. A run confirms the Windows before it isolates anything."
    )
    return f"{head}\n\n{yaml_text(root)}"


def _root(
    name: str, endpoints: Sequence[EndpointSettings], hosts: Sequence[DraftHost], *, sealed: bool
) -> Table:
    names = {endpoint.name: f"quarantine-{endpoint.name}"[:63] for endpoint in endpoints}
    places = {endpoint.name: _place(endpoint) for endpoint in endpoints}
    entries, taken, machines = Items(_AT), set[str](), set[tuple[str, str]]()
    for host in hosts:
        host_name = _free((slug(call, "") for call in host.calls), taken)
        vm = _machine(host, places[host.endpoint], machines)
        entries.append(_host(host, host_name, vm, names[host.endpoint] if sealed else None))
    parts: dict[str, Node] = {
        "ferry": Text("1", _AT),
        "name": _text_node(name),
        "owner": fill_in("who answers for it", _TO_FILL_IN),
        "endpoints": _table({endpoint.name: _endpoint(endpoint) for endpoint in endpoints}),
    }
    if sealed:
        parts["networks"] = _table({key: _network(endpoint) for endpoint, key in names.items()})
    return _table(parts | {"hosts": entries})


def _endpoint(endpoint: EndpointSettings) -> Table:
    frame: dict[str, Node] = {"provider": _text_node(endpoint.provider)}
    if endpoint.max_parallel != EndpointSettings.model_fields["max_parallel"].default:
        frame["max_parallel"] = Text(str(endpoint.max_parallel), _AT)
    return _table(frame | {key: _setting(value) for key, value in endpoint.settings.items()})


def _setting(value: SettingValue) -> Node:
    if isinstance(value, SecretRef):
        given = value.model_dump(exclude_none=True)
        return _table({kind: _text_node(name) for kind, name in given.items()})
    if isinstance(value, bool):
        return Text("true" if value else "false", _AT)
    return Text(str(value), _AT) if isinstance(value, int) else _text_node(value)


def _network(endpoint: str) -> Table:
    name = fill_in("the quarantine network's name on this endpoint", _TO_FILL_IN)
    parts: dict[str, Node] = {
        "endpoint": _text_node(endpoint),
        "name": name,
        "mode": _text_node("sealed"),
        "create": Text("false", _AT),
    }
    return _table(parts, _NETWORK_WORDS)


def _host(host: DraftHost, name: str, vm: str, network: str | None) -> Table:
    parts: dict[str, Node] = {
        "name": _text_node(name),
        "source": _table({"endpoint": _text_node(host.endpoint), "vm": _text_node(vm)}),
    }
    expect: dict[str, Node] = {}
    if host.build is not None:
        expect["build"] = Text(str(host.build), _AT)
    if host.arch is not None:
        expect["arch"] = _text_node(host.arch)
    if expect:
        parts["expect"] = _table(expect)
    parts["disposition"] = _text_node("contain")
    parts["contain"] = _table(
        {"network": _text_node(network)} if network else {"mode": _text_node("unplugged")}
    )
    return _table(parts, host.evidence)


def _free(wanted: Iterable[str], taken: set[str]) -> str:
    """Make a host's name that no other has, however it is written."""
    name = next(filter(None, wanted), "host")
    own, number = name, 1
    while own.casefold() in taken:
        number += 1
        own = f"{name[:56]}-{number}"
    taken.add(own.casefold())
    return own


def _machine(host: DraftHost, place: str, taken: set[tuple[str, str]]) -> str:
    """Choose the best word for a machine that a plan file can hold, and that no other host there has."""
    fit = (word for word in host.vm[:-1] if _can_stand(word) and (place, word.casefold()) not in taken)
    vm = next(fit, host.vm[-1])
    taken.add((place, vm.casefold()))
    return vm


def _place(endpoint: EndpointSettings) -> str:
    """Two endpoints may be two views of one place."""
    where = (endpoint.settings.get(key) for key in ("uri", "server", "world"))
    return "|".join(str(word).casefold() for word in (endpoint.provider, *where))


def _can_stand(word: str) -> bool:
    """Tell whether a plan file can hold a name just as it is."""
    node = _text_node(word)
    try:
        same = parse_label(node) == word
    except BadValue:
        return False
    return same and not word.startswith(FILL_IN) and not find_secrets(_table({"vm": node}), "").problems


def _text_node(value: str) -> Text:
    return Text(value, _AT, plain=False)


def _table(parts: dict[str, Node], comment: str = "") -> Table:
    table = Table(_AT)
    for key, value in parts.items():
        table.put(_text_node(key), _AT, value)
    table.comment = comment
    return table
