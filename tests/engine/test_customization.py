"""Targets that the hypervisor itself customizes (no answer medium): an unconfirmed name is a failure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.engine import api
from orchestrator.engine.runtime import Engine
from orchestrator.history import HostStatus, RunRecord, RunStatus
from orchestrator.model.target import StagedTarget
from providers.simulated.staging import SimStaging
from tests.engine import kit
from tests.engine.kit import Site, carry_out, start, until

Answer = Callable[[], bool | None]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """One for each test: the last one needs two of its own."""
    with kit.engine_on(f"sqlite:///{tmp_path}/state.db", sleep=lambda _: None) as launched:
        yield launched


@pytest.fixture
def customizing(monkeypatch: pytest.MonkeyPatch) -> Callable[[Answer], None]:
    """Make the simulated provider one that customizes, and that answers as the test says."""
    ensure = SimStaging.ensure_target

    def stage(self: SimStaging, *given: object) -> StagedTarget:
        return ensure(self, *given).model_copy(update={"customizes": True})  # type: ignore[arg-type]

    def answering(answer: Answer) -> None:
        monkeypatch.setattr(SimStaging, "ensure_target", stage)
        monkeypatch.setattr(SimStaging, "customized", lambda *_: answer())

    return answering


def failure(record: RunRecord) -> tuple[str, str]:
    host = record.hosts[0]
    assert host.status is HostStatus.FAILED
    step = host.steps[-1]
    return step.step, step.message


def test_a_name_that_is_never_confirmed_fails_the_step_and_a_resume_goes_on(
    engine: Engine, site: Site, customizing: Callable[[Answer], None]
) -> None:
    answers: list[bool | None] = [None]
    customizing(lambda: answers[0])
    record = carry_out(engine, site.fleet(["FILE01"]))
    step, message = failure(record)
    assert step == "stage"
    assert "no guest agent has confirmed the name FILE01N within 0:00:01" in message
    assert record.hosts[0].code == "not-customized"
    answers[0] = True
    api.resume(engine, record.run, now=kit.clock())
    assert api.wait_run(engine.runtime.state, record.run).status is RunStatus.DONE
    assert len([m for m in site.world.read().machines.values() if m.name == "file01n"]) == 1


def test_a_failed_customization_fails_the_step_in_its_own_words(
    engine: Engine, site: Site, customizing: Callable[[Answer], None]
) -> None:
    def broken() -> bool | None:
        raise ProviderError(ErrorKind.PERMANENT, "sysprep failed in file01n", hint="look into its log")

    customizing(broken)
    record = carry_out(engine, site.fleet(["FILE01"]))
    assert failure(record) == ("stage", "sysprep failed in file01n")


def test_without_customizing_an_unconfirmed_name_is_only_told(
    engine: Engine, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SimStaging, "customized", lambda *_: None)
    record = carry_out(engine, site.fleet(["FILE01"]))
    assert record.status is RunStatus.DONE
    words = next(s.message for s in record.hosts[0].steps if s.step == "stage")
    assert "no guest agent has confirmed the name FILE01N" in words


def test_a_worker_that_leaves_hands_the_waiting_on(
    site: Site, tmp_path: Path, customizing: Callable[[Answer], None]
) -> None:
    """Nothing has failed then: the next worker looks again."""
    asked: list[bool] = []

    def unknown() -> bool | None:
        asked.append(True)
        return None

    customizing(unknown)
    url = f"sqlite:///{tmp_path}/left.db"
    target = site.host("FILE01").target
    assert target is not None
    site.add("file01")
    patient = target.model_copy(update={"first_boot_limit": kit.LIMIT * 600})
    changes = site.preview(site.plan([site.host("FILE01", target=patient)]))
    with kit.engine_on(url) as first:
        run = start(first, changes)
        until(lambda: asked)
    customizing(lambda: True)
    with kit.engine_on(url) as second:
        assert api.wait_run(second.runtime.state, run).status is RunStatus.DONE
