"""The state file: private, made where missing, never opened when a newer ferry wrote it."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest
from dbos._migration import get_dbos_migrations, sqlite_migrations

from orchestrator.diagnostics import InvalidInput, Refused
from orchestrator.engine.state import DBOS_SCHEMA, StateUnavailable, default_state_url, open_state
from orchestrator.engine.tables import SCHEMA_VERSION
from tests.unit.builders import NOW


def at(path: Path) -> str:
    return f"sqlite:///{path}"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_every_file_of_the_state_is_private(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "state.db"
    state = open_state(at(path), lambda: NOW)
    with state.write() as connection:
        connection.exec_driver_sql("INSERT INTO ferry_meta VALUES ('x', 'y')")
    files = sorted(p.name for p in path.parent.iterdir())
    assert files == ["state.db", "state.db-shm", "state.db-wal"]
    assert {mode(p) for p in path.parent.iterdir()} == {0o600}
    assert mode(path.parent) & 0o077 == 0
    state.close()


def test_a_file_that_others_may_read_is_made_private(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.touch(0o644)
    open_state(at(path), lambda: NOW).close()
    assert mode(path) == 0o600


def test_the_state_id_stays(tmp_path: Path) -> None:
    first, second = open_state(at(tmp_path / "s"), lambda: NOW), open_state(at(tmp_path / "s"), lambda: NOW)
    other = open_state(at(tmp_path / "t"), lambda: NOW)
    assert first.state_id == second.state_id != other.state_id
    for state in (first, second, other):
        state.close()


def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    open_state(at(path), lambda: NOW).close()
    with sqlite3.connect(path) as connection:
        newer = SCHEMA_VERSION + 3
        connection.execute("UPDATE ferry_meta SET value = ? WHERE key = 'schema_version'", (str(newer),))
        connection.execute("DROP TABLE ferry_ledger")
    with pytest.raises(Refused) as refused:
        open_state(at(path), lambda: NOW)
    assert refused.value.code == "newer-state"
    assert f"schema {newer}" in refused.value.message
    assert f"knows {SCHEMA_VERSION}" in refused.value.message
    with sqlite3.connect(path) as connection:
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    assert "ferry_ledger" not in tables


def test_a_newer_dbos_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    open_state(at(path), lambda: NOW).close()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE dbos_migrations (version INTEGER)")
        connection.execute("INSERT INTO dbos_migrations VALUES (?)", (DBOS_SCHEMA["sqlite"] + 1,))
    with pytest.raises(Refused, match=r"newer DBOS: system schema \d+, this ferry knows"):
        open_state(at(path), lambda: NOW)


def test_the_known_dbos_schema_is_the_installed_one() -> None:
    assert DBOS_SCHEMA["sqlite"] == len(sqlite_migrations)
    assert DBOS_SCHEMA["postgresql"] == len(get_dbos_migrations("dbos", True, False))


@pytest.mark.parametrize("url", ["", "state.db", "mysql://x/y", "sqlite://", "sqlite:///:memory:"])
def test_an_address_that_is_none_is_named_as_such(url: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        open_state(url, lambda: NOW)
    assert refused.value.diagnostics[0].code == "state-url"


def test_a_password_in_a_wrong_address_is_not_echoed() -> None:
    with pytest.raises(InvalidInput) as refused:
        open_state("mysql://me:hunter2@server/x", lambda: NOW)
    assert "hunter2" not in str(refused.value)


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.write_text("this is a letter, not a database, and it is long enough to be looked at\n" * 20)
    with pytest.raises(StateUnavailable, match="not a database"):
        open_state(at(path), lambda: NOW)


def test_a_place_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateUnavailable, match="cannot be made"):
        open_state(at(tmp_path / "file" / "state.db"), lambda: NOW)


def test_where_the_state_is_by_default() -> None:
    assert default_state_url({"FERRY_STATE": "postgresql://x/y"}) == "postgresql://x/y"
    assert default_state_url({"XDG_STATE_HOME": "/s"}) == "sqlite:////s/ferry/state.db"
    assert default_state_url({"HOME": "/home/ann"}) == "sqlite:////home/ann/.local/state/ferry/state.db"
