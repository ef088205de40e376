"""What reaches a terminal or a program: one JSON document, no escape sequence, no traceback."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

from orchestrator.cli.live import LiveProgress
from orchestrator.cli.main import app
from orchestrator.cli.progress import PlainProgress, seconds
from orchestrator.history import HostRecord, HostStatus, RunRecord, RunStatus, StepRecord, StepStatus
from orchestrator.model.text import printable

BEGIN = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


@given(st.text())
def test_printable_text_steers_no_terminal(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable() or shown == ""
    assert "\x1b" not in shown
    assert len(text) > 2000 or printable(shown) == shown


def test_bidi_overrides_are_shown_as_codes() -> None:
    assert printable("a\u202eb\x1b[31m") == "a\\u202eb\\x1b[31m"


@pytest.mark.parametrize(
    ("elapsed", "words"),
    [(0.42, "0.4 s"), (59.9, "59.9 s"), (125, "2 m 05 s"), (7325, "2 h 02 m"), (-3, "0.0 s")],
)
def test_elapsed_times_read_well(elapsed: float, words: str) -> None:
    assert seconds(BEGIN, BEGIN + timedelta(seconds=elapsed)) == words


def a_record(status: HostStatus, *steps: StepRecord, message: str = "", hint: str = "") -> RunRecord:
    host = HostRecord(host="FILE01", wave="canary", status=status, steps=steps, message=message, hint=hint)
    return RunRecord(
        run="r1",
        digest="d",
        name="n",
        kind="apply",
        status=RunStatus.RUNNING,
        started_at=BEGIN,
        hosts=(host,),
    )


def a_step(name: str, ended: bool, message: str = "") -> StepRecord:
    end = BEGIN + timedelta(seconds=2) if ended else None
    status = StepStatus.DONE if ended else StepStatus.RUNNING
    return StepRecord(step=name, status=status, started_at=BEGIN, ended_at=end, message=message)


def test_plain_progress_prints_each_step_once() -> None:
    said: list[str] = []
    view = PlainProgress(said.append)
    running = a_record(HostStatus.RUNNING, a_step("claim", True), a_step("snapshot", False))
    view.update(running)
    view.update(running)
    view.update(
        a_record(HostStatus.FAILED, a_step("claim", True), message="no\nspace\x1b[2J", hint="make some")
    )
    assert said == [
        "08:00:02 FILE01 claim done in 2.0 s",
        "FILE01 failed: no\\x0aspace\\x1b[2J; make some",
    ]


def test_live_progress_shows_the_step_under_way_and_its_time() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=120, color_system=None)
    with LiveProgress(console, lambda: BEGIN + timedelta(seconds=75)) as view:
        view.update(a_record(HostStatus.RUNNING, a_step("claim", True), a_step("snapshot", False)))
    assert "snapshot" in stream.getvalue()
    assert "1 m 15 s" in stream.getvalue()


def test_validate_prints_one_document_and_ends_with_2(tmp_path: Path) -> None:
    plan = tmp_path / "p.yaml"
    plan.write_text("ferry: 1\nname: x\nnaem: y\n")
    result = CliRunner().invoke(app, ["plan", "validate", str(plan), "--json"])
    assert result.exit_code == 2
    document = json.loads(result.stdout)
    assert document["valid"] is False
    assert {"file", "line", "column", "summary", "hint"} <= document["problems"][0].keys()


def test_an_error_is_a_document_with_code_message_and_hint(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["plan", "show", str(tmp_path / "none.json"), "--json"])
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"].keys() >= {"code", "message", "hint"}


def test_help_imports_neither_models_nor_tables_nor_the_table_on_a_terminal() -> None:
    code = (
        "import sys; from orchestrator.cli.main import app; app(['--help'], standalone_mode=False);"
        "sys.stderr.write(', '.join({'pydantic', 'sqlalchemy', 'rich'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "plan" in done.stdout


def test_help_of_every_command_says_something() -> None:
    runner = CliRunner()
    for words in (["plan"], ["run"], ["host"], ["claim"], ["journal"], ["doctor"], ["parity"], ["inventory"]):
        result = runner.invoke(app, [*words, "--help"])
        assert result.exit_code == 0, words
        assert "Usage" in result.stdout
