"""`ferry doctor PLAN` tries every reference to a secret that a plan holds, and shows none."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator.app import doctor

PLAN = """\
ferry: 1
name: branch
owner: infra-ops
endpoints:
  vc: {provider: vsphere, server: 127.0.0.1, port: 9, username: u, password: {env: T_VC}}
networks:
  staging: {endpoint: vc, name: staging}
hosts:
  - name: FILE01
    source: {endpoint: vc, vm: file01}
    disposition: contain
    contain: {mode: unplugged}
    target:
      endpoint: vc
      release: 2025
      image: golden
      vm: file01n
      network: staging
      admin_password: {env: T_ADMIN}
      domain: {name: corp.example, username: {env: T_USER}, password: {env: T_JOIN}}
"""


def test_the_domains_references_are_tried_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("T_VC", "Vc-Secret-1")
    monkeypatch.setenv("T_JOIN", "Join-Secret-2")
    monkeypatch.delenv("T_USER", raising=False)
    monkeypatch.delenv("T_ADMIN", raising=False)
    plan = tmp_path / "plan.yaml"
    plan.write_text(PLAN)
    checks = doctor.examine(plan, datetime(2026, 11, 24, tzinfo=UTC))
    found = {c.name.rpartition(" ")[2]: c.state for c in checks if c.name.startswith("secret ")}
    assert {name.strip("{}").removeprefix("env:"): state for name, state in found.items()} == {
        "T_VC": doctor.State.OK,
        "T_JOIN": doctor.State.OK,
        "T_USER": doctor.State.MISSING,
        "T_ADMIN": doctor.State.MISSING,
    }
    assert "Secret-" not in repr(checks)
