"""The hash chains: every edit, removal and exchange shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.engine import journal
from orchestrator.engine.state import State, open_state
from orchestrator.engine.tables import journal as table
from tests.unit.builders import NOW

RUN = "r1"


def write(state: State, host: str, event: str, **data: Any) -> None:
    with state.write() as connection:
        journal.append(connection, RUN, host, event, data, NOW)


def a_run(state: State) -> None:
    write(state, "", "run-started", digest="d")
    for host in ("A", "B"):
        for number in range(3):
            write(state, host, "step", number=number)
    with state.write() as connection:
        journal.close(connection, RUN, {"status": "done"}, NOW)


def edit(state: State, statement: sa.Executable) -> None:
    with state.write() as connection:
        connection.execute(statement)


def test_an_untouched_journal_holds(state: State) -> None:
    a_run(state)
    assert journal.verify(state, RUN) == ()


def test_a_journal_that_goes_on_after_its_close_holds(state: State) -> None:
    a_run(state)
    write(state, "", "run-resumed")
    write(state, "A", "step", number=4)
    with state.write() as connection:
        head = journal.close(connection, RUN, {"status": "done"}, NOW)
    assert journal.verify(state, RUN) == ()
    assert journal.head(state, RUN) == head


def test_host_chains_start_from_the_runs_root(state: State) -> None:
    a_run(state)
    entries = [e for _, e in journal.entries(state, RUN)]
    root = entries[0]
    assert root.previous == ""
    assert {e.previous for e in entries if e.seq == 1 and e.host} == {root.hash}


FIRST_OF_A = (table.c.host == "A", table.c.seq == 2)
TAMPERINGS: dict[str, Callable[[], sa.Executable]] = {
    "data": lambda: table.update().where(*FIRST_OF_A).values(data='{"number":9}'),
    "not JSON": lambda: table.update().where(*FIRST_OF_A).values(data="{"),
    "event": lambda: table.update().where(*FIRST_OF_A).values(event="other"),
    "time": lambda: table.update().where(*FIRST_OF_A).values(at="2020-01-01T00:00:00+00:00"),
    "moved to another host": lambda: table.update().where(*FIRST_OF_A).values(host="C", seq=1),
    "moved to another run": lambda: table.update().where(*FIRST_OF_A).values(run="r2"),
    "removed from the middle": lambda: table.delete().where(*FIRST_OF_A),
    "cut off at the end": lambda: table.delete().where(table.c.host == "A", table.c.seq == 3),
    "a whole host removed": lambda: table.delete().where(table.c.host == "B"),
    "the root removed": lambda: table.delete().where(table.c.host == ""),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_tampering_shows(state: State, name: str) -> None:
    a_run(state)
    edit(state, TAMPERINGS[name]())
    assert journal.verify(state, RUN) != ()


def test_a_rewritten_chain_with_right_hashes_shows_by_the_close(state: State) -> None:
    a_run(state)
    edit(state, table.delete().where(table.c.host == "A"))
    for number in (7, 8, 9):
        write(state, "A", "step", number=number)
    assert journal.verify(state, RUN) == (
        f"run {RUN}, host A: the chain is not the one that root entry 2 closed",
    )


@given(
    position=st.integers(0, 7),
    field=st.sampled_from(["event", "data", "at", "previous", "hash"]),
    text=st.text(),
)
def test_any_change_of_any_field_shows(position: int, field: str, text: str) -> None:
    with TemporaryDirectory() as folder:
        state = open_state(f"sqlite:///{Path(folder)}/s.db", lambda: NOW)
        try:
            a_run(state)
            row, entry = journal.entries(state, RUN)[position]
            before = canonical(entry.data) if field == "data" else str(getattr(entry, field))
            if field == "at":
                before = entry.at.isoformat()
            text = text.replace("\0", "").encode("utf-8", "replace").decode()
            edit(state, table.update().where(table.c.id == row).values({field: text}))
            assert (journal.verify(state, RUN) == ()) == (text == before)
        finally:
            state.close()


def canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def test_threads_that_write_one_chain_do_not_break_it(state: State) -> None:
    write(state, "", "run-started")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: write(state, "A", "step", number=n), range(40)))
    assert journal.verify(state, RUN) == ()
    assert len(journal.entries(state, RUN, host="A")) == 40


def test_the_export_can_be_verified_elsewhere(state: State) -> None:
    a_run(state)
    for line in journal.export(state, RUN):
        fields = json.loads(line)
        claimed = fields.pop("hash")
        assert journal.entry_hash(fields) == claimed


def test_entries_are_read_on_from_where_one_was(state: State) -> None:
    a_run(state)
    numbered = journal.entries(state, RUN)
    assert journal.entries(state, RUN, after=numbered[4][0]) == numbered[5:]


def test_a_run_without_a_journal_does_not_hold(state: State) -> None:
    assert journal.verify(state, "r9") == ("run r9: no journal",)
