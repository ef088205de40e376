"""A small tree of an XML document, for files that Windows wrote: tasks and the configuration of IIS.

Document types are refused (these files have none, attacks do), and so are documents that are large or deep.
The encoding is told by the bytes, never by what the document claims.
"""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from orchestrator.guest.clean import NAME, clean

_MAX_DEPTH = 32
_MAX_ELEMENTS = 100_000
_BOMS = ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"), (codecs.BOM_UTF8, "utf-8-sig"))


class BadXml(Exception):
    """The document is refused; the reason is fit to be shown."""


@dataclass(slots=True)
class Element:
    """One element: its name without namespace, its attributes, its own text, and the elements below."""

    name: str
    attributes: dict[str, str]
    text: str = ""
    children: list["Element"] = field(default_factory=list)

    def all(self, path: str) -> Iterator["Element"]:
        """Yield the elements at `path` below this one ("sites/site"), in the document's order."""
        first, _, rest = path.partition("/")
        for child in self.children:
            if child.name == first:
                if rest:
                    yield from child.all(rest)
                else:
                    yield child

    def first(self, path: str) -> "Element | None":
        """Return the first element at `path`, or None."""
        return next(self.all(path), None)

    def value(self, path: str) -> str:
        """Return the text of the first element at `path`, trimmed; "" if there is none."""
        found = self.first(path)
        return found.text.strip() if found else ""


def document(content: bytes, limit: int) -> Element:
    """Return the root of a document of at most `limit` bytes. Raises BadXml."""
    if len(content) > limit:
        message = f"it is larger than {limit} bytes"
        raise BadXml(message)
    handler = _Handler()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = handler.start
    parser.EndElementHandler = handler.end
    parser.CharacterDataHandler = handler.text
    parser.StartDoctypeDeclHandler = handler.doctype
    try:
        # Decoded here: expat then ignores the encoding that the file claims.
        parser.Parse(_decoded(content).encode("utf-8"), True)
    except (expat.ExpatError, UnicodeError) as fault:
        message = f"it is not well-formed: {clean(str(fault), NAME)}"
        raise BadXml(message) from fault
    return handler.top.children[0]


def _decoded(content: bytes) -> str:
    encoding = next((name for bom, name in _BOMS if content.startswith(bom)), "")
    text = content.decode(encoding or ("utf-16-le" if b"\0" in content[:64] else "utf-8"))
    # A declared encoding would now be wrong.
    return text.split("?>", 1)[1] if text.lstrip().startswith("<?xml") and "?>" in text else text


class _Handler:
    """Builds the tree while expat walks the document."""

    def __init__(self) -> None:
        self.top = Element("", {})
        self._open = [self.top]
        self._count = 0

    def doctype(self, *_: object) -> None:
        message = "it has a document type, which such files never have"
        raise BadXml(message)

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if len(self._open) > _MAX_DEPTH or self._count > _MAX_ELEMENTS:
            message = f"it is nested more than {_MAX_DEPTH} deep, or has more than {_MAX_ELEMENTS} elements"
            raise BadXml(message)
        element = Element(name.rsplit(" ", 1)[-1], attributes)
        self._open[-1].children.append(element)
        self._open.append(element)

    def text(self, data: str) -> None:
        self._open[-1].text += data

    def end(self, _: str) -> None:
        self._open.pop()
