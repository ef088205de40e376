"""Endpoints are looked at while the engine starts: once, only with permission, and never in place of a host's
own look where that early one is old or failed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.changeset.store import digest
from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.diagnostics import Refused
from orchestrator.engine import api
from orchestrator.engine.runtime import Engine
from orchestrator.engine.state import open_state
from orchestrator.history import HostStatus, RunStatus
from orchestrator.model.plan import ChangeRequest
from providers.simulated import provider
from tests.engine import kit
from tests.engine.kit import Site, carry_out
from tests.engine.test_runs import BARE


class Watched:
    """The simulated provider; notes each opening and which machines are asked for. The first openings fail as
    `faults` say."""

    def __init__(self, *faults: ErrorKind) -> None:
        self.opened = 0
        self.asked: list[tuple[str, ...]] = []
        self._faults = list(faults)

    def open(self, *args: Any) -> Any:
        self.opened += 1
        if self._faults:
            raise ProviderError(self._faults.pop(0), "vCenter does not let us in")
        adapter = provider.open(*args)
        inventory = adapter.inventory
        machines = inventory.machines

        def noted(names: Any = None) -> Any:
            self.asked.append(tuple(names))
            return machines(names)

        inventory.machines = noted
        return adapter


def early(tmp_path: Path, watched: Watched, changes: Any) -> Any:
    """Carry a change set out as the command does: look early, launch, run."""
    state = open_state(f"sqlite:///{tmp_path}/state.db", kit.clock)
    try:
        engine = Engine(kit.runtime(state, providers={"simulated": watched}, sleep=lambda _: None))
        api.look_early(engine, changes, digest(changes), now=kit.clock())
        with engine:
            return carry_out(engine, changes)
    finally:
        state.close()


def test_hosts_that_begin_share_one_look_and_later_ones_look_for_themselves(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.engine.runtime._SAME_MOMENT", 60.0)
    watched, changes = Watched(), site.fleet([f"FILE{n:02}" for n in range(4)], **BARE)
    assert early(tmp_path, watched, changes).status is RunStatus.DONE
    ids = [h.source.ref.id for h in changes.hosts]
    assert watched.opened == 1
    assert watched.asked[0] == tuple(ids[: site.max_parallel])
    alone = [names for names in watched.asked[1:] if len(names) == 1]
    assert {ids[0], ids[1]}.isdisjoint(name for (name,) in alone)
    assert {ids[2], ids[3]} == {name for (name,) in alone}


def test_an_early_look_that_is_old_is_no_look(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.engine.runtime._SAME_MOMENT", -1.0)
    watched, changes = Watched(), site.fleet(["FILE01"], **BARE)
    assert early(tmp_path, watched, changes).status is RunStatus.DONE
    (ref,) = [h.source.ref.id for h in changes.hosts]
    assert watched.asked.count((ref,)) > 1


def test_a_machine_that_changed_before_the_early_look_is_refused(site: Site, tmp_path: Path) -> None:
    changes = site.fleet(["FILE01"], **BARE)
    with site.world.edit() as centre:
        next(iter(centre.machines.values())).nics.clear()
    watched = Watched()
    (host,) = early(tmp_path, watched, changes).hosts
    assert (host.status, host.code) == (HostStatus.REFUSED, "stale")


def test_without_permission_no_endpoint_hears_of_it(site: Site, tmp_path: Path) -> None:
    site.add("file01")
    plan = site.plan([site.host("FILE01", **BARE)], change=ChangeRequest(approvals=1))
    watched = Watched()
    with pytest.raises(Refused) as caught:
        early(tmp_path, watched, site.preview(plan))
    assert (caught.value.code, watched.opened) == ("not-approved", 0)


def test_an_endpoint_that_was_busy_early_is_asked_again_by_the_hosts(site: Site, tmp_path: Path) -> None:
    watched, changes = Watched(ErrorKind.TRANSIENT), site.fleet(["FILE01"], **BARE)
    assert early(tmp_path, watched, changes).status is RunStatus.DONE
    assert watched.opened == 2


def test_a_refused_login_is_tried_once_however_many_hosts_there_are(site: Site, tmp_path: Path) -> None:
    names = [f"FILE{n:02}" for n in range(6)]
    watched, changes = Watched(*[ErrorKind.DENIED] * 20), site.fleet(names, **BARE)
    record = early(tmp_path, watched, changes)
    assert watched.opened == 1
    told = [host.message for host in record.hosts if host.status is HostStatus.FAILED]
    assert told
    assert all("does not let us in" in (text or "") for text in told)
