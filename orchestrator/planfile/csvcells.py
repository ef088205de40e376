"""A spreadsheet's CSV as cells that know their place. Says nothing of what the columns mean.

Own reader, because Python's csv module tells no columns: a bad cell is reported where it begins.
"""

from dataclasses import dataclass

from orchestrator.diagnostics import Diagnostic, InvalidInput, Location
from orchestrator.planfile.locate import place
from orchestrator.planfile.nodes import Text

DELIMITERS = ",;\t"
Row = list[Text]


@dataclass
class _Reader:
    text: str
    file: str
    delimiter: str
    at: int = 0

    def rows(self) -> list[Row]:
        rows: list[Row] = []
        while self.at < len(self.text):
            row = self._row()
            if any(row):
                rows.append(row)
        return rows

    def _row(self) -> Row:
        row: Row = []
        while True:
            row.append(self._cell())
            ended_by = self.text[self.at : self.at + 1]
            self.at += 2 if self.text.startswith("\r\n", self.at) else 1
            if ended_by != self.delimiter:
                return row

    def _cell(self) -> Text:
        start = self.at
        value = self._quoted() if self.text.startswith('"', start) else self._bare()
        return Text(value.strip(), place(self.text, start, self.file), plain=False)

    def _bare(self) -> str:
        start = self.at
        stops = (self.text.find(stop, start) for stop in (self.delimiter, "\n", "\r"))
        self.at = min((stop for stop in stops if stop >= 0), default=len(self.text))
        return self.text[start : self.at]

    def _quoted(self) -> str:
        start, parts = self.at, []
        self.at += 1
        while True:
            end = self.text.find('"', self.at)
            if end < 0:
                self._stop("the file ends inside quotes", "close the quotes that begin here", start)
            parts.append(self.text[self.at : end])
            self.at = end + 1
            if not self.text.startswith('"', self.at):
                break
            parts.append('"')
            self.at += 1
        if self._bare().strip():
            self._stop("text after closing quotes", 'write `""` for a quote inside of quotes', end)
        return "".join(parts)

    def _stop(self, summary: str, hint: str, offset: int) -> None:
        raise InvalidInput((Diagnostic("csv", summary, hint, place(self.text, offset, self.file)),))


def read_cells(text: str, file: str) -> list[Row]:
    """Split CSV text into rows of cells, stripped of blanks around them; empty rows are left out.

    The delimiter (comma, semicolon or tab) is the one that the first line with text has most of.
    Raises InvalidInput on quotes that do not close.
    """
    first = next((line for line in text.splitlines() if line.strip()), "")
    if not first:
        raise InvalidInput(
            (
                Diagnostic(
                    "csv", "the file is empty", "begin with a row of column names", Location(file, 1, 1)
                ),
            )
        )
    delimiter = max(DELIMITERS, key=first.count)
    return _Reader(text, file, delimiter).rows()
