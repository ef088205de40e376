"""A real `Effect` in memory: a ledger that outlives a crash, a record of every call, and failures at a chosen
point.

It stands in for the engine's own effect, which writes to a database. It must not be more forgiving than that
one: an object that was made without having been announced is an error of the adapter and raises
AssertionError.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from orchestrator.contract.errors import LeaseLost
from orchestrator.contract.provider import ObjectKind

ObjectKey = tuple[ObjectKind, str]


class Crash(BaseException):
    """The process dies here. Not an Exception, so that no adapter can catch it by accident and tidy up."""


class Moment(StrEnum):
    """The call of `Effect` at which something happens."""

    BEFORE = "before"
    INTEND = "intend"
    MADE = "made"
    REMOVED = "removed"
    TASK = "task"


CHECKS_LEASE = frozenset({Moment.BEFORE, Moment.INTEND})
"""The moments at which the engine checks the lease; it can only be lost at these."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call that an adapter made: `what` is the description, or `kind:id`."""

    moment: Moment
    what: str


@dataclass(slots=True)
class Ledger:
    """What the state database would hold. Shared by every effect of one test, so it survives a crash."""

    intended: set[ObjectKey] = field(default_factory=set)
    present: set[ObjectKey] = field(default_factory=set)
    removed: set[ObjectKey] = field(default_factory=set)

    def owns(self, kind: ObjectKind, object_id: str) -> bool:
        """Tell whether the object was announced or made, and not removed since."""
        return (kind, object_id) in self.intended | self.present

    def left(self, kind: ObjectKind) -> frozenset[str]:
        """Return the ids of this kind that the ledger still holds."""
        return frozenset(oid for k, oid in self.intended | self.present if k is kind)


@dataclass(slots=True)
class RecordingEffect:
    """The engine's hand, recorded. Give it a `Ledger` and, to disturb it, the number (from 1) of the call at
    which to fail.

    - `crash_at`: raises `Crash` at the n-th call of any kind. At `intend` the entry is already written, at
      `made` and `removed` it is not yet: exactly what a process leaves that dies between the hypervisor's
      answer and the database.
    - `lose_lease_at`: raises LeaseLost at the n-th `before` or `intend`, and at every one after it.
    - `at_failure` is called just before either is raised: the moment to look at the hypervisor.
    """

    token: str
    ledger: Ledger = field(default_factory=Ledger)
    crash_at: int | None = None
    lose_lease_at: int | None = None
    at_failure: Callable[[], None] = lambda: None
    calls: list[Call] = field(default_factory=list)

    @property
    def reason(self) -> str:
        """Words that name this effect."""
        return f"conformance, {self.token}"

    def before(self, what: str) -> None:
        """Record, then fail if this is the point."""
        self._reach(Moment.BEFORE, what)

    def task(self, what: str, reference: str) -> None:
        """Record, then fail if this is the point: the work is under way, and nobody waits for it."""
        self._reach(Moment.TASK, f"{reference}: {what}")

    def intend(self, kind: ObjectKind, object_id: str, detail: str = "") -> None:
        """Write the entry, then fail if this is the point. `detail` is recorded only."""
        self.ledger.removed.discard((kind, object_id))
        self.ledger.intended.add((kind, object_id))
        self._reach(Moment.INTEND, f"{kind}:{object_id} {detail}".rstrip())

    def made(self, kind: ObjectKind, object_id: str) -> None:
        """Fail if this is the point, else write "exists now".

        Raises AssertionError for an object that was never announced.
        """
        assert self.ledger.owns(kind, object_id), f"made without intend: {kind} {object_id}"
        self._reach(Moment.MADE, f"{kind}:{object_id}")
        self.ledger.intended.discard((kind, object_id))
        self.ledger.present.add((kind, object_id))

    def removed(self, kind: ObjectKind, object_id: str) -> None:
        """Fail if this is the point, else write "is gone"."""
        self._reach(Moment.REMOVED, f"{kind}:{object_id}")
        self.ledger.intended.discard((kind, object_id))
        self.ledger.present.discard((kind, object_id))
        self.ledger.removed.add((kind, object_id))

    def owns(self, kind: ObjectKind, object_id: str) -> bool:
        """Ask the ledger."""
        return self.ledger.owns(kind, object_id)

    @property
    def mutations(self) -> int:
        """Number of announced mutations; 0 means that a repeat found its own work and changed nothing."""
        return sum(call.moment is Moment.BEFORE for call in self.calls)

    def _reach(self, moment: Moment, what: str) -> None:
        self.calls.append(Call(moment, what))
        if self.crash_at == len(self.calls):
            self.at_failure()
            point = f"{moment} {what}"
            raise Crash(point)
        checks = sum(call.moment in CHECKS_LEASE for call in self.calls)
        if self.lose_lease_at is not None and moment in CHECKS_LEASE and checks >= self.lose_lease_at:
            self.at_failure()
            message = f"the lease is gone at check {checks}: {what}"
            raise LeaseLost(message)


@dataclass(slots=True)
class OvertakenEffect(RecordingEffect):
    """Lets `overtake` happen once: right after the first intention was written, before anything is made."""

    overtake: Callable[[], object] = lambda: None

    def intend(self, kind: ObjectKind, object_id: str, detail: str = "") -> None:
        """Write the entry, then be overtaken."""
        RecordingEffect.intend(self, kind, object_id, detail)
        overtake, self.overtake = self.overtake, lambda: None
        overtake()
