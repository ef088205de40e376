"""Scheduled tasks from their XML files.

Document types and entities are refused: task files have none, attacks do.
"""

import codecs
from xml.parsers import expat

from orchestrator.guest.clean import LINE, NAME, clean
from orchestrator.model.facts import ScheduledTask

MAX_TASK_SIZE = 1024 * 1024
_MAX_DEPTH = 32
_MAX_COMMANDS = 64
_BOMS = ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"), (codecs.BOM_UTF8, "utf-8-sig"))


class BadTask(Exception):
    """The file is not a task; the reason is fit to be shown."""


def scheduled_task(path: str, content: bytes) -> ScheduledTask:
    """Read one task file; `path` is the task's own ("\\Branch\\Backup"). Raises BadTask."""
    if len(content) > MAX_TASK_SIZE:
        message = f"it is larger than {MAX_TASK_SIZE} bytes"
        raise BadTask(message)
    handler = _Handler()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = handler.start
    parser.EndElementHandler = handler.end
    parser.CharacterDataHandler = handler.text
    parser.StartDoctypeDeclHandler = handler.doctype
    try:
        # Decoded here: expat then ignores the encoding that the file claims.
        parser.Parse(_decoded(content).encode("utf-8"), True)
    except (expat.ExpatError, UnicodeError) as fault:
        message = f"it is not well-formed: {clean(str(fault), NAME)}"
        raise BadTask(message) from fault
    if handler.root != "Task":
        message = "it is not a task"
        raise BadTask(message)
    return ScheduledTask(
        path=clean(path, LINE),
        enabled=handler.enabled.strip().lower() not in ("false", "0"),
        commands=tuple(clean(command) for command in handler.commands),
        author=clean(handler.author, NAME),
    )


def _decoded(content: bytes) -> str:
    encoding = next((name for bom, name in _BOMS if content.startswith(bom)), "")
    text = content.decode(encoding or ("utf-16-le" if b"\0" in content[:64] else "utf-8"))
    # A declared encoding would now be wrong.
    return text.split("?>", 1)[1] if text.lstrip().startswith("<?xml") and "?>" in text else text


class _Handler:
    """Collects the few texts that matter while expat walks the document."""

    def __init__(self) -> None:
        self.root = ""
        self.author = ""
        self.enabled = ""
        self.commands: list[str] = []
        self._path: list[str] = []
        self._parts: list[str] = []

    def doctype(self, *_: object) -> None:
        message = "it has a document type, which task files never have"
        raise BadTask(message)

    def start(self, name: str, _: object) -> None:
        self._path.append(name.rsplit(" ", 1)[-1])
        self.root = self.root or self._path[0]
        if len(self._path) > _MAX_DEPTH:
            message = f"it is nested more than {_MAX_DEPTH} deep"
            raise BadTask(message)
        self._parts = []

    def text(self, data: str) -> None:
        self._parts.append(data)

    def end(self, _: str) -> None:
        where, found = "/".join(self._path[1:]), "".join(self._parts).strip()
        if where == "RegistrationInfo/Author":
            self.author = found
        elif where == "Settings/Enabled":
            self.enabled = found
        elif where == "Actions/Exec/Command" and len(self.commands) < _MAX_COMMANDS:
            self.commands.append(found)
        elif where == "Actions/Exec/Arguments" and self.commands:
            self.commands[-1] = f"{self.commands[-1]} {found}".strip()
        self._path.pop()
        self._parts = []
