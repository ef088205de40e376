"""`ferry parity BEFORE AFTER`: what it prints of the new kinds, a site's own rules, its exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.cli.main import app
from tests.unit.parity.pairs import servers

RULES = """
version = 1
about = "a site's own"
[sources]
site = "CHG0012345"
[[rule]]
id = "homes-moved"
items = ["share:Homes$"]
effect = "gone"
why = "homes are on the cluster now"
source = "site"
[renamed]
"hosts:nas7" = ["network:dns"]
"""


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    pair = servers.file_server()
    for name, facts in (("before", pair.old), ("after", pair.new)):
        (tmp_path / f"{name}.json").write_text(facts.model_dump_json(), encoding="utf-8")
    return str(tmp_path / "before.json"), str(tmp_path / "after.json")


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["parity", *arguments, "--profile", "file-server"])
    return result.exit_code, result.output


def test_new_kinds_are_shown_with_both_sides_and_what_to_do(files: tuple[str, str]) -> None:
    code, shown = run(*files)
    assert code == 4
    assert (
        "changed    blocker  group:ProjectStaff  members .\\scanner; CONTOSO\\projects -> members .\\scanner"
        in shown
    )
    assert "           -> Add the members that are not in it." in shown
    assert "volume:D:  filesystem NTFS, size 900.0 GiB, used 610.0 GiB -> " in shown
    assert shown.splitlines()[-1].startswith("FAIL: ")


def test_the_command_explains_any_kind(files: tuple[str, str]) -> None:
    _, shown = run(*files, "--explain", "role:File-Services")
    assert "role:File-Services: equivalent" in shown
    assert "why: the new release has it under another name" in shown


def test_a_sites_own_rules_are_asked_first_and_named(files: tuple[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "site.toml").write_text(RULES, encoding="utf-8")
    _, plain = run(*files, "--json")
    _, ruled = run(*files, "--json", "--rules", str(folder))
    states = {i["item"]: i["state"] for i in json.loads(ruled)["parity"]["items"]}
    assert (states["share:Homes$"], states["hosts:nas7"]) == ("equivalent", "changed")
    assert json.loads(ruled)["parity"]["rules"] != json.loads(plain)["parity"]["rules"]
    _, words = run(*files, "--rules", str(folder), "--explain", "share:Homes$")
    assert "rule: homes-moved" in words
    assert "source: CHG0012345" in words


def test_a_folder_without_rules_is_refused(files: tuple[str, str], tmp_path: Path) -> None:
    code, shown = run(*files, "--rules", str(tmp_path / "none"))
    assert code == 2
    assert "holds no rule files" in shown


def test_rules_are_for_two_inventories(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(RULES, encoding="utf-8")
    result = CliRunner().invoke(app, ["parity", "r1", "--host", "FILE01", "--rules", str(tmp_path)])
    assert result.exit_code == 2
