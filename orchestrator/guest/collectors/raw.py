"""The collectors' output ("ferry-collect": 1) as values, checked for its shape.

Meaning is not judged here. The content is hostile.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestrator.diagnostics import FerryError
from orchestrator.guest.clean import NAME, clean

RAW_VERSION = 1
MAX_RAW = 32 * 1024 * 1024
"""Bytes; the scripts stop at 24 MiB."""
_MAX_ROWS = 20_000

Cell = str | bool | int | None


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class Text(_Part):
    """Lines of a file or of exported registry keys. `state`: read, absent, denied, too large."""

    state: str
    lines: tuple[str, ...] = ()


class Table(_Part):
    """What one WMI class (or command) gave; `error` says why it gave nothing."""

    count: int | None = None
    rows: tuple[dict[str, Cell], ...] = Field((), max_length=_MAX_ROWS)
    error: str = ""


class TaskFiles(_Part):
    """The task files by their paths."""

    state: str = "denied"
    files: dict[str, Text] = {}


class Files(_Part):
    """The files that were read."""

    hosts: Text = Text(state="denied")
    startup: Text = Text(state="denied")
    iis: Text = Field(Text(state="denied"), alias="applicationHost.config")
    tasks: TaskFiles = TaskFiles()


class Host(_Part):
    """The script host: `emulated` names the machine's own architecture where the host is a 32-bit one on
    it."""

    architecture: str = ""
    emulated: str = ""
    desktop: bool | None = None


class Raw(_Part):
    """One collector's whole output."""

    version: Literal[1] = Field(alias="ferry-collect")
    collector: Literal["cscript", "powershell"]
    machine: Host
    classes: dict[str, Table]
    registry: dict[str, Text]
    files: Files
    complete: Literal[True]

    def table(self, name: str) -> Table:
        """Return a class's table; one that was not asked for says so."""
        return self.classes.get(name) or Table(error="it was not asked for")


def decoded(content: bytes) -> Raw:
    """Return the output of a collector from its JSON. Raises FerryError (code "bad-collection")."""
    try:
        raw = Raw.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = clean(".".join(str(part) for part in first["loc"]), NAME)
        message = f"this is no output of a collector of version {RAW_VERSION}: {where}: {first['msg']}"
        hint = "was it cut short? run the script of `ferry collector show` again"
        raise FerryError(message, hint=hint, code="bad-collection") from None
    if raw.machine.emulated:
        message = "a 32-bit script host on a 64-bit Windows made this: it does not see the 64-bit registry"
        raise FerryError(
            message, hint=r"run it with %SystemRoot%\Sysnative\cscript.exe", code="bad-collection"
        )
    return raw
