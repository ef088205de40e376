"""The state database as the commands need it: open it, look evidence up, record approvals, prove the
journal."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from orchestrator.app import clock
from orchestrator.changeset.changes import ChangeSet, HostChange, KnownIdentity
from orchestrator.diagnostics import Refused
from orchestrator.engine import api, approvals, evidence, journal, runs
from orchestrator.engine.state import State, default_state_url, open_state
from orchestrator.history import Approval, Evidence, JournalEntry
from orchestrator.model.base import Value
from orchestrator.model.facts import ServerFacts
from orchestrator.model.machine import Machine

if TYPE_CHECKING:
    from orchestrator.changeset.observe import KnownOf
    from orchestrator.lifecycle.candidates import Stored

LAST = "last"
"""Stands for the newest run wherever a run is named."""


@contextmanager
def opened(url: str | None) -> Iterator[State]:
    """Open the state of `--state`, FERRY_STATE or the default place; closed at the end."""
    state = open_state(url or default_state_url(os.environ), clock.now)
    try:
        yield state
    finally:
        state.close()


def run_id(state: State, name: str) -> str:
    """Return the run that `name` means: itself, or the newest for "last"."""
    if name != LAST:
        return name
    found = api.list_runs(state)
    if not found:
        message = "there is no run yet"
        raise runs.NoSuchRun(message, hint="`ferry plan apply` makes one; --state names another state")
    return found[-1].run


class SeenBefore:
    """What earlier runs saw of hosts: good for the machine itself, not for its name alone. Asked once."""

    def __init__(self, state: State) -> None:
        """Look into this state, which must stay open."""
        self._state = state
        self._found: dict[tuple[str, str], Evidence | None] = {}
        self._machines: dict[str, dict[str, str]] = {}
        """The id of each host's machine, by run."""

    def identity(self, host: str, machine: Machine) -> KnownIdentity | None:
        """Return which Windows a host is, by the newest evidence."""
        found = self._facts(host, machine)
        if found is None:
            return None
        identity = ServerFacts.model_validate_json(found.body).identity
        return KnownIdentity(identity=identity, at=found.at, run=found.run)

    def facts(self, hosts: Iterable[HostChange]) -> tuple[Evidence, ...]:
        """Return the newest facts of those hosts of which there are any."""
        found = (self._facts(host.plan.name, host.source) for host in hosts)
        return tuple(facts for facts in found if facts is not None)

    def _facts(self, host: str, machine: Machine) -> Evidence | None:
        key = (host, machine.ref.id)
        if key not in self._found:
            self._found[key] = self._look(host, machine)
        return self._found[key]

    def _look(self, host: str, machine: Machine) -> Evidence | None:
        found = evidence.newest_of_host(self._state, host, "facts-source")
        if found is None:
            return None
        if found.run not in self._machines:
            change_set = runs.change_set(self._state, runs.row(self._state, found.run).digest)
            self._machines[found.run] = {h.plan.name: h.source.ref.id for h in change_set.hosts}
        return found if self._machines[found.run].get(host) == machine.ref.id else None


class MachinesSeen:
    """What earlier runs saw of machines, by the machine itself and not by any name. Asked for many."""

    def __init__(self, state: State) -> None:
        """Look into this state, which must stay open."""
        self._state = state
        self._newest: dict[tuple[str, str], tuple[str, str]] = {}
        machines: dict[str, dict[str, tuple[str, str]]] = {}
        for run, host in evidence.hosts_with(state, "facts-source"):
            if run not in machines:
                machines[run] = _machines(runs.change_set(state, runs.row(state, run).digest))
            if (machine := machines[run].get(host)) is not None:
                self._newest[machine] = run, host

    def stored(self, endpoint: str, machine: str) -> "Stored | None":
        """Return which Windows a machine is by its newest evidence: by the endpoint's identity and its id."""
        key = self._newest.get((endpoint, machine))
        found = None if key is None else evidence.latest(self._state, *key, "facts-source")
        if found is None:
            return None
        from orchestrator.lifecycle.candidates import Stored

        identity = ServerFacts.model_validate_json(found.body).identity
        return Stored(identity=identity, at=found.at, run=found.run)


def _machines(change_set: ChangeSet) -> dict[str, tuple[str, str]]:
    """Return each host's machine: the endpoint's identity, and the id there."""
    places = {endpoint.settings.name: endpoint.info.identity for endpoint in change_set.endpoints}
    sources = ((host.plan.name, host.source.ref) for host in change_set.hosts)
    return {name: (places[ref.endpoint], ref.id) for name, ref in sources if ref.endpoint in places}


@contextmanager
def known_of(url: str | None) -> "Iterator[KnownOf]":
    """Give a look-up of identities in stored evidence."""
    with opened(url) as state:
        yield SeenBefore(state).identity


def approve(
    state: State, change_set: ChangeSet, digest: str, name: str, comment: str, now: datetime
) -> tuple[Approval, ...]:
    """Record an approval and return those that count. The owner of the plan cannot approve it."""
    if not approvals.counting((Approval(digest=digest, name=name, at=now),), change_set.owner):
        message = f"{name} owns this plan and cannot approve it"
        raise Refused(message, hint="somebody else has to", code="own-approval")
    approvals.record(state, digest, name, now, comment)
    return approvals.counting(approvals.of_digest(state, digest), change_set.owner)


class JournalCheck(Value):
    """The proof of one run's chains: intact when there is no problem."""

    run: str
    intact: bool
    head: str
    problems: tuple[str, ...]


def verify_journal(url: str | None, run: str | None) -> tuple[JournalCheck, ...]:
    """Recompute the chains of one run or of all."""
    with opened(url) as state:
        return tuple(_check(state, name) for name in _runs(state, run))


def export_journal(url: str | None, run: str | None) -> tuple[JournalEntry, ...]:
    """Return the entries of one run or of all, in the order of writing."""
    with opened(url) as state:
        return tuple(entry for name in _runs(state, run) for _, entry in journal.entries(state, name))


def _runs(state: State, run: str | None) -> tuple[str, ...]:
    if run is None:
        return journal.all_runs(state)
    return (run_id(state, run),)


def _check(state: State, run: str) -> JournalCheck:
    problems = journal.verify(state, run)
    return JournalCheck(run=run, intact=not problems, head=journal.head(state, run), problems=problems)
