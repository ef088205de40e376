"""Where output goes: the document or the text on stdout, all else on stderr; foreign text made safe to
show."""

import json
from typing import Any

from rich.console import Console
from rich.text import Text

from orchestrator.diagnostics import Diagnostic, FerryError, InvalidInput
from orchestrator.model.text import printable


class Output:
    """One command's output. `as_json`: exactly one JSON document on stdout, nothing else there."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self.out = Console(highlight=False, markup=False, soft_wrap=True)
        self.err = Console(highlight=False, markup=False, soft_wrap=True, stderr=True)

    def document(self, value: Any) -> None:
        """Print the JSON document, if that is what was asked for."""
        if self.as_json:
            # Not through rich, which would lay every line out: documents of large runs are large.
            self.out.file.write(json.dumps(value, indent=1, sort_keys=True, ensure_ascii=True) + "\n")

    def text(self, text: str) -> None:
        """Print lines of text, unless JSON was asked for. Each line is made safe by itself."""
        if not self.as_json:
            for line in text.split("\n"):
                self.out.print(Text(printable(line, limit=20_000)))

    def verbatim(self, text: str) -> None:
        """Print a text of our own to the byte, unless JSON was asked for: a script, a schema."""
        if not self.as_json:
            self.out.file.write(text)

    def note(self, text: str, style: str = "") -> None:
        """Print a line for people on stderr."""
        for line in text.split("\n"):
            self.err.print(Text(printable(line, limit=20_000), style=style))

    def failure(self, error: FerryError) -> None:
        """Print an error: as a document for programs, as lines for people."""
        if self.as_json:
            self.document({"error": error_document(error)})
        elif isinstance(error, InvalidInput):
            for diagnostic in error.diagnostics:
                self.note(str(diagnostic))
        else:
            self.note(f"ferry: {error.message}", style="bold red")
            if error.hint:
                self.note(f"  -> {error.hint}")


def error_document(error: FerryError) -> dict[str, Any]:
    """Return an error for `--json`."""
    document: dict[str, Any] = {"code": error.code, "message": error.message, "hint": error.hint}
    if isinstance(error, InvalidInput):
        document["diagnostics"] = [diagnostic_document(d) for d in error.diagnostics]
    return document


def diagnostic_document(diagnostic: Diagnostic) -> dict[str, Any]:
    """Return one problem for `--json`."""
    where = diagnostic.location
    return {
        "code": diagnostic.code,
        "severity": diagnostic.severity.value,
        "summary": diagnostic.summary,
        "hint": diagnostic.hint,
        "file": where.file if where else None,
        "line": where.line if where else None,
        "column": where.column if where else None,
        "path": diagnostic.path,
    }
