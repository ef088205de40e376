"""A tolerant look at a located plan file: gives what is there and of the right shape, None otherwise.

The rules read through it, so that a wrong value in one place never hides a problem in another. Wrong shapes
are the models' affair.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cached_property

from orchestrator.planfile.nodes import Items, Table, Text


def text(table: Table | None, *path: str) -> Text | None:
    """The text at a path of keys."""
    value = _at(table, path)
    return value if isinstance(value, Text) else None


def table(parent: Table | None, *path: str) -> Table | None:
    """The mapping at a path of keys."""
    value = _at(parent, path)
    return value if isinstance(value, Table) else None


def texts(parent: Table | None, *path: str) -> list[Text]:
    """The text items of the list at a path of keys."""
    value = _at(parent, path)
    return [item for item in value if isinstance(item, Text)] if isinstance(value, Items) else []


def tables(parent: Table | None, *path: str) -> list[Table]:
    """The mappings in the list at a path of keys."""
    value = _at(parent, path)
    return [item for item in value if isinstance(item, Table)] if isinstance(value, Items) else []


def key(parent: Table, name: str) -> Text:
    """A key as text with its own place."""
    return Text(name, parent.keys_at[name], path=f"{parent.path}.{name}")


def _or_empty(found: Table | None, near: Table) -> Table:
    return Table(near.at) if found is None else found


def _at(parent: Table | None, path: tuple[str, ...]) -> object:
    value: object = parent
    for step in path:
        if not isinstance(value, Table):
            return None
        value = value.get(step)
    return value


@dataclass(frozen=True)
class Host:
    """One host's mapping; `name` is "" where it has none."""

    node: Table
    name: str
    target: Table | None
    target_defaults: Table | None

    def of_target(self, name: str) -> object:
        """A key of the target, or else of `defaults.target`."""
        for source in (self.target, self.target_defaults):
            if source is not None and name in source.keys_at:
                return source.get(name)
        return None

    def target_text(self, name: str) -> Text | None:
        """The same, where it is text."""
        value = self.of_target(name)
        return value if isinstance(value, Text) else None


@dataclass(frozen=True)
class Document:
    """The whole file as the rules see it."""

    root: Table
    today: date
    profiles: tuple[str, ...] = ()
    """Known parity profiles; none: they are not judged."""

    @cached_property
    def hosts(self) -> tuple[Host, ...]:
        """All hosts that are mappings, in the file's order."""
        defaults = table(self.root, "defaults", "target")
        return tuple(
            Host(node, text(node, "name") or "", table(node, "target"), defaults)
            for node in tables(self.root, "hosts")
        )

    @cached_property
    def endpoints(self) -> Table:
        """The endpoints' mapping, empty where there is none."""
        return _or_empty(table(self.root, "endpoints"), self.root)

    @cached_property
    def networks(self) -> Table:
        """The networks' mapping, empty where there is none."""
        return _or_empty(table(self.root, "networks"), self.root)

    def provider(self, endpoint: str | None) -> str | None:
        """The provider's word of a named endpoint."""
        return text(self.endpoints, endpoint, "provider") if endpoint else None

    def place(self, endpoint: str) -> str:
        """What an endpoint really is, so that two names for one hypervisor are seen to be one."""
        settings = table(self.endpoints, endpoint)
        provider = text(settings, "provider")
        parts = [text(settings, k) for k in ("uri", "server", "world", "subscription", "resource_group")]
        where = "|".join(part.casefold().rstrip("/") for part in parts if part)
        return f"{provider}|{where}" if where else f"named {endpoint}"

    def network(self, name: str | None) -> Table | None:
        """A named network's mapping."""
        return table(self.networks, name) if name else None

    def flow_lists(self) -> Iterator[list[Table]]:
        """Every list of allowed flows, of networks and of lifts."""
        for name in self.networks:
            yield tables(self.networks, name, "allow")
        for host in self.hosts:
            yield tables(host.node, "lift", "allow")
