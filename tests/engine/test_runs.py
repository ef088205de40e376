"""Whole runs on the simulated provider: what is done, recorded, refused, mended."""

from __future__ import annotations

import json
import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from dbos import DBOS

from orchestrator.changeset.changes import ChangeSet, StepKind
from orchestrator.changeset.store import digest
from orchestrator.contract.errors import ErrorKind
from orchestrator.diagnostics import Refused
from orchestrator.engine import api, approvals, evidence, journal, ledger, workflows
from orchestrator.engine.actions import ACTIONS
from orchestrator.engine.runtime import Engine
from orchestrator.history import HostStatus, LedgerState, RunRecord, RunStatus
from orchestrator.model.machine import Claim
from orchestrator.model.plan import ChangeRequest, ParitySpec, Window
from providers.simulated import FaultKind, FaultRule
from tests.engine import kit
from tests.engine.kit import Site, carry_out, clock, start, until
from tests.unit.builders import new_facts

BARE: dict[str, Any] = {"isolation": None, "target": None, "parity": None}
"""A host that is only claimed, snapshotted and looked at."""


def statuses(record: RunRecord) -> dict[str, str]:
    return {h.host: h.status.value for h in record.hosts}


def the_host(record: RunRecord, name: str = "FILE01") -> Any:
    return next(h for h in record.hosts if h.host == name)


def machine(site: Site, name: str) -> Any:
    found = site.world.read().by_name(name)
    assert found is not None
    return found


def events(engine: Engine, record: RunRecord, host: str = "FILE01") -> list[str]:
    return [e.event for _, e in journal.entries(engine.runtime.state, record.run, host=host)]


# What a run does ------------------------------------------------------------------------------------------


def test_a_run_contains_stages_and_compares(engine: Engine, site: Site) -> None:
    record = carry_out(engine, site.fleet(["FILE01", "FILE02"]))
    assert record.status is RunStatus.DONE
    assert [s.step for s in the_host(record).steps] == [
        "preflight", "claim", "snapshot", "identify", "inventory", "isolate", "verify",
        "stage", "inventory-target", "parity", "release-claim",
    ]  # fmt: skip
    for name in ("file01", "file02"):
        old, new = machine(site, name), machine(site, f"{name}n")
        assert [nic.now.network for nic in old.nics] == ["network:quarantine"]
        assert len(old.snapshots) == 1
        assert old.claim is None
        assert new.power.value == "on"
        assert new.snapshots == []
        assert new.medium is None


def test_everything_is_recorded_and_the_journal_holds(engine: Engine, site: Site) -> None:
    record = carry_out(engine, site.fleet(["FILE01"]))
    state = engine.runtime.state
    assert journal.verify(state, record.run) == ()
    assert record.head == journal.head(state, record.run) != ""
    kinds = {e.kind for e in evidence.of_run(state, record.run)}
    assert kinds == {"snapshot", "facts-source", "captures", "isolation", "staged", "facts-target", "parity"}
    there = {e.kind for e in ledger.entries(state, run=record.run, there=True)}
    assert there == {"snapshot", "disk", "network", "vm"}
    gone = {e.kind for e in ledger.entries(state, run=record.run) if e.state is LedgerState.REMOVED}
    assert gone == {"claim", "medium", "snapshot", "disk"}


def test_every_step_kind_has_an_action() -> None:
    assert set(ACTIONS) == set(StepKind)


def test_the_password_is_nowhere_in_the_state(engine: Engine, site: Site) -> None:
    carry_out(engine, site.fleet(["FILE01"]))
    path = engine.runtime.state.path
    assert path is not None
    for file in path.parent.rglob("*"):
        assert not file.is_file() or kit.PASSWORD.encode() not in file.read_bytes()


# Order ----------------------------------------------------------------------------------------------------


def begun(engine: Engine, run: str) -> list[str]:
    return [e.host for _, e in journal.entries(engine.runtime.state, run) if e.event == "host-started"]


def ordered(site: Site, **changes: Any) -> ChangeSet:
    for name in ("a", "b", "c"):
        site.add(name)
    hosts = [
        site.host("C", wave="late", **BARE),
        site.host("B", depends_on=("A",), **BARE),
        site.host("A", **BARE),
    ]
    return site.preview(site.plan(hosts, waves=("canary", "late"), **changes))


def test_waves_and_dependencies_give_the_order(engine: Engine, site: Site) -> None:
    record = carry_out(engine, ordered(site))
    assert record.status is RunStatus.DONE
    assert begun(engine, record.run) == ["A", "B", "C"]


def test_a_failure_keeps_what_depends_on_it_and_the_next_wave_from_beginning(
    engine: Engine, site: Site
) -> None:
    changes = ordered(site, stop_wave_after=5)
    site.world.add_fault(FaultRule(operation="ensure_snapshot", kind=FaultKind.BEFORE, machine="a"))
    record = carry_out(engine, changes)
    assert statuses(record) == {"A": "failed", "B": "skipped", "C": "skipped"}
    assert "depends on A" in the_host(record, "B").message
    assert "wave canary is not done" in the_host(record, "C").message
    assert begun(engine, record.run) == ["A"]


def test_a_wave_begins_no_more_hosts_after_so_many_failures(engine: Engine, site: Site) -> None:
    site.max_parallel = 1
    names = [f"H{n}" for n in range(6)]
    for name in names:
        site.add(name.lower())
    plan = site.plan([site.host(n, **BARE) for n in names], stop_wave_after=2)
    changes = site.preview(plan)
    site.world.add_fault(FaultRule(operation="ensure_snapshot", kind=FaultKind.BEFORE, times=None))
    record = carry_out(engine, changes)
    found = sorted(statuses(record).values())
    assert found == ["failed"] * 2 + ["skipped"] * 4
    assert len(begun(engine, record.run)) == 2


# Disturbed runs -------------------------------------------------------------------------------------------

UNCERTAIN = [
    "ensure_claim", "ensure_snapshot", "ensure_network", "ensure_isolated", "ensure_target", "ensure_power",
    "ensure_medium_removed", "ensure_snapshot_removed", "claims.ensure_released",
]  # fmt: skip


@pytest.mark.parametrize("operation", UNCERTAIN)
def test_a_lost_reply_is_reconciled_and_nothing_is_made_twice(
    engine: Engine, site: Site, operation: str
) -> None:
    changes = site.fleet(["FILE01"])
    site.world.add_fault(FaultRule(operation=operation, kind=FaultKind.AFTER))
    record = carry_out(engine, changes)
    assert record.status is RunStatus.DONE, the_host(record)
    assert events(engine, record).count("reconcile") == 1
    centre = site.world.read()
    assert sorted(m.name for m in centre.machines.values()) == ["file01", "file01n"]
    assert sorted(centre.networks) == ["prod", "quarantine", "staging"]
    assert len(machine(site, "file01").snapshots) == 1
    assert centre.faults == [] or centre.faults[0].times == 0


def test_a_reply_lost_again_and_again_ends_in_a_failure_that_says_so(engine: Engine, site: Site) -> None:
    changes = site.fleet(["FILE01"], **BARE)
    fault = FaultRule(
        operation="ensure_snapshot", kind=FaultKind.BEFORE, error=ErrorKind.UNCERTAIN, times=None
    )
    site.world.add_fault(fault)
    record = carry_out(engine, changes)
    assert the_host(record).code == "uncertain"
    assert events(engine, record).count("reconcile") == 3


def test_a_busy_endpoint_is_read_again(engine: Engine, site: Site) -> None:
    changes = site.fleet(["FILE01"])
    busy = FaultRule(
        operation="inventory.machines", kind=FaultKind.BEFORE, error=ErrorKind.TRANSIENT, times=2
    )
    site.world.add_fault(busy)
    assert carry_out(engine, changes).status is RunStatus.DONE


@pytest.mark.parametrize("operation", ["ensure_snapshot", "ensure_isolated", "ensure_target", "ensure_power"])
def test_a_failed_host_stays_claimed_and_a_resume_finishes_it(
    engine: Engine, site: Site, operation: str
) -> None:
    changes = site.fleet(["FILE01", "FILE02"])
    site.world.add_fault(FaultRule(operation=operation, kind=FaultKind.BEFORE, machine=_of(operation)))
    record = carry_out(engine, changes)
    failed = next(h for h in record.hosts if h.status is HostStatus.FAILED)
    assert f"ferry run resume {record.run}" in failed.hint
    held = machine(site, failed.host.lower()).claim
    assert held is not None
    assert held.run == record.run
    api.resume(engine, record.run, now=clock())
    again = api.wait_run(engine.runtime.state, record.run)
    assert again.status is RunStatus.DONE, again
    centre = site.world.read()
    assert sorted(m.name for m in centre.machines.values()) == ["file01", "file01n", "file02", "file02n"]
    assert [len(m.snapshots) for m in centre.machines.values()].count(1) == 2
    assert journal.verify(engine.runtime.state, record.run) == ()


def _of(operation: str) -> str:
    return "" if operation in ("ensure_target", "ensure_power") else "file01"


def before_step(monkeypatch: pytest.MonkeyPatch, kind: StepKind, deed: Any) -> None:
    """Let somebody do something just before a step."""
    action = ACTIONS[kind]
    monkeypatch.setitem(ACTIONS, kind, lambda job: (deed(), action(job))[1])  # type: ignore[arg-type]


def test_an_isolation_that_does_not_hold_fails_the_host_which_stays_isolated(
    engine: Engine, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def give_uplink() -> None:
        with site.world.edit() as centre:
            centre.networks["quarantine"].uplink = "eth0"

    before_step(monkeypatch, StepKind.VERIFY, give_uplink)
    host = the_host(carry_out(engine, site.fleet(["FILE01"])))
    assert (host.status, host.code) == (HostStatus.FAILED, "not-isolated")
    assert "stays as isolated as it is" in host.hint
    assert [nic.now.network for nic in machine(site, "file01").nics] == ["network:quarantine"]


def test_a_machine_deleted_in_mid_run_ends_in_a_clear_message(
    engine: Engine, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def delete() -> None:
        with site.world.edit() as centre:
            gone = next(m for m in centre.machines.values() if m.name == "file01")
            del centre.machines[gone.id]

    before_step(monkeypatch, StepKind.ISOLATE, delete)
    record = carry_out(engine, site.fleet(["FILE01"]))
    host = the_host(record)
    assert (host.status, host.code) == (HostStatus.FAILED, "not-found")
    assert "file01" in host.message
    assert journal.verify(engine.runtime.state, record.run) == ()


def test_an_endpoint_that_is_down_fails_the_host_and_a_resume_goes_on(engine: Engine, site: Site) -> None:
    changes = site.fleet(["FILE01"])
    site.world.add_fault(FaultRule(operation="*", kind=FaultKind.DOWN, times=None, skip=12))
    record = carry_out(engine, changes)
    assert record.status is RunStatus.FAILED
    with site.world.edit() as centre:
        centre.faults.clear()
    api.resume(engine, record.run, now=clock())
    assert api.wait_run(engine.runtime.state, record.run).status is RunStatus.DONE


def test_a_bug_in_an_action_is_a_failed_host_and_no_hanging_run(
    engine: Engine, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(_: Any) -> Any:
        raise KeyError("boom")

    monkeypatch.setitem(ACTIONS, StepKind.INVENTORY, explode)  # type: ignore[arg-type]
    host = the_host(carry_out(engine, site.fleet(["FILE01"], **BARE)))
    assert (host.status, host.code) == (HostStatus.FAILED, "internal")
    assert "KeyError" in host.message


# Refused --------------------------------------------------------------------------------------------------


def refused_code(engine: Engine, changes: ChangeSet, **options: Any) -> str:
    fields = {"expected": digest(changes), "now": clock()} | options
    with pytest.raises(Refused) as refused:
        api.start_run(engine, changes, **fields)
    return refused.value.code


def test_a_digest_that_does_not_match_is_refused(engine: Engine, site: Site) -> None:
    changes = site.fleet(["FILE01"], **BARE)
    assert refused_code(engine, changes, expected="0" * 64) == "digest"


def test_a_change_set_runs_once(engine: Engine, site: Site) -> None:
    changes = site.fleet(["FILE01"], **BARE)
    carry_out(engine, changes)
    assert refused_code(engine, changes) == "already-run"


def in_window(site: Site, opens: int, closes: int, **changes: Any) -> ChangeSet:
    window = Window(
        opens=clock() + timedelta(hours=opens), closes=clock() + timedelta(hours=closes), timezone="UTC"
    )
    site.add("file01")
    request = ChangeRequest(window=window, **changes)
    return site.preview(site.plan([site.host("FILE01")], change=request))


def test_outside_of_the_window_nothing_starts(engine: Engine, site: Site) -> None:
    assert refused_code(engine, in_window(site, 1, 2)) == "window-not-open"


def test_after_the_window_nothing_starts_and_nothing_is_resumed(engine: Engine, site: Site) -> None:
    changes = in_window(site, -2, 1)
    assert refused_code(engine, changes, now=clock() + timedelta(hours=2)) == "window-closed"
    site.world.add_fault(FaultRule(operation="ensure_snapshot", kind=FaultKind.BEFORE))
    record = carry_out(engine, changes)
    with pytest.raises(Refused) as refused:
        api.resume(engine, record.run, now=clock() + timedelta(hours=2))
    assert refused.value.code == "window-closed"


def test_too_few_approvals_are_refused_and_the_owner_does_not_count(engine: Engine, site: Site) -> None:
    site.add("file01")
    plan = site.plan([site.host("FILE01", **BARE)], change=ChangeRequest(approvals=2))
    changes = site.preview(plan)
    for name in ("Ann", "infra-ops"):
        approvals.record(engine.runtime.state, digest(changes), name, clock())
    assert refused_code(engine, changes) == "not-approved"
    approvals.record(engine.runtime.state, digest(changes), "Bob", clock())
    assert carry_out(engine, changes).status is RunStatus.DONE


def test_a_material_change_since_preview_is_refused_and_named(engine: Engine, site: Site) -> None:
    changes = site.fleet(["FILE01"])
    with site.world.edit() as centre:
        nic = next(iter(centre.machines.values())).nics[0]
        nic.config.network = "network:prod2"
        centre.networks["prod2"] = centre.networks["prod"].model_copy(
            update={"name": "prod2", "bridge": "b2"}
        )
        nic.live = nic.config.model_copy()
    record = carry_out(engine, changes)
    host = the_host(record)
    assert (host.status, host.code) == (HostStatus.REFUSED, "stale")
    assert "network:prod2" in host.message
    assert machine(site, "file01").claim is None
    assert machine(site, "file01").snapshots == []


def test_a_machine_that_is_gone_is_refused(engine: Engine, site: Site) -> None:
    changes = site.fleet(["FILE01"])
    with site.world.edit() as centre:
        centre.machines.clear()
    assert the_host(carry_out(engine, changes)).code == "stale"


def test_a_snapshot_of_ours_in_between_is_no_material_change(engine: Engine, site: Site) -> None:
    first = site.fleet(["FILE01"], **BARE)
    second = site.preview(site.plan([site.host("FILE01")]))
    assert carry_out(engine, first).status is RunStatus.DONE
    assert len(machine(site, "file01").snapshots) == 1
    assert carry_out(engine, second).status is RunStatus.DONE


def test_a_snapshot_of_somebody_else_in_between_is_one(engine: Engine, site: Site) -> None:
    other = site.fleet(["FILE01"], **BARE)
    second = site.preview(site.plan([site.host("FILE01")]))
    carry_out(engine, other)
    with site.world.edit() as centre:
        next(m for m in centre.machines.values()).snapshots[0].token = None
    host = the_host(carry_out(engine, second))
    assert host.code == "stale"
    assert "snapshot" in host.message


def test_a_machine_that_another_state_holds_is_refused(engine: Engine, site: Site) -> None:
    changes = site.fleet(["FILE01"])
    with site.world.edit() as centre:
        held = Claim(run="r-other", digest="d", state_id="another state", generation=1)
        next(iter(centre.machines.values())).claim = held
    host = the_host(carry_out(engine, changes))
    assert (host.status, host.code) == (HostStatus.REFUSED, "claimed")
    assert "r-other" in host.message
    assert machine(site, "file01").claim == held
    assert machine(site, "file01").snapshots == []


def test_a_wrong_windows_is_refused_and_nothing_is_left(engine: Engine, site: Site) -> None:
    site.add("file01", content="vista")
    record = carry_out(engine, site.preview(site.plan([site.host("FILE01")])))
    host = the_host(record)
    assert (host.status, host.code) == (HostStatus.REFUSED, "wrong-identity")
    old = machine(site, "file01")
    assert (old.snapshots, old.claim) == ([], None)
    assert [nic.now.network for nic in old.nics] == ["network:prod"]
    assert ledger.entries(engine.runtime.state, run=record.run, there=True) == ()


def test_another_build_than_planned_is_refused(engine: Engine, site: Site) -> None:
    site.add("file01")
    plan = site.plan([site.host("FILE01", expect={"build": 6002, "arch": "x64"})])
    host = the_host(carry_out(engine, site.preview(plan)))
    assert host.code == "wrong-identity"
    assert "expects build 6002" in host.message


def test_what_hinders_is_found_before_anything_is_touched(engine: Engine, site: Site) -> None:
    changes = site.fleet(["FILE01"])
    site.add("file01n")
    host = the_host(carry_out(engine, changes))
    assert (host.status, host.code) == (HostStatus.REFUSED, "hindered")
    assert machine(site, "file01").snapshots == []


def test_a_parity_gate_fails_the_host(engine: Engine, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    less = new_facts(shares=())
    monkeypatch.setattr(kit, "new_facts", lambda: less)
    open_gate = carry_out(engine, site.fleet(["FILE01"], parity=ParitySpec(profile="file-server")))
    assert open_gate.status is RunStatus.DONE
    gate = ParitySpec(profile="file-server", gate=True)
    site.add("file02")
    record = carry_out(engine, site.preview(site.plan([site.host("FILE02", parity=gate)])))
    host = the_host(record, "FILE02")
    assert (host.status, host.code) == (HostStatus.FAILED, "parity-gate")
    assert json.loads(evidence.of_run(engine.runtime.state, record.run)[-1].body)["verdict"] == "fail"


# Pause, cancel, watch -------------------------------------------------------------------------------------


def held_at(monkeypatch: pytest.MonkeyPatch, kind: StepKind) -> tuple[threading.Event, threading.Event]:
    """Hold a run inside a step: (reached, go on)."""
    reached, go_on = threading.Event(), threading.Event()
    before_step(monkeypatch, kind, lambda: (reached.set(), go_on.wait(20)))
    return reached, go_on


def test_a_paused_run_begins_no_step_until_it_is_resumed(
    engine: Engine, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, go_on = held_at(monkeypatch, StepKind.SNAPSHOT)
    state = engine.runtime.state
    run = start(engine, site.fleet(["FILE01"], **BARE))
    assert reached.wait(20)
    api.pause(state, run, clock())
    go_on.set()
    until(lambda: _steps(state, run)[-1] == ("snapshot", "done"))
    time.sleep(0.7)
    assert _steps(state, run)[-1] == ("snapshot", "done")
    assert api.run_record(state, run).status is RunStatus.PAUSED
    api.resume(engine, run, now=clock())
    assert api.wait_run(state, run).status is RunStatus.DONE


def _steps(state: Any, run: str) -> list[tuple[str, str]]:
    return [(s.step, s.status.value) for s in api.run_record(state, run).hosts[0].steps]


def test_a_cancelled_run_ends_before_the_next_step_and_can_be_resumed(
    engine: Engine, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, go_on = held_at(monkeypatch, StepKind.SNAPSHOT)
    state = engine.runtime.state
    run = start(engine, site.fleet(["FILE01", "FILE02"], **BARE, depends_on=()))
    assert reached.wait(20)
    api.cancel(state, run, clock())
    go_on.set()
    record = api.wait_run(state, run)
    assert record.status is RunStatus.CANCELLED
    assert set(statuses(record).values()) == {"cancelled"}
    with pytest.raises(Refused):
        api.cancel(state, run, clock())
    api.resume(engine, run, now=clock())
    assert api.wait_run(state, run).status is RunStatus.DONE


def test_a_watcher_sees_every_event_once_and_in_order(engine: Engine, site: Site) -> None:
    state, seen = engine.runtime.state, []
    run = start(engine, site.fleet(["FILE01", "FILE02"]))
    api.wait_run(state, run, seen.append)
    written = [e for _, e in journal.entries(state, run)]
    # Each once; in order within each chain. Between chains PostgreSQL may show a later number first.
    assert sorted(seen, key=lambda e: (e.host, e.seq)) == sorted(written, key=lambda e: (e.host, e.seq))
    for host in {e.host for e in seen}:
        assert [e.seq for e in seen if e.host == host] == [e.seq for e in written if e.host == host]
    assert seen[0].event == "run-started"
    assert seen[-1].event == "run-ended"


def test_a_done_run_is_not_resumed(engine: Engine, site: Site) -> None:
    record = carry_out(engine, site.fleet(["FILE01"], **BARE))
    with pytest.raises(Refused) as refused:
        api.resume(engine, record.run, now=clock())
    assert refused.value.code == "done"


@pytest.mark.parametrize("lost", ["carry_out", "_await_phase"])
def test_what_dbos_gives_up_fails_its_host_and_can_be_resumed(
    engine: Engine, site: Site, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    def broken(*_: object) -> None:
        message = "nothing fails here"
        raise RuntimeError(message)

    monkeypatch.setattr(workflows, "_LOOK_AGAIN", 0.02)
    with monkeypatch.context() as patch:
        patch.setattr(workflows, lost, broken)
        record = carry_out(engine, site.fleet(["FILE01"], **BARE))
    assert record.status is RunStatus.FAILED
    assert (the_host(record).code, the_host(record).message) == (
        "internal",
        "a workflow ended without an outcome",
    )
    api.resume(engine, record.run, now=clock())
    assert api.wait_run(engine.runtime.state, record.run).status is RunStatus.DONE


def test_a_phase_that_has_ended_is_not_carried_out_again(engine: Engine, site: Site) -> None:
    """A process may die between writing a phase's outcome down and telling DBOS of it."""
    changes = site.fleet(["FILE01"], **BARE)
    site.world.add_fault(FaultRule(operation="ensure_snapshot", kind=FaultKind.BEFORE))
    record = carry_out(engine, changes)
    assert the_host(record).status is HostStatus.FAILED
    before = events(engine, record)
    again = DBOS.fork_workflow(f"{workflows.host_id(record.run, 'FILE01', 1)}/0", 1)
    assert again.get_result() == HostStatus.FAILED.value
    assert events(engine, record) == before
