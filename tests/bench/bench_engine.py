"""What the engine costs by itself: whole runs whose actions do nothing, against the same number of steps in
plain DBOS.

Ours: one run of N hosts through the real engine, each with the steps of a contained and staged host, their
actions replaced by one that returns at once. Everything else is real: three nested workflows, gate and lease
before each step, step records, hash-chained journal, all fsynced.

Peer `dbos-bare`: N workflows of as many steps that return a number, on a queue of the same limits in the same
DBOS on the same database. It has no journal, no lease, no record that a person can read, and nobody could
resume it after a freeze.

Limits: one endpoint, 4 at once. Each measurement is a process of its own with a new database, launched and
warmed up with one host before the clock starts; it stops when the last host has ended.
"""

from __future__ import annotations

import multiprocessing
import secrets
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestrator.changeset.changes import ChangeSet, HostChange, Kind, ObservedEndpoint
from orchestrator.changeset.steps import apply_steps
from orchestrator.changeset.store import digest
from orchestrator.engine import api
from orchestrator.engine.actions import ACTIONS
from orchestrator.engine.outcome import done
from orchestrator.engine.runtime import APPLICATION_VERSION, Engine
from orchestrator.engine.state import open_state
from orchestrator.history import RunStatus
from orchestrator.model.endpoint import EndpointInfo, EndpointSettings
from orchestrator.model.plan import ChangeRequest
from tests.bench.harness import ROUNDS, document, interleaved, main, row, say
from tests.engine.kit import clock, runtime
from tests.rigs import postgres
from tests.unit.builders import a_host_plan, a_machine

AT_ONCE = 4
COUNTS = (20, 100)
POLL = 0.1
STEPS = 11
"""Of a host that is contained and gets a replacement."""


def run(smallest: bool) -> dict[str, Any]:
    """Measure; `smallest` is two hosts, once."""
    rounds = 1 if smallest else ROUNDS
    rows: list[dict[str, Any]] = []
    with ExitStack() as stack:
        databases: dict[str, Callable[[], str]] = {"sqlite": _sqlite(stack)}
        if reason := postgres.missing():
            say(f"left out: {reason}")
        else:
            databases["postgresql"] = stack.enter_context(postgres.running()).database
        for dialect, database in databases.items():
            for count in (2,) if smallest else COUNTS:
                case = f"{dialect}, {count} hosts x {STEPS} steps, {AT_ONCE} at once"
                say(case)
                ours, bare = _measure(_ours, database, count), _measure(_bare, database, count)
                rows.append(row(case, *interleaved(ours, bare, rounds=rounds), "dbos-bare"))
    return document("engine", rows, packages=("dbos", "sqlalchemy"))


def _sqlite(stack: ExitStack) -> Callable[[], str]:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    return lambda: f"sqlite:///{folder}/{secrets.token_hex(4)}.db"


def _measure(
    what: Callable[[str, int], float], database: Callable[[], str], count: int
) -> Callable[[], float]:
    def measured() -> float:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            return pool.apply(what, (database(), count))

    measured.__name__ = what.__name__.strip("_")
    return measured


def _ours(url: str, count: int) -> float:
    for kind in list(ACTIONS):
        ACTIONS[kind] = lambda _: done()  # type: ignore[index]
    state = open_state(url, clock)
    try:
        with Engine(runtime(state)) as engine:
            _carry_out(engine, _changes(1, "warm"))
            begun = time.perf_counter()
            _carry_out(engine, _changes(count, "bench"))
            return time.perf_counter() - begun
    finally:
        state.close()


def _carry_out(engine: Engine, changes: ChangeSet) -> None:
    run = api.start_run(engine, changes, digest(changes), now=clock())
    record = api.wait_run(engine.runtime.state, run)
    assert record.status is RunStatus.DONE, record


def _changes(count: int, name: str) -> ChangeSet:
    settings = EndpointSettings(name="lab", provider="simulated", max_parallel=AT_ONCE)
    info = EndpointInfo(identity="bench", product="none", version="1")
    return ChangeSet(
        kind=Kind.APPLY,
        name=name,
        owner="bench",
        plan_path="plan.yaml",
        plan_sha256="0" * 64,
        change=ChangeRequest(),
        created_at=datetime(2026, 11, 24, tzinfo=UTC),
        endpoints=(ObservedEndpoint(settings=settings, info=info),),
        hosts=tuple(_host(f"H{n:04}") for n in range(count)),
        waves=("canary",),
        stop_wave_after=1,
    )


def _host(name: str) -> HostChange:
    plan, source = a_host_plan(name), a_machine(name.lower())
    steps = apply_steps(plan, source, None)
    assert len(steps) == STEPS
    return HostChange(plan=plan, source=source, steps=steps)


def _bare(url: str, count: int) -> float:
    from dbos import DBOS, DBOSPortableJSONSerializer, SetEnqueueOptions

    @DBOS.workflow()
    def bare_host(number: int) -> int:
        return sum(DBOS.run_step({"name": f"step {n}"}, lambda: number) for n in range(STEPS))

    state = open_state(url, clock)
    config: Any = {
        "name": "bare",
        "system_database_url": state.url.render_as_string(hide_password=False).replace("+psycopg", ""),
        "application_version": APPLICATION_VERSION,
        "serializer": DBOSPortableJSONSerializer(),
        "log_level": "WARNING",
    }
    if state.dialect == "sqlite":
        config["system_database_engine"] = state.base_engine
    DBOS(config=config)
    DBOS.launch()
    DBOS.register_queue("bench", partition_concurrency=AT_ONCE, polling_interval_sec=POLL)

    def carry_out(number: int) -> None:
        with SetEnqueueOptions(queue_partition_key="bench"):
            handles = [DBOS.enqueue_workflow("bench", bare_host, n) for n in range(number)]
        for handle in handles:
            handle.get_result(polling_interval_sec=POLL)

    carry_out(1)
    begun = time.perf_counter()
    carry_out(count)
    seconds = time.perf_counter() - begun
    DBOS.destroy()
    state.close()
    return seconds


if __name__ == "__main__":
    main(run)
