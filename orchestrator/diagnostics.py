"""Problems as data: where, what is wrong, what to do. Found anywhere, rendered only by the command line and
the reports."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad a problem is. Only ERROR stops the work."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, order=True)
class Location:
    """A place in a text file; `line` and `column` count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One problem.

    `summary` says what is wrong, `hint` what to write or do instead, `code` is a stable short name
    ("unknown-key"), `path` is the
    place in the document ("hosts[0].source.vm") where there is no file, or beside it.
    """

    code: str
    summary: str
    hint: str = ""
    location: Location | None = None
    path: str = ""
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        where = f"{self.location}: " if self.location else (f"{self.path}: " if self.path else "")
        tail = f"; {self.hint}" if self.hint else ""
        return f"{where}{self.summary}{tail}"


class FerryError(Exception):
    """An expected failure that a person can act on; never shown with a traceback.

    `code` is a stable short name for `--json`, `hint` says what to do.
    """

    code = "error"

    def __init__(self, message: str, *, hint: str = "", code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class InvalidInput(FerryError):
    """A file or an argument is wrong: exit code 2. Carries every problem found, not only the first."""

    code = "invalid"

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        super().__init__("\n".join(str(d) for d in diagnostics))
        self.diagnostics = diagnostics


class Refused(FerryError):
    """ferry will not do it as things stand (stale, unapproved, outside the window, claimed): exit code 3."""

    code = "refused"
