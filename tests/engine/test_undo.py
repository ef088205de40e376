"""The way back, also of half-finished runs: the world is as it was, writes are kept, foreign things stay."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.changeset.store import digest
from orchestrator.contract.errors import ProviderError
from orchestrator.contract.provider import ObjectKind
from orchestrator.diagnostics import Refused
from orchestrator.engine import api, approvals, evidence, journal, ledger, upkeep
from orchestrator.engine.runtime import Engine
from orchestrator.engine.undoable import undoable
from orchestrator.history import HostStatus, RunStatus
from orchestrator.model.facts import ServerFacts
from orchestrator.model.machine import Claim
from orchestrator.model.plan import ChangeRequest, Window
from orchestrator.parity.result import Verdict
from providers.simulated import FaultKind, FaultRule
from tests.engine import kit
from tests.engine.kit import Site, carry_out, clock, undo_of
from tests.engine.test_runs import BARE, machine, the_host
from tests.unit.builders import new_facts


def picture(site: Site) -> Any:
    """The whole world but for what is allowed to differ: nothing."""
    return site.world.read().model_dump(mode="json", exclude={"faults"})


def test_undo_gives_the_world_back(engine: Engine, site: Site) -> None:
    changes = site.fleet(["FILE01", "FILE02"])
    before = picture(site)
    run = carry_out(engine, changes).run
    assert picture(site) != before
    undo = carry_out(engine, undo_of(engine, run, delete_disks=True))
    assert undo.status is RunStatus.DONE, undo
    assert picture(site) == before
    assert ledger.entries(engine.runtime.state, run=run, there=True) == ()
    assert journal.verify(engine.runtime.state, undo.run) == ()


def test_writes_since_the_snapshot_are_kept(engine: Engine, site: Site) -> None:
    run = carry_out(engine, site.fleet(["FILE01"])).run
    overlay = Path(machine(site, "file01").disks[0].chain[0])
    content = bytearray(overlay.read_bytes())
    content[1000:1005] = b"wrote"
    overlay.write_bytes(content)
    carry_out(engine, undo_of(engine, run))
    chain = machine(site, "file01").disks[0].chain
    assert len(chain) == 1
    assert Path(chain[0]).read_bytes()[1000:1005] == b"wrote"


def test_the_targets_disks_are_kept_by_default(engine: Engine, site: Site) -> None:
    run = carry_out(engine, site.fleet(["FILE01"])).run
    disk = Path(machine(site, "file01n").disks[0].chain[0])
    carry_out(engine, undo_of(engine, run))
    assert site.world.read().by_name("file01n") is None
    assert disk.exists()
    kept = ledger.entries(engine.runtime.state, run=run, there=True)
    assert [(e.kind, e.object_id) for e in kept] == [(ObjectKind.DISK, str(disk))]
    _, left = undoable(engine.runtime.state, run)
    assert left["FILE01"].empty
    assert carry_out(engine, undo_of(engine, run, delete_disks=True)).status is RunStatus.DONE
    assert not disk.exists()


@pytest.mark.parametrize(
    "operation",
    [
        "ensure_snapshot",
        "ensure_network",
        "ensure_isolated",
        "copy_disk",
        "make_medium",
        "ensure_target",
        "ensure_power",
    ],
)
def test_a_half_finished_run_is_taken_back(engine: Engine, site: Site, operation: str) -> None:
    changes = site.fleet(["FILE01"])
    before = picture(site)
    site.world.add_fault(FaultRule(operation=operation, kind=FaultKind.BEFORE))
    record = carry_out(engine, changes)
    assert record.status is RunStatus.FAILED, "the fault was not met"
    undo = carry_out(engine, undo_of(engine, record.run, delete_disks=True))
    assert undo.status is RunStatus.DONE, the_host(undo) if undo.hosts else undo
    after = picture(site)
    if not undo.hosts:  # nothing was ever changed but the claim
        held = machine(site, "file01").claim
        assert held is not None
        after["machines"][machine(site, "file01").id]["claim"] = None
    assert after == before


def test_a_target_that_was_changed_inside_is_not_destroyed(
    engine: Engine, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = carry_out(engine, site.fleet(["FILE01"])).run
    installed = new_facts(shares=())
    monkeypatch.setattr(kit, "new_facts", lambda: installed)
    record = carry_out(engine, undo_of(engine, run))
    host = the_host(record)
    assert (host.status, host.code) == (HostStatus.REFUSED, "target-changed")
    assert "shares" in host.message
    assert machine(site, "file01n").snapshots == []
    assert [nic.now.network for nic in machine(site, "file01").nics] == ["network:quarantine"]
    again = carry_out(engine, undo_of(engine, run, destroy_targets=True))
    assert again.status is RunStatus.DONE, again
    assert site.world.read().by_name("file01n") is None
    assert machine(site, "file01").claim is None


def test_a_target_whose_definition_was_changed_is_not_destroyed(engine: Engine, site: Site) -> None:
    run = carry_out(engine, site.fleet(["FILE01"])).run
    with site.world.edit() as centre:
        next(m for m in centre.machines.values() if m.name == "file01n").cpus = 8
    host = the_host(carry_out(engine, undo_of(engine, run)))
    assert (host.status, host.code) == (HostStatus.REFUSED, "target-changed")
    assert "definition" in host.message


def test_an_interrupted_inventory_of_the_target_leaves_no_snapshot_behind(engine: Engine, site: Site) -> None:
    changes = site.fleet(["FILE01"])
    site.world.add_fault(
        FaultRule(operation="ensure_snapshot_removed", kind=FaultKind.BEFORE, machine="file01n")
    )
    record = carry_out(engine, changes)
    assert len(machine(site, "file01n").snapshots) == 1
    assert carry_out(engine, undo_of(engine, record.run)).status is RunStatus.DONE
    assert site.world.read().by_name("file01n") is None


def test_a_network_that_somebody_uses_stays(engine: Engine, site: Site) -> None:
    run = carry_out(engine, site.fleet(["FILE01"])).run
    site.world.add_machine("guest", networks=["quarantine"])
    assert carry_out(engine, undo_of(engine, run)).status is RunStatus.DONE
    assert sorted(site.world.read().networks) == ["prod", "quarantine"]


def test_a_network_that_was_there_before_stays(engine: Engine, site: Site) -> None:
    site.world.add_network("staging")
    run = carry_out(engine, site.fleet(["FILE01"])).run
    carry_out(engine, undo_of(engine, run))
    assert sorted(site.world.read().networks) == ["prod", "staging"]


def test_taking_back_twice_does_not_undo_what_people_did_since(engine: Engine, site: Site) -> None:
    run = carry_out(engine, site.fleet(["FILE01"])).run
    carry_out(engine, undo_of(engine, run))
    assert undo_of(engine, run).hosts == ()


def test_a_run_that_was_taken_back_is_not_resumed(engine: Engine, site: Site) -> None:
    changes = site.fleet(["FILE01"])
    site.world.add_fault(FaultRule(operation="ensure_target", kind=FaultKind.BEFORE))
    record = carry_out(engine, changes)
    undo = carry_out(engine, undo_of(engine, record.run))
    with pytest.raises(Refused) as refused:
        api.resume(engine, record.run, now=clock())
    assert refused.value.code == "undone"
    assert undo.run in refused.value.message


def test_another_runs_claim_is_not_taken_over_by_an_undo(engine: Engine, site: Site) -> None:
    run = carry_out(engine, site.fleet(["FILE01"])).run
    with site.world.edit() as centre:
        held = next(m for m in centre.machines.values() if m.name == "file01")
        held.claim = Claim(run="r-other", digest="d", state_id="another state")
    host = the_host(carry_out(engine, undo_of(engine, run)))
    assert (host.status, host.code) == (HostStatus.REFUSED, "claimed")


def test_a_failed_undo_is_followed_by_another_one(engine: Engine, site: Site) -> None:
    changes = site.fleet(["FILE01"])
    before = picture(site)
    run = carry_out(engine, changes).run
    site.world.add_fault(FaultRule(operation="isolation.ensure_released", kind=FaultKind.BEFORE, times=1))
    failed = carry_out(engine, undo_of(engine, run, delete_disks=True))
    assert failed.status is RunStatus.FAILED, failed
    assert carry_out(engine, undo_of(engine, run, delete_disks=True)).status is RunStatus.DONE
    assert picture(site) == before


def test_exposing_a_server_again_after_the_window_needs_an_approval(engine: Engine, site: Site) -> None:
    site.add("file01")
    window = Window(opens=clock() - timedelta(hours=1), closes=clock() + timedelta(hours=1), timezone="UTC")
    plan = site.plan([site.host("FILE01")], change=ChangeRequest(window=window))
    run = carry_out(engine, site.preview(plan)).run
    undo = undo_of(engine, run)
    late = clock() + timedelta(hours=2)
    assert api.approvals_needed(undo, clock()) == 0
    assert api.approvals_needed(undo, late) == 1
    with pytest.raises(Refused) as refused:
        api.start_run(engine, undo, digest(undo), now=late)
    assert refused.value.code == "not-approved"
    approvals.record(engine.runtime.state, digest(undo), "Ann", late)
    again = api.start_run(engine, undo, digest(undo), now=late)
    assert api.wait_run(engine.runtime.state, again).status is RunStatus.DONE


def test_one_host_can_be_released_alone(engine: Engine, site: Site) -> None:
    run = carry_out(engine, site.fleet(["FILE01", "FILE02"])).run
    undo = carry_out(engine, undo_of(engine, run, hosts=("FILE01",), only_release=True))
    assert undo.status is RunStatus.DONE
    assert [nic.now.network for nic in machine(site, "file01").nics] == ["network:prod"]
    assert [nic.now.network for nic in machine(site, "file02").nics] == ["network:quarantine"]
    assert len(machine(site, "file01").snapshots) == 1
    assert machine(site, "file01n") is not None


# Single deeds ---------------------------------------------------------------------------------------------


def test_parity_is_looked_at_again_without_touching_the_baseline(
    engine: Engine, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    less, full = new_facts(shares=()), new_facts()
    monkeypatch.setattr(kit, "new_facts", lambda: less)
    run = carry_out(engine, site.fleet(["FILE01"])).run
    assert upkeep.refresh_parity(engine, run, "FILE01").verdict is Verdict.FAIL
    monkeypatch.setattr(kit, "new_facts", lambda: full)
    assert upkeep.refresh_parity(engine, run, "FILE01").verdict is Verdict.PASS
    assert machine(site, "file01n").snapshots == []
    assert journal.verify(engine.runtime.state, run) == ()


def unremovable(site: Site) -> None:
    """Let the next removal of a snapshot of the target fail: what a process leaves that dies before it."""
    rule = FaultRule(operation="ensure_snapshot_removed", kind=FaultKind.BEFORE, machine="file01n", times=1)
    site.world.add_fault(rule)


def test_what_a_refresh_that_died_has_left_is_not_what_the_next_one_reads(engine: Engine, site: Site) -> None:
    run = carry_out(engine, site.fleet(["FILE01"])).run
    unremovable(site)
    with pytest.raises(ProviderError):
        upkeep.refresh_parity(engine, run, "FILE01")
    assert len(machine(site, "file01n").snapshots) == 1
    kit.write_disk(Path(machine(site, "file01n").disks[0].chain[0]), "vista")
    upkeep.refresh_parity(engine, run, "FILE01")
    facts = evidence.read(engine.runtime.state, run, "FILE01", "facts-refresh", ServerFacts)
    assert facts is not None
    assert facts.identity.product_type == "workstation"
    assert machine(site, "file01n").snapshots == []


def test_an_inventory_that_an_undo_has_left_neither_counts_as_a_change_nor_hides_one(
    engine: Engine, site: Site
) -> None:
    run = carry_out(engine, site.fleet(["FILE01"])).run
    unremovable(site)
    assert "inventory cannot be taken" in the_host(carry_out(engine, undo_of(engine, run))).message
    disk = Path(machine(site, "file01n").disks[0].chain[0])
    staged = disk.read_bytes()
    kit.write_disk(disk, "vista")
    host = the_host(carry_out(engine, undo_of(engine, run)))
    assert (host.status, host.code) == (HostStatus.REFUSED, "target-changed")
    assert "identity" in host.message
    Path(machine(site, "file01n").disks[0].chain[0]).write_bytes(staged)
    assert carry_out(engine, undo_of(engine, run)).status is RunStatus.DONE
    assert site.world.read().by_name("file01n") is None


def observed(site: Site) -> Any:
    changes = site.preview(site.plan([site.host("FILE01", **BARE)]))
    return changes.endpoints[0], changes.hosts[0].source


def test_a_dead_claim_is_broken_and_stands_in_the_journal(engine: Engine, site: Site) -> None:
    site.add("file01")
    with site.world.edit() as centre:
        next(iter(centre.machines.values())).claim = Claim(run="r-dead", digest="d", state_id="gone")
    endpoint, found = observed(site)
    wrong = found.claim.model_copy(update={"generation": 7})
    with pytest.raises(ProviderError, match="not the claim"):
        upkeep.break_claim(engine, endpoint, found, wrong, by="ann", reason="state lost")
    upkeep.break_claim(engine, endpoint, found, found.claim, by="ann", reason="state lost")
    assert machine(site, "file01").claim is None
    assert journal.verify(engine.runtime.state, upkeep.CLAIMS) == ()


def test_a_claim_of_a_run_that_goes_on_is_not_broken(engine: Engine, site: Site) -> None:
    changes = site.fleet(["FILE01"], **BARE)
    run = kit.start(engine, changes)
    api.pause(engine.runtime.state, run, clock())
    endpoint, found = observed(site)
    mine = Claim(run=run, digest=digest(changes), state_id=engine.runtime.state.state_id)
    with pytest.raises(Refused) as refused:
        upkeep.break_claim(engine, endpoint, found, mine, by="ann", reason="impatient")
    assert refused.value.code == "alive"
    api.resume(engine, run, now=clock())
    api.wait_run(engine.runtime.state, run)
