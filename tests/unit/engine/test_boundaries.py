"""Structure that safety rests on: who may mutate, and what importing costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import orchestrator

PACKAGE = Path(orchestrator.__file__).parent
ROLES = {"power", "claims", "snapshots", "isolation", "staging"}


def calls(path: Path) -> set[str]:
    """Return every `x.role.ensure_...` and `x.role.break_claim` in a file."""
    return {
        node.attr
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Attribute)
        and node.value.attr in ROLES
        and (node.attr.startswith("ensure_") or node.attr == "break_claim")
    }


def test_only_actions_call_mutating_provider_methods() -> None:
    found = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if "conformance" not in path.parts and calls(path)
    }
    assert found
    assert {name for name in found if not name.startswith("engine/actions/")} == set()


def test_importing_the_engine_does_not_import_dbos() -> None:
    code = (
        "import sys; import orchestrator.engine.api, orchestrator.engine.upkeep, orchestrator.engine.runtime;"
        "sys.exit('dbos' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
