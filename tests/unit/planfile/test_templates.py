"""Every template is a valid plan file, and every key of the format is explained in plans/README.md."""

from datetime import date
from pathlib import Path

import pytest

from orchestrator.planfile import check_plan
from orchestrator.planfile.spec import (
    ContainSpec,
    DefaultsSpec,
    FlowSpec,
    HostSpec,
    LiftEntry,
    NetworkEntry,
    ParityEntry,
    PlanSpec,
    SnapshotJobSpec,
    Spec,
    TargetEntry,
    WaiverSpec,
)

PLANS = Path(__file__).parents[3] / "plans"
TEMPLATES = sorted((PLANS / "templates").glob("*.yaml"))


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda t: t.stem)
def test_template_is_valid_without_a_warning(template: Path) -> None:
    plan, problems = check_plan(template, date(2026, 11, 24))
    assert [str(p) for p in problems] == []
    assert plan is not None
    assert plan.name == template.stem


@pytest.mark.parametrize(
    "part",
    [
        PlanSpec,
        NetworkEntry,
        FlowSpec,
        DefaultsSpec,
        HostSpec,
        ContainSpec,
        LiftEntry,
        TargetEntry,
        ParityEntry,
        WaiverSpec,
        SnapshotJobSpec,
    ],
)
def test_the_page_names_every_key(part: type[Spec]) -> None:
    page = (PLANS / "README.md").read_text()
    for name, field in part.model_fields.items():
        assert (field.alias or name) in page


def test_the_page_names_every_template() -> None:
    page = (PLANS / "README.md").read_text()
    assert TEMPLATES
    assert all(f"templates/{t.name}" in page for t in TEMPLATES)
