"""The builders give what they promise: valid values, equal on every call, that survive JSON."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from orchestrator.changeset.changes import ChangeSet
from orchestrator.model.base import Value
from orchestrator.model.facts import ServerFacts
from orchestrator.model.machine import Machine
from tests.unit import builders


@pytest.mark.parametrize(
    ("build", "model"),
    [
        (builders.a_change_set, ChangeSet),
        (builders.server_facts, ServerFacts),
        (builders.new_facts, ServerFacts),
        (builders.a_machine, Machine),
    ],
)
def test_built_values_are_repeatable_and_survive_json(build: Callable[[], Value], model: type[Value]) -> None:
    built = build()
    assert built == build()
    assert model.model_validate_json(built.model_dump_json()) == built


def test_waves_follow_the_hosts() -> None:
    first, second = builders.a_host_change("A"), builders.a_host_change("B")
    second = second.model_copy(update={"plan": second.plan.model_copy(update={"wave": "later"})})
    assert builders.a_change_set(first, second).waves == ("canary", "later")
