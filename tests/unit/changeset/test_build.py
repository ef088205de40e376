"""Building a change set: pure, complete, and honest about what it does not know."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.changeset.build import build_change_set
from orchestrator.changeset.changes import ChangeSet, StepKind
from orchestrator.changeset.observe import EndpointView, Observations, observe
from orchestrator.changeset.undo import Undoable, build_undo, reexposes
from orchestrator.diagnostics import InvalidInput
from orchestrator.model.machine import Claim, PowerState
from orchestrator.model.network import Finding, NicCapture
from orchestrator.model.plan import ChangeRequest, HostPlan, PlanFile
from orchestrator.model.target import StagedTarget
from tests.unit.builders import NOW, PLAN_SHA256, a_host_change, a_host_plan, a_machine, a_nic, an_endpoint


def a_plan(*hosts: HostPlan) -> PlanFile:
    chosen = hosts or (a_host_plan(),)
    return PlanFile(
        path="p.yaml",
        sha256=PLAN_SHA256,
        name="p",
        owner="o",
        change=ChangeRequest(),
        endpoints=(an_endpoint().settings,),
        hosts=chosen,
        waves=tuple(dict.fromkeys(h.wave for h in chosen)),
    )


def seen(*machines: Any, image: bool = True) -> Observations:
    found = machines or (a_machine(),)
    golden = a_host_change().image
    view = EndpointView(
        info=an_endpoint().info,
        machines={m.ref.name: m for m in found},
        networks={},
        images={golden.name: golden} if image and golden else {},
    )
    return Observations(endpoints={"lab": view}, checks={h.upper(): () for h in view.machines}, known={})


def built(*hosts: HostPlan, **changes: Any) -> ChangeSet:
    return build_change_set(a_plan(*hosts), seen(a_machine(**changes)), NOW)


def kinds(change_set: ChangeSet) -> list[StepKind]:
    return [step.kind for step in change_set.hosts[0].steps]


def test_equal_input_gives_an_equal_change_set() -> None:
    assert built() == built()


def test_the_steps_stand_in_the_order_of_the_architecture() -> None:
    assert kinds(built()) == [k for k in StepKind if not k.value.startswith("re")] + [StepKind.RELEASE_CLAIM]


def test_a_host_without_target_is_only_contained() -> None:
    found = kinds(built(a_host_plan(target=None, parity=None)))
    assert StepKind.STAGE not in found
    assert StepKind.PARITY not in found
    assert found[-1] is StepKind.RELEASE_CLAIM


def test_every_mutating_step_of_the_way_there_says_how_it_is_undone_or_needs_no_undo() -> None:
    steps = built().hosts[0].steps
    silent = {s.kind for s in steps if s.mutates and not s.undo}
    assert silent == {StepKind.INVENTORY_TARGET, StepKind.RELEASE_CLAIM}


def test_an_unknown_build_is_called_unknown() -> None:
    identify = next(s for s in built().hosts[0].steps if s.kind is StepKind.IDENTIFY)
    assert dict(identify.values)["known now"].startswith("unknown")


def test_a_stopped_machine_gets_an_offline_snapshot() -> None:
    step = next(s for s in built(power=PowerState.OFF).hosts[0].steps if s.kind is StepKind.SNAPSHOT)
    assert dict(step.values)["consistency"] == "offline"


def test_machines_and_images_that_are_not_there_are_all_named_at_once() -> None:
    plan = a_plan(a_host_plan("FILE01"), a_host_plan("APP07"))
    with pytest.raises(InvalidInput) as caught:
        build_change_set(plan, seen(a_machine("other"), image=False), NOW)
    assert [d.code for d in caught.value.diagnostics] == ["no-machine", "no-image"] * 2


class CountingReader:
    """A reader that counts its calls; it has no mutating role at all."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.inventory = self
        self.preflight = self
        self.capabilities: frozenset[Any] = frozenset()

    def about(self) -> Any:
        self.calls.append("about")
        return an_endpoint().info

    def machines(self, names: Any = None) -> Any:
        self.calls.append("machines")
        claim = Claim(run="r-other", digest="d", state_id="s")
        return tuple(a_machine(name, claim=claim if name == "h1" else None) for name in names)

    def networks(self) -> Any:
        self.calls.append("networks")
        return ()

    def images(self, names: Any) -> Any:
        self.calls.append("images")
        return (a_host_change().image,)

    def snapshot(self, machine: Any, consistency: Any) -> Any:
        return (Finding(check="space", ok=True, detail=""),)

    def isolation(self, machine: Any, spec: Any) -> Any:
        return ()

    def staging(self, spec: Any) -> Any:
        return ()

    def close(self) -> None:
        self.calls.append("close")


def test_a_hundred_hosts_cost_four_calls_per_endpoint() -> None:
    plan = a_plan(*(a_host_plan(f"H{i}") for i in range(100)))
    reader = CountingReader()
    observed = observe(plan, {"lab": reader}, lambda *_: None)
    assert sorted(reader.calls) == ["about", "images", "machines", "networks"]
    assert len(build_change_set(plan, observed, NOW).hosts) == 100


def test_a_foreign_claim_shows_as_a_hindrance() -> None:
    observed = observe(
        a_plan(a_host_plan("H1"), a_host_plan("H2")), {"lab": CountingReader()}, lambda *_: None
    )
    assert [f.detail for f in observed.checks["H1"] if not f.ok] == ["claimed by run r-other"]
    assert all(f.ok for f in observed.checks["H2"])


def left_behind() -> Undoable:
    staged = StagedTarget(
        endpoint="lab", id="i", name="file01n", token="t", fingerprint="f", disks=("/d",), medium=None
    )
    capture = NicCapture(key=a_nic().key, nic=a_nic(), restore="{}")
    return Undoable(snapshot_token="ferry.r1.FILE01.snapshot", captures=(capture,), staged=staged)


def test_the_undo_goes_backwards_and_reexposes() -> None:
    undo = build_undo(built(), "r1", {"FILE01": left_behind()}, NOW)
    expected = ["claim", "remove-target", "release", "remove-snapshot", "release-claim"]
    assert [kind.value for kind in kinds(undo)] == expected
    assert undo.undo_of == "r1"
    assert reexposes(undo)


def test_the_undo_of_a_half_finished_run_takes_back_only_what_is_there() -> None:
    half = Undoable(snapshot_token="ferry.r1.FILE01.snapshot")
    undo = build_undo(built(), "r1", {"FILE01": half}, NOW)
    assert [kind.value for kind in kinds(undo)] == ["claim", "remove-snapshot", "release-claim"]
    assert not reexposes(undo)


def test_a_host_that_was_never_changed_is_not_in_the_undo() -> None:
    assert build_undo(built(), "r1", {}, NOW).hosts == ()


def test_a_release_alone_keeps_snapshot_and_target() -> None:
    undo = build_undo(built(), "r1", {"FILE01": left_behind()}, NOW, only_release=True)
    assert [kind.value for kind in kinds(undo)] == ["claim", "release", "release-claim"]
