"""Bytes to located nodes: YAML 1.2, one document, without tags, under limits.

Works from ruamel's parse events, because composing would resolve scalars by YAML's own types and would follow
aliases without a limit. Nothing here knows what a plan file means.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    DocumentStartEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceStartEvent,
)

from orchestrator.diagnostics import Diagnostic, InvalidInput, Location, Severity
from orchestrator.planfile.nodes import Items, Node, Table, Text, join
from orchestrator.planfile.wording import quoted, syntax_problem

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 32
MAX_NODES = 250_000
"""Counted with every alias written out, so that a few lines cannot stand for millions."""

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
# Control characters, line breaks that editors do not count, surrogates, marks that reorder text.
_UNFIT = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\u200d\u2010-\u2027\u202f-\u2065\u206a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_BOMS = ((b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16"), (b"\x00\x00\xfe\xff", "UTF-32"))


@dataclass(frozen=True)
class Located:
    """A read file: its bytes, its text, the root and what was wrong but did not stop the reading."""

    raw: bytes
    text: str
    root: Table
    problems: tuple[Diagnostic, ...]


def read_bytes(path: Path, limit: int = MAX_BYTES) -> bytes:
    """Read a small file; InvalidInput where it cannot be read or is larger than `limit` bytes."""
    start = Location(str(path), 1, 1)
    try:
        with path.open("rb") as stream:
            raw = stream.read(limit + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        hint = "give a file" if isinstance(error, IsADirectoryError) else "check the path and its rights"
        unreadable = Diagnostic("unreadable", f"cannot be read: {reason}", hint, start)
        raise InvalidInput((unreadable,)) from error
    if len(raw) > limit:
        summary = f"is larger than {limit // 1024} KiB"
        raise InvalidInput((Diagnostic("too-large", summary, "split it into several files", start),))
    return raw


def decode_text(raw: bytes, file: str) -> tuple[str, tuple[Diagnostic, ...]]:
    """Decode UTF-8, without the byte order mark; InvalidInput at the first byte that is not."""
    for mark, name in _BOMS:
        if raw.startswith(mark):
            _stop("encoding", f"the file is {name}", "save it as UTF-8", Location(file, 1, 1))
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8")
        summary = f"byte 0x{raw[error.start]:02x} is not UTF-8"
        _stop("encoding", summary, "save the file as UTF-8", place(before, len(before), file))
    warnings: tuple[Diagnostic, ...] = ()
    if text.startswith("\ufeff"):
        text = text[1:]
        hint = "save it as UTF-8 without one"
        start = Location(file, 1, 1)
        warnings = (
            Diagnostic("byte-order-mark", "a byte order mark", hint, start, severity=Severity.WARNING),
        )
    if unfit := _UNFIT.search(text):
        summary = f"character U+{ord(unfit[0]):04X} is invisible or moves other text"
        _stop("character", summary, "remove it", place(text, unfit.start(), file))
    return text, warnings


def place(text: str, offset: int, file: str) -> Location:
    """Turn an offset into line and column, counted from 1."""
    line = text.count("\n", 0, offset) + 1
    return Location(file, line, offset - (text.rfind("\n", 0, offset) + 1) + 1)


def locate(raw: bytes, file: str) -> Located:
    """Build the tree. Raises InvalidInput where the text is no YAML; what is milder is in `problems`."""
    text, warnings = decode_text(raw, file)
    builder = _Builder(file)
    try:
        builder.feed(YAML(typ="safe", pure=True).parse(text))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = Location(file, mark.line + 1, mark.column + 1) if mark else builder.last
        _stop("syntax", *syntax_problem(error.problem or "", _rest(text, at)), at)
    except (
        YAMLError,
        ValueError,
        OverflowError,
        LookupError,
        TypeError,
        AttributeError,
        AssertionError,
    ):
        # The scanner lets some Python errors through (an escape beyond Unicode).
        _stop("syntax", "not readable as YAML after this place", "correct what follows", builder.last)
    return Located(raw, text, builder.finish(), (*warnings, *builder.problems))


def _rest(text: str, at: Location) -> str:
    lines = text.splitlines()
    return lines[at.line - 1][at.column - 1 :] if at.line <= len(lines) else ""


def _stop(code: str, summary: str, hint: str, at: Location) -> NoReturn:
    raise InvalidInput((Diagnostic(code, summary, hint, at),))


@dataclass
class _Open:
    """A mapping or sequence under construction. `key` waits for its value; None: leave the entry out."""

    node: Table | Items
    anchor: str | None
    nodes_before: int
    key: Text | None = None
    at_value: bool = False
    lost: bool = False
    """True for what stands where only text may stand (a key): its content is read and thrown away."""


@dataclass
class _Builder:
    file: str
    problems: list[Diagnostic] = field(default_factory=list)
    stack: list[_Open] = field(default_factory=list)
    anchors: dict[str, tuple[Node | None, int]] = field(default_factory=dict)
    nodes: int = 0
    documents: int = 0
    root: Node | None = None
    last: Location = field(init=False)

    def __post_init__(self) -> None:
        self.last = Location(self.file, 1, 1)

    def feed(self, events: Iterable[Any]) -> None:
        for event in events:
            mark = event.start_mark
            self.last = Location(self.file, mark.line + 1, mark.column + 1)
            if isinstance(event, DocumentStartEvent):
                self._document()
            elif isinstance(event, ScalarEvent):
                self._scalar(event)
            elif isinstance(event, AliasEvent):
                self._alias(event.anchor)
            elif isinstance(event, MappingStartEvent | SequenceStartEvent):
                self._open(event)
            elif isinstance(event, CollectionEndEvent):
                self._close()

    def finish(self) -> Table:
        """Give the root, which must be a mapping."""
        if isinstance(self.root, Table):
            return self.root
        at = self.root.at if self.root is not None else Location(self.file, 1, 1)
        summary = "the file is empty" if self.root is None else "a plan file is a mapping of keys to values"
        raise InvalidInput(
            (*self.problems, Diagnostic("not-a-plan-file", summary, "begin with `ferry: 1`", at))
        )

    def _document(self) -> None:
        self.documents += 1
        if self.documents > 1:
            _stop("documents", "a second document begins here", "keep one plan file per file", self.last)

    def _scalar(self, event: ScalarEvent) -> None:
        self._count(1)
        self._no_tag(event)
        plain = not event.style
        node: Node | None = Text(event.value, self.last, path=self._path(), plain=plain)
        if plain and event.value in _NULLS and event.tag is None:
            node = None
        elif unfit := _UNFIT.search(event.value):
            self._report("character", f"holds the character U+{ord(unfit[0]):04X}", "remove it")
            node = None
        if event.anchor:
            self.anchors[event.anchor] = (node, 1)
        self._add(node, silent=node is None and event.value not in _NULLS)

    def _alias(self, anchor: str) -> None:
        if anchor not in self.anchors:
            _stop(
                "alias", f"`*{anchor}` names nothing written before it", f"write `&{anchor}` first", self.last
            )
        node, size = self.anchors[anchor]
        self._count(size)
        self._add(node, silent=True)

    def _open(self, event: Any) -> None:
        self._count(1)
        self._no_tag(event)
        if len(self.stack) >= MAX_DEPTH:
            _stop("too-deep", f"nested deeper than {MAX_DEPTH} levels", "a plan file needs fewer", self.last)
        kind = Table if isinstance(event, MappingStartEvent) else Items
        opened = _Open(kind(self.last, self._path()), event.anchor, self.nodes)
        parent = self.stack[-1] if self.stack else None
        if parent and isinstance(parent.node, Table) and not parent.at_value:
            self._report("key", "a key must be text", "write `key: value`")
            opened.lost = True
        self.stack.append(opened)

    def _close(self) -> None:
        opened = self.stack.pop()
        if opened.anchor:
            self.anchors[opened.anchor] = (opened.node, self.nodes - opened.nodes_before + 1)
        if opened.lost:
            self.stack[-1].key, self.stack[-1].at_value = None, True
        else:
            self._add(opened.node)

    def _add(self, node: Node | None, *, silent: bool = False) -> None:
        """Hang a finished node where it belongs; None is a value that is not there."""
        if not self.stack:
            self.root = node
            return
        parent = self.stack[-1]
        if isinstance(parent.node, Items):
            if node is not None:
                parent.node.append(node)
            elif not silent:
                self._report("no-value", "an empty item", "write a value or remove the dash")
        elif not parent.at_value:
            self._add_key(parent, parent.node, node)
        else:
            self._add_value(parent, parent.node, node, silent=silent)

    def _add_key(self, parent: _Open, table: Table, node: Node | None) -> None:
        parent.at_value, parent.key = True, None
        if not isinstance(node, Text):
            self._report("key", "a key must be text", "write `key: value`")
        elif node in table.keys_at:
            first = table.keys_at[node]
            summary = f"key {quoted(node)} stands here a second time, first in line {first.line}"
            self._report("duplicate-key", summary, "keep one of them")
        else:
            parent.key = Text(node, self.last, path=node.path)

    def _add_value(self, parent: _Open, table: Table, node: Node | None, *, silent: bool) -> None:
        parent.at_value = False
        key = parent.key
        if key is None:
            return
        table.keys_at[key] = key.at
        if node is not None:
            table[key] = node
            return
        table.empty.add(key)
        if not silent:
            hint = "write one, or remove the key; quote it where the word null is meant"
            self.problems.append(
                Diagnostic("no-value", f"key {quoted(key)} has no value", hint, key.at, join(table.path, key))
            )

    def _path(self) -> str:
        if not self.stack:
            return ""
        parent = self.stack[-1]
        if isinstance(parent.node, Items):
            return join(parent.node.path, len(parent.node))
        return join(parent.node.path, parent.key or "") if parent.at_value else parent.node.path

    def _count(self, nodes: int) -> None:
        self.nodes += nodes
        if self.nodes > MAX_NODES:
            summary = f"more than {MAX_NODES} values, aliases written out"
            _stop("too-large", summary, "split the file, or use fewer aliases", self.last)

    def _no_tag(self, event: Any) -> None:
        if event.tag is not None:
            self._report("tag", "a YAML tag", "remove it; the format decides each value's type")

    def _report(self, code: str, summary: str, hint: str) -> None:
        self.problems.append(Diagnostic(code, summary, hint, self.last, self._path()))
