"""Change sets as files: what is saved is what was built, and an edited file is never carried out."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.changeset import store
from orchestrator.diagnostics import InvalidInput, Refused
from tests.unit.builders import a_change_set, a_host_change


def test_a_saved_change_set_comes_back_equal(tmp_path: Path) -> None:
    change_set = a_change_set()
    value = store.save(change_set, tmp_path / "cs.json")
    assert store.load(tmp_path / "cs.json") == (change_set, value)
    assert value == store.digest(change_set)


def test_the_digest_is_known_and_must_not_drift() -> None:
    """Approvals are bound to it: a change here makes every approval void and needs a new FORMAT."""
    text = store.canonical_json({"b": [1, None, "é"], "a": {"y": False, "x": 1.5}})
    assert text == '{"a":{"x":1.5,"y":false},"b":[1,null,"\\u00e9"]}'


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=6))
def test_the_order_of_keys_does_not_matter(value: dict[str, object]) -> None:
    turned = dict(reversed(list(value.items())))
    assert store.canonical_json(value) == store.canonical_json(turned)


def test_any_other_host_plan_time_or_step_gives_another_digest() -> None:
    base = store.digest(a_change_set())
    others = [
        a_change_set(a_host_change("APP07")),
        a_change_set(plan_sha256="00" * 32),
        a_change_set(stop_wave_after=2),
        a_change_set(a_host_change(steps=())),
    ]
    assert base not in {store.digest(other) for other in others}


def test_an_edited_change_set_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cs.json"
    store.save(a_change_set(), path)
    document = json.loads(path.read_text())
    document["change_set"]["hosts"][0]["plan"]["vm"] = "another"
    path.write_text(json.dumps(document))
    with pytest.raises(Refused, match="does not match its digest"):
        store.load(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "not JSON"),
        ("[1]", "not a change set"),
        ("{}", "not a change set"),
        ('{"digest": "x", "change_set": 3}', "not a change set"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_what_is_no_change_set_is_said_so(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "cs.json"
    path.write_text(content)
    with pytest.raises(InvalidInput, match=words):
        store.load(path)


def test_a_missing_file_and_a_folder_are_said_so(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(InvalidInput, match="cannot be read"):
            store.load(path)


def test_another_format_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "cs.json"
    store.save(a_change_set(format=99), path)
    with pytest.raises(InvalidInput, match="format 99"):
        store.load(path)


def test_a_failed_save_leaves_the_old_file_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cs.json"
    path.write_text("old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        store.save(a_change_set(), path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["cs.json"]
