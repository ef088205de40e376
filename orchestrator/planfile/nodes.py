"""The plan file as a tree in which every key, value and item knows its place.

Scalars stay text: what `010` or `no` means is decided by the field's declared type, not here. The nodes are
subclasses of `str`, `dict` and `list`, so that pydantic reads them as they are.
"""

from collections.abc import Iterator
from typing import Any, TypeAlias

from orchestrator.diagnostics import Diagnostic, Location, Severity

ENOUGH = 200
"""So many problems of one kind are looked for: nobody reads more, and guessing what was meant takes time."""


class Text(str):
    """A scalar as written. `plain`: neither quoted nor a block; `path` is its place in the document."""

    __slots__ = ("at", "path", "plain")

    at: Location
    path: str
    plain: bool

    def __new__(cls, value: str, at: Location, *, path: str = "", plain: bool = True) -> "Text":
        self = super().__new__(cls, value)
        self.at, self.path, self.plain = at, path, plain
        return self


class Table(dict[str, Any]):
    """A mapping. `keys_at` has the place of each key; `empty` names those without a value.

    `comment`: what a draft says above it; nothing of a file that is read.
    """

    def __init__(self, at: Location, path: str = "") -> None:
        super().__init__()
        self.at, self.path = at, path
        self.keys_at: dict[str, Location] = {}
        self.empty: set[str] = set()
        self.comment = ""

    def put(self, key: str, at: Location, value: "Node") -> None:
        """Add an entry with the place of its key."""
        self[key] = value
        self.keys_at[key] = at


class Items(list[Any]):
    """A sequence."""

    def __init__(self, at: Location, path: str = "") -> None:
        super().__init__()
        self.at, self.path = at, path


Node: TypeAlias = Text | Table | Items


def walk(node: Node) -> Iterator[tuple[str, Node]]:
    """Give every value below a node with the key it stands under ("" for the items of a list)."""
    stack: list[Node] = [node]
    while stack:
        parent = stack.pop()
        if isinstance(parent, Table):
            below: list[tuple[str, Node]] = list(parent.items())
        elif isinstance(parent, Items):
            below = [("", item) for item in parent]
        else:
            continue
        yield from below
        stack.extend(child for _, child in reversed(below))


def problem(
    node: Node, code: str, summary: str, hint: str = "", *, severity: Severity = Severity.ERROR
) -> Diagnostic:
    """Make a diagnostic at a node's place."""
    return Diagnostic(code, summary, hint, location=node.at, path=node.path, severity=severity)


def warning(node: Node, code: str, summary: str, hint: str = "") -> Diagnostic:
    """Make a warning at a node's place."""
    return problem(node, code, summary, hint, severity=Severity.WARNING)


def join(path: str, key: str | int) -> str:
    """Extend a document path: `hosts[0]`, `hosts[0].source`."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else key
