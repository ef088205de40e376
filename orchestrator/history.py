"""Records of what runs did: run and step states, journal and ledger entries, evidence, approvals. Values
only; the engine stores them."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from orchestrator.model.base import Value


class RunStatus(StrEnum):
    """State of a run as a whole."""

    RUNNING = "running"
    PAUSED = "paused"
    INTERRUPTED = "interrupted"
    """No live worker holds it; `ferry run resume` continues it."""
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class HostStatus(StrEnum):
    """State of one host in a run."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    """Not begun: its wave stopped, or a host it depends on did not succeed."""


class StepStatus(StrEnum):
    """State of one step."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class StepRecord(Value):
    """One step as it ran; times are aware UTC. `message` is for people."""

    step: str
    status: StepStatus
    started_at: datetime
    ended_at: datetime | None = None
    message: str = ""


class HostRecord(Value):
    """One host of a run."""

    host: str
    wave: str
    status: HostStatus
    steps: tuple[StepRecord, ...] = ()
    code: str = ""
    message: str = ""
    hint: str = ""


class RunRecord(Value):
    """One execution of one change set."""

    run: str
    digest: str
    name: str
    kind: str
    """"apply" or "undo"."""
    undo_of: str | None = None
    status: RunStatus
    started_at: datetime
    ended_at: datetime | None = None
    hosts: tuple[HostRecord, ...] = ()
    head: str = ""
    """Hash of the journal's last root entry."""


class JournalEntry(Value):
    """One line of the journal. `host` is empty on the run's root chain. `hash` covers all other fields,
    `previous` the entry before."""

    run: str
    host: str
    seq: int
    at: datetime
    event: str
    data: dict[str, Any]
    previous: str
    hash: str


class LedgerState(StrEnum):
    """INTENDED: about to be created, may or may not exist."""

    INTENDED = "intended"
    PRESENT = "present"
    REMOVED = "removed"


class LedgerEntry(Value):
    """One object that we made. (endpoint, kind, object_id) is its key."""

    endpoint: str
    kind: str
    object_id: str
    token: str
    run: str
    host: str
    state: LedgerState
    at: datetime
    detail: str = ""


class Evidence(Value):
    """Facts kept with a run. `sha256` is over `body`, canonical JSON text. Kinds: facts-source, facts-
    target, captures, isolation, snapshot, staged,
    parity, refresh."""

    run: str
    host: str
    kind: str
    at: datetime
    sha256: str
    body: str


class Approval(Value):
    """A named person's consent, bound to one digest."""

    digest: str
    name: str
    at: datetime
    comment: str = ""
