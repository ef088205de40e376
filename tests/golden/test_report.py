"""The board's report, byte for byte. If a change is wanted: FERRY_UPDATE_GOLDEN=1 pytest tests/golden."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.report.html import render_html
from orchestrator.report.model import ReportView
from orchestrator.report.text import render_text
from tests.golden import story

KEPT = Path(__file__).parent / "report"
OUTPUTS: dict[str, Callable[[ReportView], str]] = {"html": render_html, "txt": render_text}


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("moment", [story.before, story.success, story.failure])
def test_report_is_as_kept(moment: Callable[[], ReportView], output: str) -> None:
    rendered = OUTPUTS[output](moment())
    kept = KEPT / f"{moment.__name__}.{output}"
    if os.environ.get("FERRY_UPDATE_GOLDEN"):
        kept.parent.mkdir(exist_ok=True)
        kept.write_text(rendered, encoding="utf-8")
    assert rendered == kept.read_text(encoding="utf-8")
