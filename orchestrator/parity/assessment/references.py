"""Where the facts of one host name other hosts. Pure text matching on facts, nothing is resolved.

A name counts only where it stands as a name of a machine, not as a part of a path or a longer name.
"""

import re
from collections.abc import Iterable, Iterator
from functools import cached_property

from orchestrator.model.base import Value
from orchestrator.model.facts import ServerFacts
from orchestrator.parity.names import windows_key

_ODBC_PREFIX = re.compile(r"^(?:tcp|np|lpc|admin):", re.IGNORECASE)
_OWN = frozenset({"LOCALHOST", "(LOCAL)", "."})
_EVERYWHERE = ("127.", "169.254.", "0.")
"""Addresses that many hosts have: they tell nothing."""
_NAME_BEFORE = r"(?:(?<![\w.\\/-])|(?<![\w.\\:-])\\\\|//)"
"""A name begins a word, or follows the two strokes of a UNC path or a URL; never one stroke or a drive."""
_UNC = re.compile(r"""\\\\(?P<host>[^\\/\s"']+)\\(?P<share>[^\\/"':;|<>]+)""")
"""The share may hold blanks; where nothing quotes it, it may also end at the first one."""
_NAME_AFTER = r"(?![\w-])(?!\.\w)"


class Endpoint(Value):
    """What a host is called and where it answers: names as Windows compares them, bare addresses."""

    names: tuple[str, ...]
    addresses: tuple[str, ...]

    @cached_property
    def _pattern(self) -> re.Pattern[str] | None:
        known = sorted((*self.names, *(windows_key(a) for a in self.addresses)), key=len, reverse=True)
        if not known:
            return None
        return re.compile(f"{_NAME_BEFORE}(?:{'|'.join(map(re.escape, known))}){_NAME_AFTER}")

    def is_named_in(self, text: str) -> bool:
        """Tell whether a command line, a path or a URL names this host."""
        return self._pattern is not None and self._pattern.search(windows_key(text)) is not None

    def shares_in(self, text: str) -> tuple[str, ...]:
        """Return the share of this host that a text names: as far as it may reach, then its first word."""
        for match in _UNC.finditer(text):
            if self.is_called(match["host"]):
                whole = match["share"].strip()
                return tuple(dict.fromkeys((whole, whole.split()[0]))) if whole else ()
        return ()

    def is_called(self, name: str) -> bool:
        """Tell whether a single name or address is this host."""
        return windows_key(name) in self.names or name in self.addresses


class Reference(Value):
    """A place where a host's facts name a machine: `text` holds it, `what` says for what it is needed."""

    fact: str
    text: str
    what: str


def endpoint_of(label: str, facts: ServerFacts | None, aliases: Iterable[str] = ()) -> Endpoint:
    """Return the names and addresses of a host.

    The plan's `label` counts as a name only where no facts tell the real one.
    """
    names = set(map(windows_key, aliases))
    addresses: set[str] = set()
    network = facts.network if facts is not None else None
    hostnames = (
        {facts.identity.hostname, network.hostname if network else None} if facts is not None else set()
    )
    for name in hostnames - {None, ""}:
        names.add(windows_key(str(name)))
        if network is not None and network.domain:
            names.add(windows_key(f"{name}.{network.domain}"))
    if network is not None:
        addresses = {a.partition("/")[0] for card in network.interfaces for a in card.addresses}
    return Endpoint(
        names=tuple(sorted((names or {windows_key(label)}) - _OWN)),
        addresses=tuple(sorted(a for a in addresses if not a.startswith(_EVERYWHERE))),
    )


def host_lines(facts: ServerFacts) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Return each line of the hosts file: address and names."""
    for line in (facts.network.hosts if facts.network is not None else None) or ():
        address, *names = line.split() or [""]
        yield address, tuple(names)


def texts(facts: ServerFacts) -> Iterator[Reference]:
    """Return command lines, paths and values in which a machine may be named."""
    for service in facts.services or ():
        yield _text(f"services.{service.name}", service.image_path, "runs a service's program from it")
    for task in facts.tasks or ():
        for command in task.commands:
            yield _text(f"tasks.{task.path}", command, "names it in a scheduled task")
    for entry in facts.autostart or ():
        yield _text(f"autostart.{entry.name}", entry.command, "names it in an auto-start entry")
    for variable in facts.environment or ():
        yield _text(f"environment.{variable.name}", variable.value, "names it in an environment variable")
    for printer in facts.printers or ():
        port = printer.port.removeprefix("IP_")
        yield _text(f"printers.{printer.name}", f"{printer.name} {port}", "prints by it")
    for site in facts.iis.sites if facts.iis is not None else ():
        for application in site.applications:
            place = f"iis.{site.name}{application.path}"
            yield _text(place, application.folder, "serves web content from it")


def odbc_servers(facts: ServerFacts) -> Iterator[Reference]:
    """Return the servers of ODBC sources, without protocol, instance and port."""
    for source in facts.odbc or ():
        server = re.split(r"[\\,:;]", _ODBC_PREFIX.sub("", source.server.strip()).lstrip("\\"))[0].strip()
        if server and windows_key(server) not in _OWN:
            what = f"has its ODBC source {source.name} there (database {source.database or 'unnamed'})"
            yield _text(f"odbc.{source.name}", server, what)


def _text(fact: str, text: str, what: str) -> Reference:
    return Reference(fact=fact, text=text, what=what)
