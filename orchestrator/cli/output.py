"""Where output goes: the document or the text on stdout, all else on stderr; foreign text made safe to
show."""

import json
import os
import sys
from typing import Any

import typer

from orchestrator.diagnostics import Diagnostic, FerryError, InvalidInput
from orchestrator.model.text import printable


class Output:
    """One command's output. `as_json`: exactly one JSON document on stdout, nothing else there."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json

    def document(self, value: Any) -> None:
        """Print the JSON document, if that is what was asked for."""
        if self.as_json:
            sys.stdout.write(json.dumps(value, indent=1, sort_keys=True, ensure_ascii=True) + "\n")

    def text(self, text: str) -> None:
        """Print lines of text, unless JSON was asked for. Each line is made safe by itself."""
        if not self.as_json:
            typer.echo("\n".join(printable(line, limit=20_000) for line in text.split("\n")))

    def verbatim(self, text: str) -> None:
        """Print a text of our own to the byte, unless JSON was asked for: a script, a schema."""
        if not self.as_json:
            sys.stdout.write(text)

    def note(self, text: str, colour: str | None = None) -> None:
        """Print lines for people on stderr, bold and in this colour on a terminal that shows it."""
        styled = colour is not None and not os.environ.get("NO_COLOR")
        for line in text.split("\n"):
            shown = printable(line, limit=20_000)
            typer.echo(typer.style(shown, fg=colour, bold=True) if styled else shown, err=True)

    def failure(self, error: FerryError) -> None:
        """Print an error: as a document for programs, as lines for people."""
        if self.as_json:
            self.document({"error": error_document(error)})
        elif isinstance(error, InvalidInput):
            for diagnostic in error.diagnostics:
                self.note(str(diagnostic))
        else:
            self.note(f"ferry: {error.message}", typer.colors.RED)
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
