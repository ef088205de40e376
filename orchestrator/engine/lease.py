"""Who may change a host now: a lease per (run, host) with a generation, checked just before every mutation.

A takeover raises the generation, so that a worker that was frozen and wakes up stops at its next check. That
an executor lives is shown by its heartbeat (`liveness`); a lease holds only as long as its own executor has
renewed that within the TTL.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from orchestrator.contract.errors import LeaseLost
from orchestrator.engine.state import State
from orchestrator.engine.tables import leases, matching

NOBODY = ""


class Lease:
    """One worker's hold on one host. Once lost it stays lost."""

    def __init__(
        self, state: State, run: str, host: str, owner: str, generation: int, freshen: Callable[[], bool]
    ) -> None:
        """`freshen` renews our heartbeat if it is old, and tells whether it is young now."""
        self._state = state
        self._freshen = freshen
        self._given_back = False
        self.run = run
        self.host = host
        self.owner = owner
        self.generation = generation

    def check(self) -> None:
        """Raise LeaseLost unless the hold is still ours and our heartbeat is young."""
        self._need_fresh()
        with self._state.read() as connection:
            self._compare(connection)

    @contextmanager
    def guarded(self) -> Iterator[sa.Connection]:
        """Check, and yield the transaction in which the check was made: a fenced worker writes nothing.
        Raises LeaseLost."""
        self._need_fresh()
        with self._state.write() as connection:
            self._compare(connection)
            yield connection

    def _need_fresh(self) -> None:
        # Before the comparison: after a pause nobody used (a sleeping laptop) the hold is still ours once we
        # are known to live again; had somebody used it, the generation would show.
        if not self._freshen():
            what = f"the lease on {self.host} of run {self.run}"
            message = f"{what} could not be renewed; nothing more is changed here"
            raise LeaseLost(message)

    def _compare(self, connection: sa.Connection) -> None:
        row = _held(connection, self.run, self.host)
        if row is None or (row.generation, row.owner) != (self.generation, self.owner):
            message = f"another worker took over {self.host} of run {self.run}; nothing more is changed here"
            raise LeaseLost(message)

    def release(self) -> None:
        """Give the hold back, if it is still ours. Repeatable."""
        if not self._given_back:
            with self._state.write() as connection:
                self._give_back(connection)
            self._given_back = True

    @contextmanager
    def ending(self) -> Iterator[sa.Connection]:
        """As `guarded`, and the hold is given back in the same transaction. Raises LeaseLost."""
        with self.guarded() as connection:
            yield connection
            self._give_back(connection)
        self._given_back = True

    def _give_back(self, connection: sa.Connection) -> None:
        held = {"of_generation": self.generation, "of_owner": self.owner}
        connection.execute(_SET, _of(self.run, self.host) | held | {"owner": NOBODY})


def acquire(
    state: State,
    run: str,
    host: str,
    owner: str,
    *,
    alive: Callable[[str], bool],
    freshen: Callable[[], bool],
) -> Lease:
    """Take the hold on a host and raise its generation.

    Raises LeaseLost while another executor, one that is `alive`, holds it. An earlier hold of `owner` itself
    is replaced: it is of an execution that this one follows.
    """
    with state.read() as connection:
        seen = _held(connection, run, host)
    if seen is not None and seen.owner not in (NOBODY, owner) and alive(seen.owner):
        message = f"another worker holds {host} of run {run}"
        raise LeaseLost(message)
    with state.write() as connection:
        generation = _take(connection, run, host, owner, seen)
    return Lease(state, run, host, owner, generation, freshen)


def _take(
    connection: sa.Connection, run: str, host: str, owner: str, seen: sa.Row[tuple[int, str]] | None
) -> int:
    """Compare with what was seen and set, in one statement each."""
    if seen is None:
        try:
            with connection.begin_nested():
                connection.execute(_NEW, {"run": run, "host": host, "generation": 1, "owner": owner})
        except sa.exc.IntegrityError:
            message = f"another worker has just taken {host} of run {run}"
            raise LeaseLost(message) from None
        return 1
    held = {"of_generation": seen.generation, "of_owner": seen.owner}
    values = {"generation": seen.generation + 1, "owner": owner}
    if connection.execute(_SET, _of(run, host) | held | values).rowcount != 1:
        message = f"another worker has just taken {host} of run {run}"
        raise LeaseLost(message)
    return int(seen.generation) + 1


def fence(connection: sa.Connection, owner: str) -> int:
    """End every hold of an executor that is dead or frozen; return how many there were."""
    raised = {"generation": leases.c.generation + 1, "owner": NOBODY}
    return connection.execute(leases.update().where(leases.c.owner == owner).values(**raised)).rowcount


# Built once: SQLAlchemy takes longer to put such a statement together than SQLite to carry it out.
_ROW: sa.Select[tuple[int, str]] = sa.select(leases.c.generation, leases.c.owner).where(
    *matching(leases, "run", "host")
)
_SET = leases.update().where(*matching(leases, "run", "host", "generation", "owner"))
_NEW = leases.insert()


def _held(connection: sa.Connection, run: str, host: str) -> sa.Row[tuple[int, str]] | None:
    return connection.execute(_ROW, _of(run, host)).first()


def _of(run: str, host: str) -> dict[str, object]:
    return {"of_run": run, "of_host": host}
