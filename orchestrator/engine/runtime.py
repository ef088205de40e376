"""What the engine is given, and its life in one process: launch, adapters, shutdown. DBOS is imported only
when it is launched."""

import logging
import os
import platform
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from orchestrator.contract.provider import Effect, FrozenDisk, Provider, ResolveSecret
from orchestrator.engine.bells import Bells
from orchestrator.engine.connections import Connections
from orchestrator.engine.lease import Lease, acquire
from orchestrator.engine.liveness import Liveness
from orchestrator.engine.reads import Shared
from orchestrator.engine.reaper import Reaper
from orchestrator.engine.state import State
from orchestrator.model.facts import ServerFacts

log = logging.getLogger("ferry.engine")

APPLICATION_VERSION = "ferry-2"
"""What DBOS matches pending work by. Raised by hand when the order of steps inside a workflow function
changes; never per release, or
every release would strand what is in flight."""

RUNS, HOSTS = "ferry-runs", "ferry-hosts"
HOSTS_AT_ONCE = 64
"""Host workflows per process: each is a thread that mostly waits for its phases."""
MAX_PARALLEL = 16
"""The most that an endpoint is ever given, whatever a plan says."""
_LEAVING = 0.03
"""Seconds that DBOS' notification thread sleeps at a time; the engine's end waits for it. It asks the
database nothing: we send no notifications."""
_GRACE = 30.0
_SAME_MOMENT = 1.0
"""Seconds for which hosts of a run share what was read of a whole site before they begin."""
_THREADS = HOSTS_AT_ONCE + 16 * MAX_PARALLEL + 64


def endpoint_queue(limit: int) -> str:
    """Return the queue whose partitions (one per endpoint identity) run at most `limit` phases at once."""
    return f"ferry-endpoint-{limit}"


_LOOKS = {RUNS: 0.5, HOSTS: 0.05}
_LOOK_AT_ENDPOINT = 0.1
"""Seconds between DBOS' looks for new work in a queue, a host's whole wait where there is room: each is some
statements, whether there is work or not. A run is only queued to be resumed or taken over."""


def _queue_settings(name: str) -> dict[str, Any]:
    settings: dict[str, Any] = {"polling_interval_sec": _LOOKS.get(name, _LOOK_AT_ENDPOINT)}
    if name == HOSTS:
        settings["worker_concurrency"] = HOSTS_AT_ONCE
    elif name != RUNS:
        settings["partition_concurrency"] = int(name.rpartition("-")[2])
    return settings


def _unchanged(effect: Effect) -> Effect:
    return effect


def _boot_seconds() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True)
class Runtime:
    """Everything that a resuming process needs to find again. `providers` by name, as plan files name
    them."""

    state: State
    providers: Mapping[str, Provider]
    secrets: ResolveSecret
    clock: Callable[[], datetime]
    collect: Callable[[Sequence[FrozenDisk]], ServerFacts]
    """Reads the facts of a Windows from its frozen disks. Raises FerryError."""
    sleep: Callable[[float], None] = time.sleep
    lease_ttl: float = 15.0
    """Seconds without a sign of life after which a worker counts as frozen."""
    limits: Sequence[int] = ()
    """The `max_parallel` values of the work to come, if known: their queues are served from the start."""
    wrap_effect: Callable[[Effect], Effect] = _unchanged
    """For tests that end the process inside an effect."""


@dataclass
class Engine:
    """The engine in this process. One at a time: DBOS is a singleton. Use it as a context manager."""

    runtime: Runtime
    executor: str = field(default_factory=lambda: f"{platform.node()}-{os.getpid()}-{secrets.token_hex(4)}")
    stopping: threading.Event = field(default_factory=threading.Event)
    bells: Bells = field(default_factory=Bells)
    sites: Shared = field(default_factory=lambda: Shared(_SAME_MOMENT))

    def __post_init__(self) -> None:
        state, ttl = self.runtime.state, self.runtime.lease_ttl
        self.liveness = Liveness(state, self.executor, ttl, _boot_seconds)
        self._reaper = Reaper(state, self.executor, ttl, self._requeue)
        self.connections = Connections(self.runtime.providers, self.runtime.secrets)
        self._beside: list[threading.Thread] = []
        self._locks: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()
        self._working = 0
        self._idle = threading.Condition()

    def __enter__(self) -> Self:
        try:
            self.launch()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.destroy()

    def launch(self) -> None:
        """Join the workers of this state: take queued work, and what dead workers left."""
        from dbos import DBOS, DBOSConfig

        from orchestrator.engine import serializer, workflows

        serializer.refuse_pickle()
        # Warnings reach whoever listens to the logger "dbos"; its own console handler and its advertisement
        # do not come up.
        logging.getLogger("dbos").addHandler(logging.NullHandler())
        state = self.runtime.state
        config: DBOSConfig = {
            "name": "ferry",
            "system_database_url": state.url.render_as_string(hide_password=False).replace("+psycopg", ""),
            "application_version": APPLICATION_VERSION,
            "executor_id": self.executor,
            "serializer": serializer.json_serializer(),
            "log_level": "WARNING",
            "max_executor_threads": _THREADS,
            "notification_listener_polling_interval_sec": _LEAVING,
        }
        if state.dialect == "sqlite":
            config["system_database_engine"] = state.base_engine
        self._declare_queues(str(config["system_database_url"]))
        workflows.bind(self)
        self.liveness.start()
        DBOS(config=config)
        DBOS.launch()
        self._reaper.start()

    def _declare_queues(self, url: str) -> None:
        """Write the queues down before the launch: afterwards DBOS looks for new ones once a second only."""
        from dbos import DBOS, DBOSClient

        from orchestrator.engine import serializer

        DBOS.migrate(url)
        engine = self.runtime.state.base_engine if self.runtime.state.dialect == "sqlite" else None
        client = DBOSClient(
            system_database_url=url,
            system_database_engine=engine,
            application_name="ferry",
            serializer=serializer.json_serializer(),
        )
        try:
            for queue in (
                RUNS,
                HOSTS,
                *(endpoint_queue(limit) for limit in sorted(set(self.runtime.limits))),
            ):
                client.register_queue(queue, on_conflict="never_update", **_queue_settings(queue))
        finally:
            client.destroy()

    def destroy(self, grace: float = _GRACE) -> None:
        """Take no new step, let those in flight end (at most `grace` seconds), leave. What is left stays
        resumable."""
        from dbos import DBOS

        if self.stopping.is_set():
            return
        self.stopping.set()
        self.bells.ring_all()
        self._reaper.stop()
        with self._idle:
            if not self._idle.wait_for(lambda: self._working == 0, timeout=grace):
                log.warning("%d steps were still running when this worker left", self._working)
        DBOS.destroy()
        self.liveness.stop()
        self._close()

    def _close(self) -> None:
        for thread in self._beside:
            thread.join(_GRACE)
        self.connections.close()

    def beside(self, call: Callable[[], object]) -> None:
        """Begin a call in a thread of its own; the engine's end waits for it."""
        thread = threading.Thread(target=call, name="ferry-beside", daemon=True)
        self._beside.append(thread)
        thread.start()

    @contextmanager
    def working(self) -> Iterator[None]:
        """Count a workflow function that runs in this process."""
        with self._idle:
            self._working += 1
        try:
            yield
        finally:
            with self._idle:
                self._working -= 1
                self._idle.notify_all()

    def use_queue(self, limit: int) -> str:
        """Make sure that the queue for this limit exists; return its name."""
        from dbos import DBOS

        name = endpoint_queue(limit)
        DBOS.register_queue(name, on_conflict="never_update", **_queue_settings(name))
        return name

    def lease(self, run: str, host: str) -> Lease:
        """Take the host for the execution that begins now. Raises LeaseLost."""
        alive, freshen = self.liveness.alive, self.liveness.freshen
        return acquire(self.runtime.state, run, host, self.executor, alive=alive, freshen=freshen)

    def lock(self, name: str) -> threading.Lock:
        """Return this process's lock of that name."""
        with self._guard:
            return self._locks.setdefault(name, threading.Lock())

    def _requeue(self, executor: str) -> int:
        from dbos import DBOS

        pending = DBOS.list_workflows(
            status="PENDING", executor_id=executor, load_input=False, load_output=False
        )
        by_queue: dict[str, list[str]] = {}
        for workflow in pending:
            by_queue.setdefault(workflow.queue_name or RUNS, []).append(workflow.workflow_id)
        for queue, ids in by_queue.items():
            # With its queue's name: without it the work would move to DBOS' internal queue and escape the
            # limits.
            DBOS.resume_workflows(ids, queue_name=queue)
        return len(pending)
