"""What one execution of one host's steps has in its hands: values, adapters, evidence, effects. It decides
nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from orchestrator.changeset.changes import ChangeSet, HostChange, Kind, ObservedEndpoint, StepKind
from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.provider import Adapter, Effect
from orchestrator.diagnostics import FerryError
from orchestrator.engine import evidence, journal, reads
from orchestrator.engine.effect import EngineEffect, token_of
from orchestrator.engine.lease import Lease
from orchestrator.engine.runtime import Engine, Runtime
from orchestrator.history import Evidence
from orchestrator.model.machine import Claim, Machine, MachineRef
from orchestrator.model.network import Network
from orchestrator.model.target import TargetSpec

T = TypeVar("T")

RECONCILE_ATTEMPTS = 3


@dataclass(frozen=True)
class Job:
    """One host of one run, held by one lease."""

    engine: Engine
    change_set: ChangeSet
    digest: str
    host: HostChange
    lease: Lease

    @property
    def runtime(self) -> Runtime:
        return self.engine.runtime

    @property
    def run(self) -> str:
        return self.lease.run

    @property
    def name(self) -> str:
        """The host's name."""
        return self.lease.host

    @property
    def origin(self) -> str:
        """The run whose work this is about: the one that is taken back, or this one."""
        undo_of = self.change_set.undo_of
        return undo_of if self.change_set.kind is Kind.UNDO and undo_of is not None else self.run

    @property
    def ref(self) -> MachineRef:
        """The legacy machine."""
        return self.host.source.ref

    @property
    def target(self) -> TargetSpec:
        """The replacement as planned. Only for steps that a change set has where there is one."""
        if self.host.plan.target is None:
            message = f"{self.name} has no target in this change set"
            raise FerryError(message, code="no-target")
        return self.host.plan.target

    def now(self) -> datetime:
        return self.runtime.clock()

    def endpoint(self, name: str) -> ObservedEndpoint:
        """Return an endpoint of the change set."""
        return next(e for e in self.change_set.endpoints if e.settings.name == name)

    def adapter(self, endpoint: str) -> Adapter:
        """Return the open connection to an endpoint, by the plan's name for it."""
        return self.engine.connections.to(self.endpoint(endpoint).settings)

    @property
    def source(self) -> Adapter:
        """The connection to the legacy machine's endpoint."""
        return self.adapter(self.host.plan.endpoint)

    def token(self, step: StepKind, *, run: str | None = None) -> str:
        """Return the token of a step of this host, of this run or of another one."""
        return token_of(run or self.run, self.name, step.value)

    def effect(self, step: StepKind | str, endpoint: str) -> Effect:
        """Return the hand for mutating calls of a step on an endpoint."""
        identity = self.endpoint(endpoint).info.identity
        ticket = self.change_set.change.ticket
        made = EngineEffect(
            self.runtime.state,
            self.lease,
            identity,
            str(step),
            self.runtime.clock,
            why=f", {ticket}" if ticket else "",
        )
        return self.runtime.wrap_effect(made)

    def claim(self) -> Claim:
        """Return the mark that this execution puts on the machine."""
        return Claim(
            run=self.run,
            digest=self.digest,
            state_id=self.runtime.state.state_id,
            generation=self.lease.generation,
            host=self.name,
            since=self.now(),
        )

    def read(self, call: Callable[[], T]) -> T:
        """Read from a provider, retried while it is only busy."""
        return reads.read(call, self.runtime.sleep)

    def machine(self, ref: MachineRef, adapter: Adapter) -> Machine:
        """Look at a machine again. Raises ProviderError (NOT_FOUND) when it is gone."""
        found = self.read(lambda: adapter.inventory.machines([ref.id]))
        if not found:
            message = f"{ref.name} is not there any more ({ref.id})"
            hint = "it was deleted or unregistered outside of ferry; what is left of the run can be undone"
            raise ProviderError(ErrorKind.NOT_FOUND, message, hint=hint)
        return found[0]

    def networks(self, endpoint: str) -> tuple[Network, ...]:
        """Return an endpoint's networks, read just now for this host or another one of this run."""
        identity = self.endpoint(endpoint).info.identity
        return self.engine.sites.get(
            identity, self.digest, lambda: self.read(self.adapter(endpoint).inventory.networks)
        )

    def reconciled(self, what: str, call: Callable[[], T]) -> T:
        """Make a mutating `ensure_*` call; where its outcome is not known, call it again: it looks first, by
        its token.

        At most three times, each one noted in the journal. Every other error passes through.
        """
        for attempt in range(RECONCILE_ATTEMPTS + 1):
            try:
                return call()
            except ProviderError as error:
                if error.kind is not ErrorKind.UNCERTAIN or attempt == RECONCILE_ATTEMPTS:
                    raise
                self.note("reconcile", {"what": what, "attempt": attempt + 1, "reason": error.message})
            self.runtime.sleep(float(2**attempt))
            self.lease.check()
        raise AssertionError  # pragma: no cover  # the loop returns or raises

    def note(self, event: str, data: dict[str, Any]) -> None:
        """Append to the host's chain, under the lease."""
        with self.lease.guarded() as connection:
            journal.append(connection, self.run, self.name, event, data, self.now())

    def keep(self, kind: str, value: Any, *, once: bool = False) -> Evidence:
        """Store evidence of this host and note its hash in the journal, under the lease."""
        at = self.now()
        with self.lease.guarded() as connection:
            stored = evidence.put(connection, self.run, self.name, kind, value, at, once=once)
            noted = {"kind": kind, "sha256": stored.sha256}
            journal.append(connection, self.run, self.name, "evidence", noted, at)
        return stored

    def recall(self, kind: str, shape: type[T], *, run: str | None = None) -> T | None:
        """Return this host's newest evidence of a kind as a value."""
        return evidence.read(self.runtime.state, run or self.run, self.name, kind, shape)

    def need(self, kind: str, shape: type[T], *, run: str | None = None) -> T:
        """Return evidence that an earlier step must have stored. Raises FerryError without it."""
        found = self.recall(kind, shape, run=run)
        if found is None:
            message = f"the evidence {kind!r} of {self.name} is missing"
            raise FerryError(
                message, hint="resume the run: the step that takes it runs again", code="no-evidence"
            )
        return found
