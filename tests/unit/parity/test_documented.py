"""What plans/README.md says about items and rules holds."""

from __future__ import annotations

import re
from pathlib import Path

from orchestrator.parity.item import KINDS
from orchestrator.parity.pack import load_folder

TEXT = (Path(__file__).parents[3] / "plans" / "README.md").read_text(encoding="utf-8")


def test_every_kind_of_item_is_explained() -> None:
    named = set(re.findall(r"`([a-z-]+):", TEXT))
    assert set(KINDS) - named == set()


def test_the_example_of_own_rules_can_be_used(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    (tmp_path / "own.toml").write_text(example, encoding="utf-8")
    pack = load_folder(tmp_path)
    assert pack.rules[0].id == "homes-moved"
    assert pack.successors("SERVICE:OLDBRIDGE") == ("service:NewBridge",)
    assert pack.vocabulary.accounts[r"OLDDOM\OPS"] == r"CONTOSO\ops"
    assert pack.fold(r"E:\Programs\a.exe") == r"d:\apps\a.exe"
