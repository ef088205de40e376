"""Ledger, evidence and approvals."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.diagnostics import Refused
from orchestrator.engine import approvals, evidence, ledger
from orchestrator.engine.state import State
from orchestrator.engine.tables import evidence as evidence_table
from orchestrator.history import Evidence, LedgerEntry, LedgerState
from orchestrator.model.facts import ServerFacts
from orchestrator.model.network import NicCapture
from tests.unit.builders import NOW, a_nic, server_facts


def an_entry(**changes: object) -> LedgerEntry:
    fields = {
        "endpoint": "sim:1",
        "kind": "snapshot",
        "object_id": "snap-1",
        "token": "ferry.r1.A.snapshot",
        "run": "r1",
        "host": "A",
        "state": LedgerState.INTENDED,
        "at": NOW,
    }
    return LedgerEntry(**fields | changes)


def record(state: State, **changes: object) -> None:
    with state.write() as connection:
        ledger.record(connection, an_entry(**changes))


def settle(state: State, to: LedgerState) -> bool:
    with state.write() as connection:
        return ledger.set_state(connection, "sim:1", "snapshot", "snap-1", to, NOW)


def owned(state: State) -> bool:
    return ledger.owns(state, "sim:1", "snapshot", "snap-1")


def test_what_was_intended_or_made_is_ours_and_what_was_removed_is_not(state: State) -> None:
    assert not owned(state)
    record(state)
    assert owned(state)
    settle(state, LedgerState.PRESENT)
    assert owned(state)
    settle(state, LedgerState.REMOVED)
    assert not owned(state)
    assert ledger.knows_token(state, "ferry.r1.A.snapshot")


def test_an_object_of_another_endpoint_or_kind_is_not_ours(state: State) -> None:
    record(state)
    assert not ledger.owns(state, "sim:2", "snapshot", "snap-1")
    assert not ledger.owns(state, "sim:1", "disk", "snap-1")


def test_intending_again_does_not_forget_that_it_exists(state: State) -> None:
    record(state)
    settle(state, LedgerState.PRESENT)
    record(state)
    assert [e.state for e in ledger.entries(state)] == [LedgerState.PRESENT]


def test_an_id_used_again_after_removal_belongs_to_the_new_token(state: State) -> None:
    record(state)
    settle(state, LedgerState.REMOVED)
    record(state, token="ferry.r2.A.snapshot", run="r2")
    assert [(e.token, e.state) for e in ledger.entries(state)] == [
        ("ferry.r2.A.snapshot", LedgerState.INTENDED)
    ]


def test_settling_what_is_not_there_says_so(state: State) -> None:
    assert not settle(state, LedgerState.REMOVED)


def keep(state: State, *args: Any, **options: Any) -> Evidence:
    with state.write() as connection:
        return evidence.put(connection, *args, **options)


def test_evidence_comes_back_as_what_it_was(state: State) -> None:
    facts = server_facts()
    stored = keep(state, "r1", "A", "facts-source", facts, NOW)
    assert evidence.read(state, "r1", "A", "facts-source", ServerFacts) == facts
    assert evidence.latest(state, "r1", "A", "facts-source") == stored
    assert evidence.newest_of_host(state, "A", "facts-source") == stored


def test_the_newest_evidence_counts_and_the_older_stays(state: State) -> None:
    keep(state, "r1", "A", "facts-source", server_facts(), NOW)
    newer = server_facts(shares=())
    keep(state, "r1", "A", "facts-source", newer, NOW)
    keep(state, "r1", "A", "facts-source", newer, NOW)
    assert evidence.read(state, "r1", "A", "facts-source", ServerFacts) == newer
    assert len(evidence.of_run(state, "r1")) == 2


def test_captures_are_never_overwritten(state: State) -> None:
    before = [NicCapture(key="a", nic=a_nic(), restore="first")]
    keep(state, "r1", "A", "captures", before, NOW, once=True)
    keep(state, "r1", "A", "captures", [], NOW, once=True)
    found = evidence.read(state, "r1", "A", "captures", tuple[NicCapture, ...])
    assert found is not None
    assert found[0].restore == "first"


def test_edited_evidence_is_not_used(state: State) -> None:
    keep(state, "r1", "A", "facts-source", server_facts(), NOW)
    with state.write() as connection:
        connection.execute(evidence_table.update().values(body="{}"))
    with pytest.raises(evidence.EvidenceDamaged, match="does not match its SHA-256"):
        evidence.latest(state, "r1", "A", "facts-source")


def test_one_person_counts_once_however_the_name_is_written(state: State) -> None:
    approvals.record(state, "d", "Ann Lee", NOW, "fine")
    again = approvals.record(state, "d", "  ann   LEE ", NOW)
    assert again.comment == "fine"
    assert len(approvals.of_digest(state, "d")) == 1


def test_the_authors_own_approval_does_not_count(state: State) -> None:
    for name in ("infra-ops", "Bob"):
        approvals.record(state, "d", name, NOW)
    found = approvals.counting(approvals.of_digest(state, "d"), "Infra-Ops")
    assert [a.name for a in found] == ["Bob"]


def test_an_approval_is_of_one_digest_only(state: State) -> None:
    approvals.record(state, "d", "Bob", NOW)
    assert approvals.of_digest(state, "e") == ()


def test_nobody_cannot_approve(state: State) -> None:
    with pytest.raises(Refused) as refused:
        approvals.record(state, "d", "  ", NOW)
    assert refused.value.code == "no-name"
