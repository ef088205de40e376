"""Every plan file under examples/broken is reported line by line as the file beside it says."""

import re
from datetime import date
from pathlib import Path

import pytest

from orchestrator.diagnostics import Severity
from orchestrator.planfile import check_plan

FOLDER = Path(__file__).parents[2] / "examples" / "broken"
FILES = sorted(FOLDER.glob("*.yaml"))
TODAY = date(2026, 11, 24)
ONLY_WARNED = {"31-wave-alike", "43-window-past", "45-window-clocks-back"}
PLANTED = ("hunter2", "Tr0ub4dor", "s3cr3t-word", "c2VjcmV0", "MIIBOgIB", "b3BlbnNz", "Sup3rSecret")


def test_there_are_thirty_and_more() -> None:
    assert len(FILES) >= 30
    assert {f.stem for f in FILES} == {f.stem for f in FOLDER.glob("*.expected")}


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_says_what_is_expected(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER)
    plan, problems = check_plan(Path(file.name), TODAY)
    said = [f"{'warning: ' if p.severity is Severity.WARNING else ''}{p}" for p in problems]
    assert said == file.with_suffix(".expected").read_text().splitlines()
    assert (plan is not None) == (file.stem in ONLY_WARNED)


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_every_line_has_a_place_in_the_file_and_a_hint(file: Path) -> None:
    _, problems = check_plan(file, TODAY)
    lines = file.read_bytes().decode("utf-8", "replace").split("\n")
    assert problems
    for problem in problems:
        assert problem.hint, problem
        assert problem.location is not None
        assert 1 <= problem.location.line <= len(lines)
        assert 1 <= problem.location.column <= len(lines[problem.location.line - 1]) + 1


def test_no_planted_secret_is_repeated() -> None:
    texts = "".join(f.read_bytes().decode("utf-8", "replace") for f in FILES)
    for secret in PLANTED:
        assert secret in texts, f"{secret} is no longer planted"
    for file in FILES:
        _, problems = check_plan(file, TODAY)
        for problem in problems:
            assert not re.search("|".join(PLANTED), repr(problem)), problem
