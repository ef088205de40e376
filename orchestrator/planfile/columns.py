"""The columns that a spreadsheet of hosts may have, under which headers, and its rows by column."""

import re
from dataclasses import dataclass

from orchestrator.diagnostics import Diagnostic, Location
from orchestrator.planfile.csvcells import Row
from orchestrator.planfile.draft import fill_in
from orchestrator.planfile.nodes import Items, Table, Text, problem
from orchestrator.planfile.wording import quoted, suggest

COLUMNS: dict[str, tuple[str, ...]] = {
    "name": ("host", "hostname", "server", "server_name"),
    "endpoint": ("hypervisor", "vcenter"),
    "provider": ("platform",),
    "uri": ("url", "connection"),
    "vm": ("vm_name", "machine", "domain"),
    "build": ("os_build",),
    "arch": ("architecture",),
    "wave": ("batch", "group"),
    "depends_on": ("depends", "after"),
    "disposition": ("action",),
    "snapshot": ("consistency",),
    "mode": ("isolation", "isolation_mode"),
    "network": ("quarantine", "quarantine_network"),
    "uplink": (),
    "site_filter": ("firewall",),
    "lift_endpoint": (),
    "size": ("vm_size",),
    "subnet": ("lift_subnet",),
    "target_endpoint": (),
    "release": ("target_release",),
    "image": ("golden_image", "target_image"),
    "target_vm": ("new_vm", "new_name"),
    "computer_name": ("target_computer_name",),
    "cpus": ("cpu", "vcpus"),
    "memory": ("ram",),
    "target_network": ("staging_network",),
    "target_subnet": (),
    "ip": ("target_ip", "address"),
    "gateway": (),
    "dns": (),
    "admin_password_env": ("password_env",),
    "profile": ("parity_profile",),
}
"""Each column with its other names. Case, blanks, `-` and `_` do not count in a header."""

_TARGET = {
    "target_endpoint", "release", "image", "target_vm", "computer_name", "cpus", "memory", "target_network",
    "target_subnet", "ip", "gateway", "dns", "admin_password_env", "profile",
}  # fmt: skip
NEEDED = ("name", "endpoint")
_WORDS = {"provider", "arch", "disposition", "snapshot", "mode"}


@dataclass
class Record:
    """One row by column. `at` is the row itself: column 0, so that it is no cell's place."""

    at: Location
    cells: dict[str, Text]

    def get(self, column: str) -> Text | None:
        """A cell's text; None where there is none. Words of ours are in small letters."""
        cell = self.cells.get(column)
        if not cell:
            return None
        return Text(cell.lower(), cell.at, plain=False) if column in _WORDS else cell

    def number(self, column: str) -> Text | None:
        """A cell whose value is a number in the plan file."""
        cell = self.get(column)
        return Text(cell, cell.at, plain=True) if cell else None

    def items(self, column: str) -> Items | None:
        """A cell that lists several, with blanks, commas or semicolons between."""
        cell = self.get(column)
        if cell is None:
            return None
        items = Items(cell.at)
        items.extend(Text(word, cell.at, plain=False) for word in re.split(r"[\s,;]+", cell) if word)
        return items

    def missing(self, what: str) -> Text:
        """Mark what this row does not say."""
        return fill_in(what, Table(self.at))

    @property
    def has_target(self) -> bool:
        """Tell whether the row says anything of a replacement."""
        return any(self.cells.get(column) for column in _TARGET)


def read_records(rows: list[Row]) -> tuple[list[Record], list[Diagnostic]]:
    """Sort cells under their columns. Gives the rows, and what was wrong with headers and shape."""
    headers, problems = _headers(rows[0])
    records: list[Record] = []
    for row in rows[1:]:
        for extra in row[len(headers) :]:
            if extra:
                problems.append(problem(extra, "csv", "a cell without a header", "give the column a header"))
        cells = {column: cell for column, cell in zip(headers, row, strict=False) if column}
        missing = [column for column in NEEDED if not cells.get(column)]
        for column in missing if set(NEEDED) <= set(headers) else ():
            summary = f"a row without {quoted(column)}"
            problems.append(problem(row[0], "csv", summary, "write it, or remove the row"))
        if not missing:
            records.append(Record(Location(row[0].at.file, row[0].at.line, 0), cells))
    if not records and not problems:
        problems.append(
            problem(rows[0][0], "csv", "there is no host", "write one row per host below the headers")
        )
    return records, problems


def _headers(row: Row) -> tuple[list[str | None], list[Diagnostic]]:
    problems: list[Diagnostic] = []
    found: list[str | None] = []
    known = {_norm(word): column for column, others in COLUMNS.items() for word in (column, *others)}
    for cell in row:
        column = known.get(_norm(cell))
        if column is None and cell:
            hint = suggest(
                cell.lower().replace(" ", "_"), {word for c, o in COLUMNS.items() for word in (c, *o)}
            )
            problems.append(problem(cell, "unknown-column", f"column {quoted(cell)} is not known", hint))
        elif column is not None and column in found:
            problems.append(
                problem(cell, "column-twice", f"a second column for {quoted(column)}", "keep one of them")
            )
        found.append(column)
    for needed in NEEDED:
        if needed not in found:
            hint = f"add a column {quoted(needed)}"
            problems.append(problem(row[0], "no-column", f"there is no column {quoted(needed)}", hint))
    return found, problems


def _norm(header: str) -> str:
    return re.sub(r"[\s_-]+", "", header).casefold()
