"""Where the facts of one host name other machines. Pure text matching on facts, nothing is resolved.

A name counts only where it stands as a name of a machine, not as a part of a path or of a longer name.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.model.facts import ServerFacts
from orchestrator.parity.names import windows_key

SECTIONS = (
    "network.hosts",
    "network",
    "services",
    "tasks",
    "autostart",
    "environment",
    "printers",
    "iis",
    "odbc",
)
"""What names other machines: where one of these is unknown, a need may be overlooked."""
_ODBC_PREFIX = re.compile(r"^(?:tcp|np|lpc|admin):", re.IGNORECASE)
_OWN = frozenset({"LOCALHOST", "(LOCAL)", "."})
_EVERYWHERE = ("127.", "169.254.", "0.", "::1", "fe80:")
"""Addresses that many hosts have: they tell nothing."""
_NAME = re.compile(
    r"(?:(?<![\w.\\/-])|(?<![\w.\\:-])\\\\|//)"  # begins a word, or follows the strokes of a UNC or URL
    r"(\w[\w-]*(?:\.[\w-]+)*)"
)
_UNC = re.compile(r"""\\\\(?P<host>[^\\/\s"']+)\\(?P<share>[^\\/"':;|<>]+)""")
"""The share may hold blanks; where nothing quotes it, it may also end at the first one."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A place where a host's facts name a machine: `text` holds it, `what` says for what it is needed.

    `keys`: each name and address that it names, as `windows_key` gives them.
    """

    fact: str
    text: str
    what: str
    keys: tuple[str, ...]


def keys_of(label: str, facts: ServerFacts | None) -> frozenset[str]:
    """Return the names and addresses of a host.

    The plan's `label` counts as a name only where no facts tell the real one.
    """
    if facts is None:
        return frozenset({windows_key(label)})
    network = facts.network
    names = {facts.identity.hostname or "", network.hostname if network is not None else ""} - {""}
    found = {windows_key(name) for name in names or {label}}
    if network is not None:
        found |= {windows_key(f"{name}.{network.domain}") for name in names if network.domain}
        addresses = {a.partition("/")[0] for card in network.interfaces for a in card.addresses}
        found |= {windows_key(a) for a in addresses if not a.lower().startswith(_EVERYWHERE)}
    return frozenset(found - _OWN)


def references(facts: ServerFacts) -> Iterator[Reference]:
    """Return every place in a host's facts that names a machine by name or address, itself included."""
    yield from _hosts_file(facts)
    yield from _odbc(facts)
    yield from _named(facts)
    yield from _network(facts)


def shares_in(text: str, keys: frozenset[str]) -> tuple[str, ...]:
    """Return the share that a text names on a machine: as far as it may reach, then its first word."""
    for match in _UNC.finditer(text):
        whole = match["share"].strip()
        if whole and windows_key(match["host"]) in keys:
            return tuple(dict.fromkeys((whole, whole.split()[0])))
    return ()


def aliases(facts: ServerFacts) -> dict[str, str]:
    """Return the keys of names that a host's own hosts file knows, with the keys of their addresses."""
    return {
        windows_key(name): windows_key(address) for address, names in _host_lines(facts) for name in names
    }


def _host_lines(facts: ServerFacts) -> Iterator[tuple[str, list[str]]]:
    for line in (facts.network.hosts if facts.network is not None else None) or ():
        address, *names = line.split() or [""]
        yield address, names


def _hosts_file(facts: ServerFacts) -> Iterator[Reference]:
    for address, names in _host_lines(facts):
        words = (address, *names)
        keys = tuple(windows_key(word) for word in words)
        yield Reference(
            fact="network.hosts", text=" ".join(words), what="has it in its hosts file", keys=keys
        )


def _odbc(facts: ServerFacts) -> Iterator[Reference]:
    """The server of an ODBC source stands between a protocol and an instance or a port."""
    for source in facts.odbc or ():
        server = re.split(r"[\\,:;]", _ODBC_PREFIX.sub("", source.server.strip()).lstrip("\\"))[0].strip()
        if server:
            what = f"has its ODBC source {source.name} there (database {source.database or 'unnamed'})"
            yield Reference(
                fact=f"odbc.{source.name}", text=source.server, what=what, keys=(windows_key(server),)
            )


def _named(facts: ServerFacts) -> Iterator[Reference]:
    for fact, text, what in _texts(facts):
        keys = tuple(dict.fromkeys(windows_key(match[1]) for match in _NAME.finditer(text)))
        if keys:
            yield Reference(fact=fact, text=text, what=what, keys=keys)


def _texts(facts: ServerFacts) -> Iterator[tuple[str, str, str]]:
    """Return command lines, paths and values in which a machine may be named: fact, text, what it means."""
    for service in facts.services or ():
        yield f"services.{service.name}", service.image_path, "runs a service's program from it"
    for task in facts.tasks or ():
        for command in task.commands:
            yield f"tasks.{task.path}", command, "names it in a scheduled task"
    for entry in facts.autostart or ():
        yield f"autostart.{entry.name}", entry.command, "names it in an auto-start entry"
    for variable in facts.environment or ():
        yield f"environment.{variable.name}", variable.value, "names it in an environment variable"
    for printer in facts.printers or ():
        port = printer.port.removeprefix("IP_")
        yield f"printers.{printer.name}", f"{printer.name} {port}", "prints by it"
    for site in facts.iis.sites if facts.iis is not None else ():
        for application in site.applications:
            yield f"iis.{site.name}{application.path}", application.folder, "serves web content from it"


def _network(facts: ServerFacts) -> Iterator[Reference]:
    network = facts.network
    if network is None:
        return
    for card in network.interfaces:
        for server in card.dns:
            yield _address(f"network.{card.id}.dns", server, "asks it for DNS names")
        for gateway in card.gateways:
            yield _address(f"network.{card.id}.gateway", gateway, "routes everything through it")
    for route in network.routes or ():
        yield _address("network.routes", route.gateway, f"routes {route.destination} through it")


def _address(fact: str, address: str, what: str) -> Reference:
    return Reference(fact=fact, text=address, what=what, keys=(windows_key(address),))
