"""Waves, dependencies, phases and limits as pure decisions."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.changeset.changes import ChangeSet, HostChange, Kind, ObservedEndpoint
from orchestrator.changeset.steps import apply_steps
from orchestrator.engine import schedule
from orchestrator.engine.runtime import MAX_PARALLEL
from orchestrator.history import HostStatus
from orchestrator.model.endpoint import EndpointInfo, EndpointSettings
from orchestrator.model.plan import ChangeRequest
from tests.unit.builders import NOW, a_host_plan, a_machine, a_target

DONE, FAILED, WAITING = HostStatus.DONE, HostStatus.FAILED, HostStatus.WAITING


def host(name: str, **changes: Any) -> HostChange:
    plan = a_host_plan(name, **changes)
    source = a_machine(name.lower())
    return HostChange(plan=plan, source=source, steps=apply_steps(plan, source, None))


def an_endpoint(name: str = "lab", identity: str = "sim:1", max_parallel: int = 2) -> ObservedEndpoint:
    return ObservedEndpoint(
        settings=EndpointSettings(name=name, provider="simulated", max_parallel=max_parallel),
        info=EndpointInfo(identity=identity, product="simulation", version="1"),
    )


def change_set(*hosts: HostChange, **changes: Any) -> ChangeSet:
    fields: dict[str, Any] = {
        "kind": Kind.APPLY,
        "name": "n",
        "owner": "o",
        "plan_path": "p",
        "plan_sha256": "s",
        "change": ChangeRequest(),
        "created_at": NOW,
        "endpoints": (an_endpoint(),),
        "hosts": hosts,
        "waves": tuple(dict.fromkeys(h.plan.wave for h in hosts)),
        "stop_wave_after": 1,
    }
    return ChangeSet(**fields | changes)


def test_hosts_come_after_what_they_depend_on_within_the_wave() -> None:
    changes = change_set(
        host("C", depends_on=("A", "B")), host("B", depends_on=("A",)), host("A"), host("D", wave="late")
    )
    assert schedule.levels(changes, "canary") == (("A",), ("B",), ("C",))


def test_a_dependency_in_an_earlier_wave_makes_no_level() -> None:
    changes = change_set(host("A"), host("B", wave="late", depends_on=("A",)))
    assert schedule.levels(changes, "late") == (("B",),)


def test_the_next_wave_waits_for_every_host_of_the_one_before() -> None:
    changes = change_set(host("A"), host("B"), host("C", wave="late"), stop_wave_after=9)
    late = changes.hosts[2]
    assert schedule.why_not(changes, late, {"A": DONE, "B": DONE, "C": WAITING}) is None
    reason = schedule.why_not(changes, late, {"A": DONE, "B": FAILED, "C": WAITING})
    assert reason == "wave canary is not done: B"


def test_a_host_does_not_begin_without_its_dependencies() -> None:
    changes = change_set(host("A"), host("B", depends_on=("A",)), stop_wave_after=9)
    reason = schedule.why_not(changes, changes.hosts[1], {"A": FAILED, "B": WAITING})
    assert reason == "it depends on A, which did not succeed"


@pytest.mark.parametrize(
    ("limit", "failures", "stopped"), [(1, 0, False), (1, 1, True), (2, 1, False), (2, 2, True)]
)
def test_a_wave_stops_after_so_many_failures(limit: int, failures: int, stopped: bool) -> None:
    changes = change_set(host("A"), host("B"), host("C"), stop_wave_after=limit)
    found = list("ABC")[:failures]
    assert (schedule.wave_stopped(changes, "canary", found) is not None) == stopped


def test_one_endpoint_is_one_phase() -> None:
    only = host("A")
    found = schedule.phases(change_set(only), only, MAX_PARALLEL)
    assert [(p.first, p.last, p.limit) for p in found] == [(0, len(only.steps) - 1, 2)]


def test_steps_of_the_target_run_on_the_targets_endpoint() -> None:
    only = host("A", target=a_target("an", endpoint="other"))
    endpoints = (an_endpoint(), an_endpoint("other", "sim:2", 5))
    found = schedule.phases(change_set(only, endpoints=endpoints), only, MAX_PARALLEL)
    kinds = [[s.kind.value for s in only.steps[p.first : p.last + 1]] for p in found]
    assert [p.identity for p in found] == ["sim:1", "sim:2", "sim:1"]
    assert [p.limit for p in found] == [2, 5, 2]
    assert kinds[1] == ["stage", "inventory-target"]
    assert kinds[2] == ["parity", "release-claim"]


def test_two_names_of_one_endpoint_share_the_stricter_limit() -> None:
    endpoints = (an_endpoint(max_parallel=8), an_endpoint("again", "sim:1", 3))
    changes = change_set(host("A"), endpoints=endpoints)
    assert schedule.limit_of(changes, "sim:1", MAX_PARALLEL) == 3


@pytest.mark.parametrize(("asked", "given"), [(0, 1), (1, 1), (16, 16), (500, 16)])
def test_limits_stay_within_what_there_are_queues_for(asked: int, given: int) -> None:
    changes = change_set(host("A"), endpoints=(an_endpoint(max_parallel=asked),))
    assert schedule.limit_of(changes, "sim:1", MAX_PARALLEL) == given
