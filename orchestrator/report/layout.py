"""Plain text in 100 columns: headings, pairs, lists and tables out of ASCII. Pure.

Every piece of text that comes in is made printable here, so that nothing gets around it.
"""

import textwrap
from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size

from orchestrator.model.text import printable

WIDTH = 100
_LABEL = 26


def heading(text: str, mark: str = "=") -> list[str]:
    """Return a heading with an empty line before it and its underline."""
    lines = paragraph(text)
    return ["", *lines, mark * max(map(cell_len, lines))]


def paragraph(text: str, indent: int = 0, first: str = "") -> list[str]:
    """Return text wrapped at the width; `first` stands before the first line, within the indent."""
    lead = first.ljust(indent)
    wrapped = _wrap(printable(text), WIDTH - indent)
    return [f"{lead if number == 0 else ' ' * indent}{line}".rstrip() for number, line in enumerate(wrapped)]


def bullets(texts: Sequence[str], indent: int = 0) -> list[str]:
    """Return a list of one-level points."""
    return [line for text in texts for line in paragraph(text, indent + 2, " " * indent + "- ")]


def pairs(rows: Sequence[tuple[str, str]], indent: int = 0) -> list[str]:
    """Return labels with their texts in two columns. A label that is too long gets a line of its own."""
    width = min(_LABEL, max((cell_len(printable(label)) for label, _ in rows), default=0))
    lines = []
    for label, text in rows:
        shown = printable(label)
        left = " " * indent
        if cell_len(shown) > width:
            lines += [*paragraph(f"{shown}:", indent), *paragraph(text, indent + width + 2)]
        else:
            lines += paragraph(text, indent + width + 2, f"{left}{set_cell_size(shown, width)}  ")
    return lines


def table(head: Sequence[str], rows: Sequence[Sequence[str]], indent: int = 0) -> list[str]:
    """Return a table that fits the width.

    Columns are as wide as their text; the widest one gives way, its text wraps.
    """
    cells = [[printable(cell) for cell in row] for row in (head, *rows)]
    widths = _widths(cells, WIDTH - indent - 2 * (len(head) - 1))
    rule = "  ".join("-" * width for width in widths)
    lines = [_rows(cells[0], widths), [rule], *(_rows(row, widths) for row in cells[1:])]
    return [f"{' ' * indent}{line}".rstrip() for block in lines for line in block]


def _widths(cells: Sequence[Sequence[str]], room: int) -> list[int]:
    widths = [max(1, *(cell_len(row[column]) for row in cells)) for column in range(len(cells[0]))]
    while sum(widths) > room:
        widths[widths.index(max(widths))] -= 1
    return widths


def _rows(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    columns = [_wrap(cell, width) for cell, width in zip(row, widths, strict=True)]
    height = max(len(column) for column in columns)
    padded = [column + [""] * (height - len(column)) for column in columns]
    return [
        "  ".join(set_cell_size(cell, width) for cell, width in zip(line, widths, strict=True))
        for line in zip(*padded, strict=True)
    ]


def _wrap(text: str, width: int) -> list[str]:
    """Wrap by columns on the screen, not by characters: some take two, some none."""
    if cell_len(text) <= width:
        return [text]
    lines = textwrap.wrap(text, width, break_on_hyphens=False) or [""]
    return [piece for line in lines for piece in _fit(line, width)]


def _fit(line: str, width: int) -> list[str]:
    pieces, current = [], ""
    for char in line:
        if current and cell_len(current + char) > width:
            pieces.append(current)
            current = ""
        current += char
    return [*pieces, current]
