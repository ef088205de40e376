"""Short plan files for the tests of the plan file."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from orchestrator.diagnostics import Diagnostic
from orchestrator.model.plan import PlanFile
from orchestrator.planfile import check_plan

TODAY = date(2026, 11, 24)

Check = Callable[[str], tuple[PlanFile | None, tuple[Diagnostic, ...]]]


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """Check the text of a plan file as of TODAY."""

    def run(text: str) -> tuple[PlanFile | None, tuple[Diagnostic, ...]]:
        path = tmp_path / "plan.yaml"
        path.write_text(text, encoding="utf-8")
        return check_plan(path, TODAY)

    return run


@pytest.fixture
def good() -> str:
    """A whole valid plan file, ending inside of the only host."""
    return """\
ferry: 1
name: branch
owner: infra-ops
endpoints:
  lab: {provider: kvm, uri: "qemu:///system"}
networks:
  staging: {endpoint: lab, name: staging}
hosts:
  - name: FILE01
    source: {endpoint: lab, vm: file01}
    disposition: contain
    contain: {mode: unplugged}
    target:
      endpoint: lab
      release: 2025
      image: win2025-golden
      vm: file01n
      network: staging
      admin_password: {env: STAGING_ADMIN}
"""
