"""The engine's hand on a mutating call: key, lease and ledger in one. What a fenced worker would write is not
written."""

import re
from collections.abc import Callable
from datetime import datetime

import sqlalchemy as sa

from orchestrator.contract.provider import ObjectKind
from orchestrator.engine import journal, ledger
from orchestrator.engine.lease import Lease
from orchestrator.engine.state import State
from orchestrator.history import LedgerEntry, LedgerState

_TOKEN = re.compile(r"[A-Za-z0-9._-]{1,120}")


def token_of(run: str, host: str, step: str) -> str:
    """Return the key of an effect. Attempts share it, so that a later one finds the earlier one's work."""
    token = f"ferry.{run}.{host}.{step}"
    if not _TOKEN.fullmatch(token):
        message = f"not a token: {token!r}"
        raise ValueError(message)
    return token


class EngineEffect:
    """Implements the contract's `Effect` for one step of one host on one endpoint."""

    def __init__(
        self,
        state: State,
        lease: Lease,
        endpoint: str,
        step: str,
        clock: Callable[[], datetime],
        *,
        why: str = "",
    ) -> None:
        """`endpoint` is the endpoint's identity, the same by whatever name a plan calls it; `why` ends the
        reason (", CHG0012345")."""
        self._state = state
        self._lease = lease
        self._endpoint = endpoint
        self._clock = clock
        self.token = token_of(lease.run, lease.host, step)
        self.reason = " ".join(f"ferry run {lease.run}, host {lease.host}, step {step}{why}".split())[:200]

    def before(self, what: str) -> None:
        """Check the lease and note what is about to be changed."""
        with self._lease.guarded() as connection:
            self._note(connection, "change", {"what": what})

    def task(self, what: str, reference: str) -> None:
        """Note the hypervisor's name of the work: true whoever holds the lease, so always written."""
        with self._state.write() as connection:
            self._note(connection, "task", {"what": what, "task": reference})

    def intend(self, kind: ObjectKind, object_id: str, detail: str = "") -> None:
        """Enter "about to create" into the ledger, under the lease."""
        entry = self._entry(kind, object_id, LedgerState.INTENDED, detail)
        with self._lease.guarded() as connection:
            ledger.record(connection, entry)
            self._note(connection, "intend", {"kind": kind.value, "id": object_id})

    def made(self, kind: ObjectKind, object_id: str) -> None:
        """Enter "exists now": true whoever holds the lease, so it is written in any case."""
        self._settle(kind, object_id, LedgerState.PRESENT, "made")

    def removed(self, kind: ObjectKind, object_id: str) -> None:
        """Enter "is gone"."""
        self._settle(kind, object_id, LedgerState.REMOVED, "removed")

    def owns(self, kind: ObjectKind, object_id: str) -> bool:
        """Tell whether the ledger says that the object is ours."""
        return ledger.owns(self._state, self._endpoint, kind.value, object_id)

    def _settle(self, kind: ObjectKind, object_id: str, state: LedgerState, event: str) -> None:
        if state is LedgerState.PRESENT and ledger.is_present(
            self._state, self._endpoint, kind.value, object_id
        ):
            return  # found again: by a later attempt, or by another host that shares a network
        with self._state.write() as connection:
            known = ledger.set_state(connection, self._endpoint, kind.value, object_id, state, self._clock())
            if not known and state is LedgerState.PRESENT:
                ledger.record(connection, self._entry(kind, object_id, state, "made without an intention"))
            self._note(connection, event, {"kind": kind.value, "id": object_id})

    def _entry(self, kind: ObjectKind, object_id: str, state: LedgerState, detail: str) -> LedgerEntry:
        return LedgerEntry(
            endpoint=self._endpoint,
            kind=kind.value,
            object_id=object_id,
            token=self.token,
            run=self._lease.run,
            host=self._lease.host,
            state=state,
            at=self._clock(),
            detail=detail,
        )

    def _note(self, connection: sa.Connection, event: str, data: dict[str, str]) -> None:
        data = data | {"endpoint": self._endpoint, "token": self.token}
        journal.append(connection, self._lease.run, self._lease.host, event, data, self._clock())
