"""A simulated site for engine tests: a world of legacy servers, a plan for them, and an engine on it.

The disks of its machines hold one line of text that says which Windows they are; `collect` reads it where the
real program reads NTFS and registry hives. Everything else is the real thing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from orchestrator.changeset.build import build_change_set
from orchestrator.changeset.changes import ChangeSet
from orchestrator.changeset.observe import observe
from orchestrator.changeset.store import digest
from orchestrator.changeset.undo import build_undo
from orchestrator.contract.provider import Effect, FrozenDisk, ObjectKind
from orchestrator.diagnostics import FerryError
from orchestrator.engine import api
from orchestrator.engine.runtime import Engine, Runtime
from orchestrator.engine.state import State, open_state
from orchestrator.engine.undoable import undoable
from orchestrator.history import RunRecord
from orchestrator.model.endpoint import EndpointSettings
from orchestrator.model.facts import ServerFacts
from orchestrator.model.plan import ChangeRequest, HostPlan, PlanFile
from orchestrator.model.secret import SecretRef
from providers.simulated import World, provider
from tests.unit.builders import a_host_plan, a_target, an_identity, new_facts, server_facts

SIZE = 64 * 1024
PASSWORD = "Tr0ub4dor-and-3"
LIMIT = timedelta(seconds=1)


def clock() -> datetime:
    return datetime.now(UTC)


def secrets(_: SecretRef) -> str:
    return PASSWORD


def collect(disks: Sequence[FrozenDisk]) -> ServerFacts:
    """Read the line that says which Windows this is."""
    text = disks[0].read(0, 64).split(b"\0")[0].decode()
    known = {
        "legacy": server_facts,
        "golden": new_facts,
        "vista": lambda: server_facts(identity=an_identity(product_type="workstation")),
    }
    if text not in known:
        message = f"no Windows on this disk: {text!r}"
        raise FerryError(message, code="no-windows")
    return known[text]()


def write_disk(path: Path, text: str) -> Path:
    path.write_bytes(text.encode().ljust(SIZE, b"\0"))
    return path


@dataclass
class Site:
    """A world with machines `file01`..., one endpoint, a golden image; `plan(...)` and `preview(...)` give
    change sets."""

    folder: Path
    latency_ms: int = 0
    max_parallel: int = 2
    world: World = field(init=False)

    def __post_init__(self) -> None:
        self.world = World.create(self.folder / "world.json")
        image = write_disk(self.folder / "golden.raw", "golden")
        self.world.add_image("win2025-golden", image)

    @property
    def endpoint(self) -> EndpointSettings:
        settings = {"world": str(self.world.path), "latency_ms": self.latency_ms}
        return EndpointSettings(
            name="lab", provider="simulated", max_parallel=self.max_parallel, settings=settings
        )

    def add(self, name: str, *, content: str = "legacy", running: bool = True) -> None:
        disk = write_disk(self.folder / f"{name}.raw", content)
        self.world.add_machine(name, disks=[disk], running=running, endpoint="lab")

    def host(self, name: str, **changes: Any) -> HostPlan:
        vm = name.lower()
        target = a_target(f"{vm}n", first_boot_limit=LIMIT)
        return a_host_plan(name, **({"target": target} | changes))

    def plan(self, hosts: Sequence[HostPlan], *, waves: Sequence[str] = (), **changes: Any) -> PlanFile:
        fields: dict[str, Any] = {
            "path": "plan.yaml",
            "sha256": "3f" * 32,
            "name": "branch-file-servers",
            "owner": "infra-ops",
            "change": ChangeRequest(ticket="CHG0012345"),
            "endpoints": (self.endpoint,),
            "hosts": tuple(hosts),
            "waves": tuple(waves) or tuple(dict.fromkeys(h.wave for h in hosts)),
        }
        return PlanFile(**fields | changes)

    def preview(self, plan: PlanFile, at: datetime | None = None) -> ChangeSet:
        readers = {"lab": provider.open_reader(self.endpoint, secrets)}
        try:
            return build_change_set(plan, observe(plan, readers, lambda *_: None), at or clock())
        finally:
            readers["lab"].close()

    def fleet(self, names: Sequence[str], **changes: Any) -> ChangeSet:
        """Add machines and preview a plan that contains them all in one wave."""
        for name in names:
            self.add(name.lower())
        return self.preview(self.plan([self.host(name, **changes) for name in names]))


def runtime(state: State, **changes: Any) -> Runtime:
    fields: dict[str, Any] = {
        "state": state,
        "providers": {"simulated": provider},
        "secrets": secrets,
        "clock": clock,
        "collect": collect,
    }
    return Runtime(**fields | changes)


@contextmanager
def engine_on(url: str, **changes: Any) -> Iterator[Engine]:
    state = open_state(url, clock)
    try:
        with Engine(runtime(state, **changes)) as engine:
            yield engine
    finally:
        state.close()


def start(engine: Engine, change_set: ChangeSet) -> str:
    return api.start_run(engine, change_set, digest(change_set), now=clock())


def carry_out(engine: Engine, change_set: ChangeSet) -> RunRecord:
    run = start(engine, change_set)
    return api.wait_run(engine.runtime.state, run)


def undo_of(engine: Engine, run: str, **options: Any) -> ChangeSet:
    delete = bool(options.get("delete_disks"))
    original, left = undoable(engine.runtime.state, run, delete_disks=delete)
    return build_undo(original, run, left, clock(), **options)


def until(condition: Callable[[], Any], seconds: float = 20.0) -> None:
    """Wait for a condition, at most so long."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.02)


class CountingEffect:
    """Passes every call on and tells `hook` of it: at `before` and `intend` after the call (or `ahead` of
    it), at `made`
    and `removed` ahead of it."""

    def __init__(self, inner: Effect, hook: Callable[[str, str], None], *, ahead: bool = False) -> None:
        self._inner, self._hook, self._ahead = inner, hook, ahead

    @property
    def token(self) -> str:
        return self._inner.token

    @property
    def reason(self) -> str:
        return self._inner.reason

    def task(self, what: str, reference: str) -> None:
        self._around("task", reference, lambda: self._inner.task(what, reference))

    def before(self, what: str) -> None:
        self._around("before", what, lambda: self._inner.before(what))

    def intend(self, kind: ObjectKind, object_id: str, detail: str = "") -> None:
        self._around("intend", object_id, lambda: self._inner.intend(kind, object_id, detail))

    def made(self, kind: ObjectKind, object_id: str) -> None:
        self._hook("made", object_id)
        self._inner.made(kind, object_id)

    def removed(self, kind: ObjectKind, object_id: str) -> None:
        self._hook("removed", object_id)
        self._inner.removed(kind, object_id)

    def owns(self, kind: ObjectKind, object_id: str) -> bool:
        return self._inner.owns(kind, object_id)

    def _around(self, moment: str, what: str, call: Callable[[], None]) -> None:
        if self._ahead:
            self._hook(moment, what)
            call()
        else:
            call()
            self._hook(moment, what)
