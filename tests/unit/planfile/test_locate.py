"""YAML text to located nodes."""

from pathlib import Path

import pytest

from orchestrator.diagnostics import InvalidInput, Location
from orchestrator.planfile.locate import MAX_BYTES, locate, read_bytes
from orchestrator.planfile.nodes import Items, Table, Text, walk


def root_of(text: str) -> Table:
    located = locate(text.encode(), "f")
    assert not located.problems
    return located.root


def test_every_key_value_and_item_has_its_place() -> None:
    root = root_of("a: 1\nb:\n  - x\n  - {c: 'y'}\n")
    assert root.keys_at["b"] == Location("f", 2, 1)
    b = root["b"]
    assert isinstance(b, Items)
    assert b[0].at == Location("f", 3, 5)
    assert b[1].keys_at["c"] == Location("f", 4, 6)
    assert b[1]["c"].at == Location("f", 4, 9)
    assert b[1]["c"].path == "b[1].c"


@pytest.mark.parametrize(
    "written",
    [
        "52:54:00:12:34:56",
        "22:30",
        "no",
        "010",
        "0x10",
        "1e3",
        "0o17",
        "1_000",
        "+1",
        ".5",
        "2026-12-05",
        "Yes",
    ],
)
def test_text_survives_as_written(written: str) -> None:
    value = root_of(f"a: {written}\n")["a"]
    assert value == written
    assert value.plain


def test_quotes_are_remembered() -> None:
    assert not root_of("a: '010'\n")["a"].plain
    assert not root_of("a: |\n  010\n")["a"].plain


@pytest.mark.parametrize("null", ["", "~", "null", "Null", "NULL"])
def test_a_key_without_a_value_is_reported_at_the_key(null: str) -> None:
    located = locate(f"a: {null}\nb: 1\n".encode(), "f")
    assert [(p.code, p.location) for p in located.problems] == [("no-value", Location("f", 1, 1))]
    assert located.root == {"b": "1"}
    assert located.root.empty == {"a"}


def test_quoted_null_is_text() -> None:
    assert root_of("a: 'null'\n")["a"] == "null"


def test_a_duplicate_key_names_both_lines_and_keeps_the_first() -> None:
    located = locate(b"a: 1\nb: {c: 1}\na: 2\n", "f")
    [problem] = located.problems
    assert problem.location == Location("f", 3, 1)
    assert "line 1" in problem.summary
    assert located.root["a"] == "1"


def test_the_same_key_in_another_mapping_is_no_duplicate() -> None:
    root_of("a: {x: 1}\nb: {x: 1}\n")


def test_aliases_stand_for_their_anchor() -> None:
    root = root_of("a: &x {k: v}\nb: *x\nc: [*x, *x]\n")
    assert root["b"] == {"k": "v"}
    assert len(root["c"]) == 2


def test_an_alias_may_be_a_key() -> None:
    assert root_of("a: &x word\n*x : 1\n")["word"] == "1"


def test_an_alias_bomb_stops_early() -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    for before, name in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{name}: &{name} [{', '.join(['*' + before] * 10)}]")
    with pytest.raises(InvalidInput, match="aliases written out"):
        locate("\n".join(lines).encode(), "f")


def test_deep_nesting_stops() -> None:
    with pytest.raises(InvalidInput, match="nested deeper"):
        locate(("a: " + "[" * 5000).encode(), "f")


@pytest.mark.parametrize("tag", ["!x 1", "!!str 1", "!!python/object:os.system {}", "!<tag:x,1:y> [1]"])
def test_tags_are_refused_where_they_stand(tag: str) -> None:
    [problem] = locate(f"a: {tag}\n".encode(), "f").problems
    assert (problem.code, problem.location) == ("tag", Location("f", 1, 4))


def test_a_key_that_is_no_text_is_refused_and_the_rest_is_read() -> None:
    located = locate(b"? [a, {b: c}]\n: {d: e}\nf: g\n", "f")
    assert [p.code for p in located.problems] == ["key"]
    assert located.root == {"f": "g"}


@pytest.mark.parametrize(
    ("raw", "place", "code"),
    [
        (b"a: 1\n\tb: 2\n", (2, 1), "syntax"),
        (b"a: 1\n---\nb: 2\n", (2, 1), "documents"),
        (b"ab: \xe4\n", (1, 5), "encoding"),
        (b"\xff\xfea\x00", (1, 1), "encoding"),
        (b"a: 1\nb: \x07\n", (2, 4), "character"),
        (b"a: \xc2\x85\n", (1, 4), "character"),
        (b"", (1, 1), "not-a-plan-file"),
        (b"[a]\n", (1, 1), "not-a-plan-file"),
        (b"%YAML 2.0\n---\na: 1\n", (1, 1), "syntax"),
        (b'a: 1\nb: "\\U99999999"\n', (2, 1), "syntax"),
        (b"a: *x\n", (1, 4), "alias"),
    ],
)
def test_what_is_no_plan_file_is_refused_at_its_place(raw: bytes, place: tuple[int, int], code: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        locate(raw, "f")
    [problem] = caught.value.diagnostics
    assert problem.location is not None
    assert (problem.location.line, problem.location.column) == place
    assert problem.code == code


def test_a_byte_order_mark_is_warned_of_and_does_not_move_columns() -> None:
    located = locate(b"\xef\xbb\xbfa: 1\n", "f")
    assert [p.code for p in located.problems] == ["byte-order-mark"]
    assert located.root.keys_at["a"] == Location("f", 1, 1)


def test_windows_line_ends_do_not_move_lines() -> None:
    root = root_of("a: 1\r\nb: x\r\n")
    assert root["b"].at == Location("f", 2, 4)
    assert root["b"] == "x"


def test_a_folder_a_missing_file_and_a_large_file_are_refused(tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(b"#" * (MAX_BYTES + 1))
    for path, said in ((tmp_path, "directory"), (tmp_path / "none", "No such file"), (large, "1024 KiB")):
        with pytest.raises(InvalidInput, match=said) as caught:
            read_bytes(path)
        assert str(caught.value).startswith(f"{path}:1:1: ")


def test_walk_gives_every_value_with_its_key() -> None:
    found = [
        (key, str(value)) for key, value in walk(root_of("a: {b: x}\nc: [y]\n")) if isinstance(value, Text)
    ]
    assert sorted(found) == [("", "y"), ("b", "x")]
