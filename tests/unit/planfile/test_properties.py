"""Properties: no text crashes the reader, what ferry writes it reads, mistakes are found where they are."""

import random
from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.diagnostics import Diagnostic, InvalidInput, Location, Severity
from orchestrator.planfile.csvcells import read_cells
from orchestrator.planfile.decode import check_tree
from orchestrator.planfile.draft import yaml_text
from orchestrator.planfile.importer import import_csv
from orchestrator.planfile.locate import locate
from orchestrator.planfile.nodes import Items, Node, Table, Text

TODAY = date(2026, 11, 24)
TEMPLATE = (Path(__file__).parents[3] / "plans" / "templates" / "contain-kvm.yaml").read_text()
AT = Location("f", 1, 1)
PIECES = [*"ab:- \n\t[]{},&*!|>'\"#%?@`\\~0\r", "host", "ferry: 1\n", "  "]
yamlish = st.lists(st.sampled_from(PIECES), max_size=60).map("".join)


def problems_of(raw: bytes) -> tuple[Diagnostic, ...]:
    """Check bytes; an InvalidInput is an answer as well, anything else is a crash."""
    try:
        located = locate(raw, "f")
    except InvalidInput as refused:
        return refused.diagnostics
    return (*located.problems, *check_tree(located.root, TODAY, located.text)[1])


def assert_places(problems: tuple[Diagnostic, ...], raw: bytes) -> None:
    assert problems
    for problem in problems:
        assert problem.location is not None
        assert 1 <= problem.location.line <= raw.count(b"\n") + raw.count(b"\r") + 1
        assert problem.location.column >= 1


@given(st.binary(max_size=200))
def test_bytes_never_crash(raw: bytes) -> None:
    assert_places(problems_of(raw), raw)


@given(st.one_of(st.text(max_size=200), yamlish))
@settings(max_examples=300)
def test_text_never_crashes(text: str) -> None:
    raw = text.encode("utf-8", "surrogatepass")
    assert_places(problems_of(raw), raw)


@given(st.integers(0, 2**32), st.integers(1, 6))
@settings(max_examples=200)
def test_a_damaged_plan_file_never_crashes(seed: int, changes: int) -> None:
    choose = random.Random(seed)
    text = TEMPLATE
    for _ in range(changes):
        start = choose.randrange(len(text))
        end = start + choose.randrange(30)
        text = (
            text[:start]
            + choose.choice(["", "x", ": ", "\n", "- ", "[", "{", "&a ", "*a", text[start:end] * 2])
            + text[end:]
        )
    problems_of(text.encode())


scalars = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Cf", "Zl", "Zp"), exclude_characters="\ufffe\uffff"),
    max_size=20,
)
plain_trees = st.recursive(
    scalars,
    lambda below: st.lists(below, max_size=4) | st.dictionaries(scalars, below, max_size=4),
    max_leaves=12,
)


def as_node(value: object) -> Node:
    if isinstance(value, dict):
        table = Table(AT)
        for key, child in value.items():
            table.put(Text(key, AT), AT, as_node(child))
        return table
    if isinstance(value, list):
        items = Items(AT)
        items.extend(as_node(item) for item in value)
        return items
    return Text(str(value), AT, plain=False)


@given(st.dictionaries(scalars, plain_trees, min_size=1, max_size=5))
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_written_is_read_again(tree: dict[str, object]) -> None:
    root = as_node(tree)
    assert isinstance(root, Table)
    located = locate(yaml_text(root).encode(), "f")
    assert located.problems == ()
    assert located.root == tree


def lines_with_keys() -> list[int]:
    return [
        n
        for n, line in enumerate(TEMPLATE.splitlines())
        if line.strip() and line.lstrip()[0].islower() and ":" in line
    ]


@given(st.sampled_from(lines_with_keys()), st.text("qxyz", min_size=4, max_size=9))
def test_an_unknown_key_is_always_found_at_its_place(number: int, word: str) -> None:
    lines = TEMPLATE.splitlines()
    indent = len(lines[number]) - len(lines[number].lstrip())
    lines.insert(number, f"{' ' * indent}{word}: 1")
    problems = problems_of("\n".join(lines).encode())
    at_place = [p.code for p in problems if p.location == Location("f", number + 1, indent + 1)]
    # Below `endpoints` and `networks` a key is a name, and it is the value that is wrong.
    by_name = [p.code for p in problems if p.location == Location("f", number + 1, indent + len(word) + 3)]
    assert at_place == ["unknown-key"] or by_name == ["type"], [str(p) for p in problems]


@given(st.text(max_size=150), st.sampled_from([",", ";", "\t"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_csv_never_crashes(text: str, delimiter: str) -> None:
    try:
        rows = read_cells(text, "f")
    except InvalidInput:
        return
    assert all(cell == cell.strip() for row in rows for cell in row)
    assert delimiter  # any of them may be the one that is found


@given(
    st.lists(
        st.lists(
            st.sampled_from(["lab", "kvm", "contain", "unplugged", "x y", "", "6003", "é", '"']),
            min_size=1,
            max_size=6,
        ),
        max_size=4,
    )
)
def test_any_spreadsheet_is_imported_or_refused(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    text = "name,endpoint,provider,disposition,mode,build\n" + "".join(",".join(row) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")
    try:
        drafted = import_csv(path)
    except InvalidInput as refused:
        assert_places(refused.diagnostics, text.encode())
        return
    errors = [p for p in problems_of(drafted.encode()) if p.severity is Severity.ERROR]
    assert {p.code for p in errors} <= {"fill-in"}
