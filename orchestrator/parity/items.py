"""ServerFacts as a flat mapping of items with simple values: what two servers are compared by.

An item's id is "kind:name" in the server's own spelling; its key is the same in the form that Windows
compares. Values take part in the comparison, details are only shown. Nothing is judged here, and an unknown
section gives no items: ask `unknown_sections`.
"""

from collections.abc import Iterable, Iterator, Mapping

from orchestrator.model.base import Value
from orchestrator.model.facts import NetworkConfig, ScheduledTask, ServerFacts, Service, Share, Software
from orchestrator.parity.names import product_name, squeeze, version_numbers, windows_key

KINDS = ("identity", "service", "driver", "share", "software", "task", "network", "hosts")

SECTIONS: Mapping[str, tuple[str, ...]] = {
    "services": ("service", "driver"),
    "shares": ("share",),
    "software": ("software",),
    "tasks": ("task",),
    "network": ("network",),
    "hosts": ("hosts",),
}
"""Which kinds of items each section of the facts gives."""

Pairs = tuple[tuple[str, str | None], ...]


class Item(Value):
    """One thing that a server is or does. A value of None is unknown."""

    id: str
    kind: str
    values: Pairs = ()
    details: tuple[tuple[str, str], ...] = ()

    @property
    def key(self) -> str:
        """The id as Windows compares it."""
        return windows_key(self.id)

    def value(self, name: str) -> str | None:
        """Return one value; None where it is unknown or not there."""
        return dict(self.values).get(name)

    def text(self) -> str:
        """Say the values in words, for people."""
        shown = [f"{name} {value or 'unknown'}" for name, value in self.values if value != ""]
        return ", ".join(shown) or "there"


Items = Mapping[str, Item]
"""Items by key, in the order of their keys."""


def items_of(facts: ServerFacts) -> Items:
    """Return every item of the known sections. Items of one key become one with all their values."""
    found: dict[str, list[Item]] = {}
    for item in _all(facts):
        found.setdefault(item.key, []).append(item)
    return {key: _merged(found[key]) for key in sorted(found)}


def unknown_sections(facts: ServerFacts) -> Mapping[str, str]:
    """Return the sections that the collector could not see, each with its reason."""
    reasons = dict(facts.unknown)
    known: dict[str, object] = {name: getattr(facts, name) for name in SECTIONS if name != "hosts"}
    known["hosts"] = facts.network.hosts if facts.network else None
    reasons.setdefault("hosts", reasons.get("network", "the collector did not see it"))
    return {
        name: reasons.get(name, "the collector did not see it")
        for name, value in known.items()
        if value is None
    }


def item_key(written: str) -> str:
    """Return the key of an item as a person wrote it ("software:7-Zip 23.01 (x64)")."""
    kind, colon, name = written.strip().partition(":")
    if windows_key(kind) == windows_key("software"):
        name = product_name(name)
    return windows_key(f"{kind}{colon}{name}")


def _all(facts: ServerFacts) -> Iterator[Item]:
    yield from _identity(facts)
    hostname = facts.identity.hostname or ""
    yield from (_service(s, hostname) for s in facts.services or ())
    yield from (_share(s) for s in facts.shares or ())
    yield from (_software(s) for s in facts.software or ())
    yield from (_task(t) for t in facts.tasks or ())
    if facts.network is not None:
        yield from _network(facts.network)
        yield from _hosts(facts.network.hosts or ())


def _identity(facts: ServerFacts) -> Iterator[Item]:
    known = facts.identity
    role = known.product_type.value if known.product_type else None
    build = str(known.build) if known.build is not None else None
    yield Item(
        id="identity:release",
        kind="identity",
        values=(("build", build),),
        details=(("product", known.product_name or ""),),
    )
    yield Item(id="identity:role", kind="identity", values=(("role", role),))
    yield Item(id="identity:arch", kind="identity", values=(("architecture", known.arch),))


def _service(service: Service, hostname: str) -> Item:
    kind = "driver" if service.driver else "service"
    start = service.start.value if service.start else None
    values: Pairs = (("start", start),)
    if not service.driver:
        values += (("account", account_name(service.account, hostname)),)
    return Item(
        id=f"{kind}:{service.name}",
        kind=kind,
        values=values,
        details=(("display name", service.display_name), ("image", service.image_path)),
    )


def account_name(account: str, hostname: str) -> str:
    """Return an account in one spelling: built-in ones by their short name, the server's own as `.\\name`."""
    domain, _, name = account.strip().rpartition("\\")
    domain_key, local = windows_key(domain), windows_key(hostname)
    short = windows_key(name).replace(" ", "")
    if domain_key in ("", "NT AUTHORITY", ".") and short in ("", "LOCALSYSTEM", "SYSTEM"):
        return "LocalSystem"
    if domain_key in ("", "NT AUTHORITY") and short in ("LOCALSERVICE", "NETWORKSERVICE"):
        return {"LOCALSERVICE": "LocalService", "NETWORKSERVICE": "NetworkService"}[short]
    if domain_key and domain_key == local:
        return f".\\{name}"
    return account.strip()


def _share(share: Share) -> Item:
    details = (("remark", share.remark),) if share.remark else ()
    return Item(id=f"share:{share.name}", kind="share", values=(("path", share.path),), details=details)


def _software(software: Software) -> Item:
    return Item(
        id=f"software:{product_name(software.name or software.key, software.version)}",
        kind="software",
        values=(("version", software.version),),
        details=(("name", software.name), ("publisher", software.publisher)),
    )


def _task(task: ScheduledTask) -> Item:
    commands = " && ".join(squeeze(command) for command in task.commands)
    return Item(
        id=f"task:{task.path}",
        kind="task",
        values=(("enabled", "yes" if task.enabled else "no"), ("runs", commands)),
        details=(("author", task.author),) if task.author else (),
    )


def _network(network: NetworkConfig) -> Iterator[Item]:
    cards = network.interfaces
    settings = {
        "name": network.hostname,
        "domain": network.domain,
        "addresses": _listed(address for card in cards for address in card.addresses),
        "gateways": _listed(gateway for card in cards for gateway in card.gateways),
        "dns": _listed(server for card in cards for server in card.dns),
    }
    for name, value in settings.items():
        if value:
            yield Item(id=f"network:{name}", kind="network", values=((name, value),))


def _hosts(lines: Iterable[str]) -> Iterator[Item]:
    for line in lines:
        address, *names = line.split() or [""]
        for name in names:
            yield Item(id=f"hosts:{name}", kind="hosts", values=(("address", address.lower()),))


def _listed(values: Iterable[str]) -> str:
    return ", ".join(sorted(set(values)))


def _merged(items: list[Item]) -> Item:
    """Make one of several; which spelling and order they came in makes no difference."""
    if len(items) == 1:
        return items[0]
    ordered = sorted(items, key=lambda item: (item.id, item.values, item.details))
    names = dict.fromkeys(name for item in ordered for name, _ in item.values)
    return Item(
        id=ordered[0].id,
        kind=ordered[0].kind,
        values=tuple((name, _together(name, [item.value(name) for item in ordered])) for name in names),
        details=tuple(dict.fromkeys(pair for item in ordered for pair in item.details)),
    )


def _together(name: str, values: list[str | None]) -> str | None:
    known = sorted({value for value in values if value is not None})
    if not known or (len(known) < len(set(values)) and name != "version"):
        return None
    if name == "version":
        return max(known, key=lambda version: (version_numbers(version) or (), version))
    return ", ".join(known)
