"""Rows of WMI classes out of a collector's output, and their cells, made harmless."""

import re
from collections.abc import Mapping

from orchestrator.guest.clean import NAME, clean
from orchestrator.guest.collectors.raw import Cell, Raw

Row = Mapping[str, Cell]


class Unseen(Exception):
    """A class gave nothing to rest a section on; the reason is fit to be shown."""


def rows(raw: Raw, name: str) -> tuple[Row, ...]:
    """Return the rows of a class. Raises Unseen where it failed or is empty."""
    table = raw.table(name)
    if table.error:
        message = f"{name} could not be asked for: {clean(table.error, NAME)}"
        raise Unseen(message)
    if not table.rows:
        message = f"{name} is empty, which can also mean that a right or a provider is missing"
        raise Unseen(message)
    return table.rows


def first(raw: Raw, name: str) -> Row:
    """Return the first row of a class; an empty one where there is none."""
    return next(iter(raw.table(name).rows), {})


def text(row: Row, name: str, limit: int = NAME) -> str:
    """Return a cell as cleaned text, "" where it is empty."""
    value = row.get(name)
    return clean(value, limit) if isinstance(value, str) else str(value) if isinstance(value, int) else ""


def number(row: Row, name: str) -> int | None:
    """Return a cell as a number that is not negative; None where it is none."""
    said = text(row, name)
    return int(said) if re.fullmatch("[0-9]{1,20}", said) else None
