"""All outputs say the same, load nothing, and are written whole or not at all."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from orchestrator.diagnostics import InvalidInput
from orchestrator.report import html
from orchestrator.report.as_json import render_json
from orchestrator.report.html import render_html
from orchestrator.report.layout import WIDTH
from orchestrator.report.model import ReportView
from orchestrator.report.text import render_text
from orchestrator.report.write import write_report
from tests.golden import story

MOMENTS = [story.before, story.success, story.failure]


@pytest.mark.parametrize("moment", MOMENTS)
def test_html_loads_and_runs_nothing(moment: Callable[[], ReportView]) -> None:
    page = render_html(moment())
    for forbidden in (
        "<script",
        "<link",
        "<img",
        "<iframe",
        "<object",
        "<form",
        "@import",
        "url(",
        "javascript:",
    ):
        assert forbidden not in page.lower()
    assert re.findall(r"""\s(on\w+|src|srcset|style)\s*=""", page) == []
    assert "default-src 'none'" in page


@pytest.mark.parametrize("moment", MOMENTS)
def test_html_is_accessible_in_its_bones(moment: Callable[[], ReportView]) -> None:
    page = render_html(moment())
    assert '<html lang="en">' in page
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'aria-labelledby="([^"]+)"', page)) <= set(ids)
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)
    assert page.count("<h1>") == 1


@pytest.mark.parametrize("moment", MOMENTS)
def test_text_stays_within_its_width(moment: Callable[[], ReportView]) -> None:
    assert max(map(len, render_text(moment()).splitlines())) <= WIDTH


@pytest.mark.parametrize("moment", MOMENTS)
def test_text_says_all_that_the_view_holds(moment: Callable[[], ReportView]) -> None:
    view = moment()
    shown = "".join(render_text(view).split())
    page = "".join(re.sub(r"<[^>]+>", "", render_html(view)).split())
    page = page.replace("&#39;", "'").replace("&#34;", '"').replace("&amp;", "&")
    for words in needed(view):
        assert "".join(words.split()) in shown
        assert "".join(words.split()) in page


def needed(view: ReportView) -> list[str]:
    """What a board must find, wherever an output puts it."""
    words = [view.digest, view.point_of_no_return, *view.back_out, *(n.text for n in view.notices)]
    words += [text for _, text in (*view.glance, *view.why, *view.schedule, *view.risk)]
    words += [e.sha256 for e in view.evidence] + [head for _, head in view.heads]
    for host in view.hosts:
        words += [host.summary, host.impact, *(text for _, text in host.item)]
        words += [step.undo for step in host.steps] + [step.title for step in host.steps]
        if host.parity:
            words += [i.advice for i in host.parity.open_items] + [i.waiver for i in host.parity.waived_items]
        if host.isolation:
            words += [finding.detail for finding in host.isolation.findings]
    return words + ([view.run.head] if view.run else [])


def test_json_reads_back_as_the_view() -> None:
    view = story.failure()
    assert ReportView.model_validate_json(render_json(view)) == view


def test_a_name_that_a_template_spells_wrong_is_an_error() -> None:
    template = html._environment().from_string("{{ view.no_such_field }}")
    with pytest.raises(UndefinedError):
        template.render(view=story.before())


def test_files_are_written_in_the_order_asked_for(tmp_path: Path) -> None:
    paths = write_report(story.before(), ("json", "html", "txt", "text"), tmp_path / "a" / "b")
    assert [path.name for path in paths] == ["report.json", "report.html", "report.txt"]
    assert json.loads(paths[0].read_text())["title"] == "CHG0012345: proposed change"
    assert sorted(p.name for p in (tmp_path / "a" / "b").iterdir()) == [
        "report.html",
        "report.json",
        "report.txt",
    ]


@pytest.mark.parametrize("name", ["pdf", "csv", "md"])
def test_a_format_that_there_is_not_is_refused_before_anything_is_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match="supported are html, text, json"):
        write_report(story.before(), ("html", name), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_no_format_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no report format"):
        write_report(story.before(), ("", " "), tmp_path)


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InvalidInput, match="cannot be written"):
        write_report(story.before(), ("html",), tmp_path / "file" / "deeper")
