"""The append-only record of all that runs did: one hash chain per host under the run's root chain.

A host's chain starts from the hash of the run's first root entry; the root chain closes with the heads of the
host chains. A rewritten entry therefore shows, and so does a chain cut off before the last close. What was
cut off after it shows by the head that was printed. Nothing is ever updated or deleted here.
"""

import hashlib
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from orchestrator.changeset.store import canonical_json
from orchestrator.engine.state import State
from orchestrator.engine.tables import journal
from orchestrator.history import JournalEntry

ROOT = ""
"""The host name of a run's root chain."""

CLOSED = "run-ended"
"""The root event whose data hold the heads of the host chains."""

# Built once: SQLAlchemy takes longer to put such a statement together than SQLite to carry it out.
_CHAIN = (journal.c.run == sa.bindparam("run"), journal.c.host == sa.bindparam("host"))
_LAST = sa.select(journal.c.seq, journal.c.hash).where(*_CHAIN).order_by(journal.c.seq.desc()).limit(1)
_GENESIS = sa.select(journal.c.hash).where(*_CHAIN, journal.c.seq == 1)
_APPEND = journal.insert()


def append(
    connection: sa.Connection, run: str, host: str, event: str, data: dict[str, Any], at: datetime
) -> JournalEntry:
    """Append one entry to the chain of (run, host) within the caller's transaction."""
    _lock_chain(connection, run, host)
    seq, previous = _end(connection, run, host)
    fields = {
        "run": run,
        "host": host,
        "seq": seq + 1,
        "at": at.isoformat(),
        "event": event,
        "data": data,
        "previous": previous,
    }
    digest = entry_hash(fields)
    connection.execute(_APPEND, fields | {"data": canonical_json(data), "hash": digest})
    return JournalEntry.model_validate(fields | {"at": at, "hash": digest})


def entry_hash(fields: dict[str, Any]) -> str:
    """Return the SHA-256 over all fields but the hash itself."""
    return hashlib.sha256(canonical_json(fields).encode("ascii")).hexdigest()


def close(connection: sa.Connection, run: str, data: dict[str, Any], at: datetime) -> str:
    """Append the root entry that binds every host chain as it is now; return the run's head."""
    rows = connection.execute(
        sa.select(journal.c.host, journal.c.seq, journal.c.hash)
        .where(journal.c.run == run, journal.c.host != ROOT)
        .order_by(journal.c.host, journal.c.seq)
    )
    heads = {row.host: {"seq": row.seq, "hash": row.hash} for row in rows}
    return append(connection, run, ROOT, CLOSED, data | {"heads": heads}, at).hash


def head(state: State, run: str) -> str:
    """Return the hash of the last root entry; "" for a run without one."""
    with state.read() as connection:
        return _end(connection, run, ROOT)[1]


def entries(
    state: State, run: str, *, after: int = 0, host: str | None = None
) -> tuple[tuple[int, JournalEntry], ...]:
    """Return (row id, entry) in the order of writing, from row id `after` on."""
    query = sa.select(journal).where(journal.c.run == run, journal.c.id > after).order_by(journal.c.id)
    if host is not None:
        query = query.where(journal.c.host == host)
    with state.read() as connection:
        rows = connection.execute(query).all()
    return tuple((row.id, _entry(row)) for row in rows)


def export(state: State, run: str) -> Iterator[str]:
    """Yield the run's entries as JSON lines, chain by chain, ready to be verified elsewhere."""
    for entry in sorted((e for _, e in entries(state, run)), key=lambda e: (e.host, e.seq)):
        yield canonical_json(entry.model_dump(mode="json") | {"at": entry.at.isoformat()})


def verify(state: State, run: str) -> tuple[str, ...]:
    """Say in words everything that is wrong with the run's chains; nothing: they hold."""
    query = sa.select(journal).where(journal.c.run == run).order_by(journal.c.host, journal.c.seq)
    with state.read() as connection:
        rows = connection.execute(query).all()
    if not rows:
        return (f"run {run}: no journal",)
    chains: dict[str, list[Any]] = {}
    for row in rows:
        chains.setdefault(row.host, []).append(row)
    genesis = chains[ROOT][0].hash if ROOT in chains else ""
    problems = [] if ROOT in chains else [f"run {run}: the root chain is missing"]
    for host, chain in chains.items():
        problems += _chain_problems(run, host, chain, "" if host == ROOT else genesis)
    return (*problems, *_close_problems(run, chains))


def _chain_problems(run: str, host: str, chain: list[Any], previous: str) -> list[str]:
    problems: list[str] = []
    for expected, row in enumerate(chain, 1):
        where = f"run {run}, {f'host {host}' if host else 'root'}, entry {row.seq}"
        if row.seq != expected:
            return [*problems, f"{where}: entry {expected} is missing"]
        if row.previous != previous:
            problems.append(f"{where}: does not follow from the entry before")
        if _recomputed(row) != row.hash:
            problems.append(f"{where}: the content does not match its hash")
        previous = row.hash
    return problems


def _recomputed(row: Any) -> str:
    try:
        data = json.loads(row.data)
    except ValueError:
        return ""
    names = ("run", "host", "seq", "at", "event", "previous")
    return entry_hash({name: getattr(row, name) for name in names} | {"data": data})


def _close_problems(run: str, chains: dict[str, list[Any]]) -> list[str]:
    """Compare the heads that the root chain recorded with the host chains."""
    problems: list[str] = []
    for row in (r for r in chains.get(ROOT, ()) if r.event == CLOSED):
        try:
            heads = json.loads(row.data).get("heads", {})
        except (ValueError, AttributeError):
            continue  # reported as a wrong hash already
        for host, closed in heads.items():
            chain = chains.get(host, [])
            if not any(r.seq == closed["seq"] and r.hash == closed["hash"] for r in chain):
                problems.append(
                    f"run {run}, host {host}: the chain is not the one that root entry {row.seq} closed"
                )
    return problems


def _entry(row: Any) -> JournalEntry:
    fields = dict(row._mapping) | {"data": json.loads(row.data)}
    del fields["id"]
    return JournalEntry.model_validate(fields)


def _end(connection: sa.Connection, run: str, host: str) -> tuple[int, str]:
    """Return (seq, hash) of the chain's last entry, or what an empty chain starts from."""
    row = connection.execute(_LAST, {"run": run, "host": host}).first()
    if row is not None:
        return row.seq, row.hash
    if host == ROOT:
        return 0, ""
    return 0, connection.execute(_GENESIS, {"run": run, "host": ROOT}).scalar() or ""


def _lock_chain(connection: sa.Connection, run: str, host: str) -> None:
    """Let one writer at a time extend a chain. SQLite's write transaction does that by itself."""
    if connection.dialect.name != "postgresql":
        return
    wide = hashlib.sha256(f"journal\0{run}\0{host}".encode()).digest()
    key = int.from_bytes(wide[:8], "big", signed=True)
    connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})


def heads(state: State, run: str) -> dict[str, str]:
    """Return the hash of the last entry of each chain of a run; the root's is under ""."""
    with state.read() as connection:
        hosts = connection.execute(sa.select(journal.c.host).where(journal.c.run == run).distinct()).scalars()
        return {host: _end(connection, run, host)[1] for host in hosts.all()}


def all_runs(state: State) -> tuple[str, ...]:
    """Return every name that has a journal, in the order of their first entries."""
    query = sa.select(journal.c.run).group_by(journal.c.run).order_by(sa.func.min(journal.c.id))
    with state.read() as connection:
        return tuple(connection.execute(query).scalars())
