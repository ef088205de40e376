"""The same engine on PostgreSQL: a part of its tests again, and what differs there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from orchestrator.diagnostics import Refused
from orchestrator.engine import locks
from orchestrator.engine.runtime import Engine
from orchestrator.engine.state import StateUnavailable, open_state
from orchestrator.history import RunStatus
from tests.engine.kit import Site, carry_out, clock, engine_on
from tests.engine.test_runs import (
    BARE,
    test_a_cancelled_run_ends_before_the_next_step_and_can_be_resumed,
    test_a_change_set_runs_once,
    test_a_failed_host_stays_claimed_and_a_resume_finishes_it,
    test_a_paused_run_begins_no_step_until_it_is_resumed,
    test_a_run_contains_stages_and_compares,
    test_a_watcher_sees_every_event_once_and_in_order,
    test_a_wave_begins_no_more_hosts_after_so_many_failures,
    test_everything_is_recorded_and_the_journal_holds,
    test_waves_and_dependencies_give_the_order,
)
from tests.engine.test_undo import (
    test_one_host_can_be_released_alone,
    test_undo_gives_the_world_back,
)
from tests.rigs import postgres

pytestmark = pytest.mark.postgresql

__all__ = [
    "test_a_cancelled_run_ends_before_the_next_step_and_can_be_resumed",
    "test_a_change_set_runs_once",
    "test_a_failed_host_stays_claimed_and_a_resume_finishes_it",
    "test_a_paused_run_begins_no_step_until_it_is_resumed",
    "test_a_run_contains_stages_and_compares",
    "test_a_watcher_sees_every_event_once_and_in_order",
    "test_a_wave_begins_no_more_hosts_after_so_many_failures",
    "test_everything_is_recorded_and_the_journal_holds",
    "test_one_host_can_be_released_alone",
    "test_undo_gives_the_world_back",
    "test_waves_and_dependencies_give_the_order",
]


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Postgres]:
    if reason := postgres.missing():
        pytest.skip(reason)
    with postgres.running() as started:
        yield started


@pytest.fixture(scope="module")
def engine(server: postgres.Postgres) -> Iterator[Engine]:
    with engine_on(server.database(), sleep=lambda _: None) as launched:
        yield launched


def test_our_tables_have_a_schema_of_their_own(engine: Engine, site: Site) -> None:
    assert carry_out(engine, site.fleet(["FILE01"], **BARE)).status is RunStatus.DONE
    with engine.runtime.state.read() as connection:
        names = sa.inspect(connection).get_table_names(schema="ferry")
        assert "ferry_journal" in names
        assert sa.inspect(connection).get_table_names(schema="public") == []


def test_a_lock_is_held_by_one_session_and_free_when_it_ends(server: postgres.Postgres) -> None:
    url = server.database()
    one, two = open_state(url, clock), open_state(url, clock)
    held = locks.try_lock(one, "executor")
    assert held is not None
    assert locks.try_lock(two, "executor") is None
    with two.write() as connection:
        connection.execute(sa.text("SELECT pg_terminate_backend(:pid)"), {"pid": held.backend_pid})
    assert not held.held()
    again = locks.try_lock(two, "executor")
    assert again is not None
    again.release()
    for state in (one, two):
        state.close()


def test_a_newer_state_is_refused(server: postgres.Postgres) -> None:
    url = server.database()
    state = open_state(url, clock)
    with state.write() as connection:
        connection.execute(sa.text("UPDATE ferry.ferry_meta SET value = '99' WHERE key = 'schema_version'"))
    state.close()
    with pytest.raises(Refused, match="schema 99"):
        open_state(url, clock)


def test_the_password_is_not_in_the_error(server: postgres.Postgres) -> None:
    url = server.database().replace(f":{server.port}/", ":1/")
    password = url.split(":")[2].split("@")[0]
    with pytest.raises(StateUnavailable) as error:
        open_state(url, clock)
    assert password not in str(error.value)
    assert "127.0.0.1" in str(error.value)
