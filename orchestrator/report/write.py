"""Writes the report's files, beside and then renamed: a reader never sees half of one."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from orchestrator.changeset.store import write_atomically
from orchestrator.diagnostics import Diagnostic, InvalidInput
from orchestrator.report.as_json import render_json
from orchestrator.report.html import render_html
from orchestrator.report.model import ReportView
from orchestrator.report.text import render_text

_RENDERERS: Mapping[str, tuple[str, Callable[[ReportView], str]]] = {
    "html": ("report.html", render_html),
    "text": ("report.txt", render_text),
    "json": ("report.json", render_json),
}
_ALIASES = {"txt": "text"}

FORMATS = tuple(_RENDERERS)
"""Names of the formats that can be written."""


def write_report(view: ReportView, formats: Sequence[str], directory: Path) -> tuple[Path, ...]:
    """Write the report in each format and return the paths, in the order asked for.

    The directory is made if need be.

    Raises InvalidInput for a format that there is not, before anything is written, and for a directory that
    cannot be written to.
    """
    chosen = _chosen(formats)
    written = []
    texts = [(name, render(view)) for name, render in (_RENDERERS[known] for known in chosen)]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in texts:
            write_atomically(directory / name, text)
            written.append(directory / name)
    except OSError as error:
        summary = f"the report cannot be written to {directory}: {error.strerror or error}"
        raise InvalidInput((Diagnostic("report-directory", summary, "choose another folder"),)) from None
    return tuple(written)


def _chosen(formats: Sequence[str]) -> tuple[str, ...]:
    asked = [name.strip().lower() for name in formats if name.strip()]
    known = [_ALIASES.get(name, name) for name in asked]
    hint = f"supported are {', '.join(FORMATS)}"
    unknown = [name for name in known if name not in _RENDERERS]
    problems = tuple(
        Diagnostic("report-format", f"a report cannot be written as {name!r}", hint)
        for name in dict.fromkeys(unknown)
    )
    if not known:
        problems = (Diagnostic("report-format", "no report format was named", hint),)
    if problems:
        raise InvalidInput(problems)
    return tuple(dict.fromkeys(known))
