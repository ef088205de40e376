"""Names and notes from hypervisors and guests try to leave their place in the report. None gets out."""

from __future__ import annotations

import json
import unicodedata
from html.parser import HTMLParser

import pytest

from orchestrator.changeset import store
from orchestrator.changeset.changes import ChangeSet, KnownIdentity
from orchestrator.history import (
    Approval,
    HostRecord,
    HostStatus,
    RunRecord,
    RunStatus,
    StepRecord,
    StepStatus,
)
from orchestrator.model.network import Finding, IsolationEvidence, IsolationMode
from orchestrator.model.plan import ParitySpec
from orchestrator.parity.compare import compare
from orchestrator.report.as_json import render_json
from orchestrator.report.html import render_html
from orchestrator.report.layout import WIDTH
from orchestrator.report.model import ReportView
from orchestrator.report.text import render_text
from orchestrator.report.view import build_view
from tests.golden.story import evidence
from tests.unit import builders as b

HOSTILE = {
    "script": "<script>alert(1)</script>",
    "attribute": '" onmouseover="alert(1)\' autofocus',
    "entity": "&lt;b&gt; &#x3c;i&#x3e;",
    "template": "{{ 7*7 }}{% include 'style.css' %}",
    "style": "</style><img src=https://evil.example/x>",
    "comment": "--><!--]]>",
    "ansi": "\x1b[2J\x1b[31mred\x1b]8;;https://evil.example\x07link\x1b]8;;\x07",
    "c1": "\x9b31mred\x9d0;title\x9c",
    "bidi": "safe\u202egnp.exe\u2066\u200f",
    "invisible": "a\u200b\u2060\ufeff\u00adb",
    "lines": "one\r\ntwo\u2028three\x0bfour\x85five",
    "null": "a\x00b\x7fc",
    "private": "\ue000\U000f0000\U000e0041",
    "wide": "\u6f22\u5b57" * 90,
    "long": "x" * 5000,
    "combining": "a" + "\u0301" * 300,
}
CONTROL = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def hostile_view(text: str) -> ReportView:
    """A report with the text in every place that a guest, a hypervisor or a person fills."""
    change_set = hostile_change(text)
    digest = store.digest(change_set)
    step = StepRecord(
        step="snapshot", status=StepStatus.FAILED, started_at=b.NOW, ended_at=b.NOW, message=text
    )
    record = HostRecord(
        host=text, wave=text, status=HostStatus.FAILED, steps=(step,), code="x", message=text, hint=text
    )
    run = RunRecord(
        run=text,
        digest=digest,
        name=text,
        kind="apply",
        status=RunStatus.FAILED,
        started_at=b.NOW,
        ended_at=b.NOW,
        hosts=(record,),
        head=text,
    )
    return build_view(
        change_set,
        digest,
        now=b.NOW,
        run=run,
        evidence=hostile_evidence(text),
        approvals=(Approval(digest=digest, name=text, at=b.NOW, comment=text),),
        heads={text: text},
    )


def hostile_change(text: str) -> ChangeSet:
    plan = b.a_host_plan(
        text,
        vm=text,
        wave=text,
        depends_on=(text,),
        parity=ParitySpec(waivers=(b.a_waiver(f"service:{text}", reason=text, owner=text),)),
    )
    machine = b.a_machine(text[:100], notes=(text,), busy=(text,), nics=(b.a_nic(network=text),))
    identity = b.an_identity(product_name=text, hostname=text, edition=text)
    host = b.a_host_change(
        plan=plan,
        source=machine,
        known=KnownIdentity(identity=identity, at=b.NOW, run=text),
        checks=(Finding(check=text, ok=False, detail=text),),
    )
    change = b.a_change_set().change.model_copy(update={"ticket": text, "reason": text, "risk": text})
    return b.a_change_set(host, name=text, owner=text, plan_path=text, change=change)


def hostile_evidence(text: str):
    old = b.server_facts(
        identity=b.an_identity(product_name=text, hostname=text),
        services=(b.a_service(text, display_name=text, account=text, image_path=text),),
        shares=(b.a_share(text, path=text, remark=text),),
        tasks=(b.a_task(text, commands=(text,), author=text),),
        software=(b.a_software(f"App {text}", version=text, publisher=text),),
        warnings=(text,),
    )
    new = b.new_facts(services=(), shares=(), tasks=(), software=None, unknown=(("software", text),))
    proof = IsolationEvidence(
        mode=IsolationMode.SEALED, findings=(Finding(check=text, ok=False, detail=text),)
    )
    spec = ParitySpec(waivers=(b.a_waiver(f"share:{text}", reason=text, owner=text), b.a_waiver(text)))
    result = compare(old, new, spec, release=2025, today=b.TODAY)
    return (
        evidence(text, "facts-source", old, 1),
        evidence(text, "isolation", proof, 2),
        evidence(text, "parity", result, 3),
    )


class Structure(HTMLParser):
    """The tags and attributes of a document, without its text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, tuple[str, ...]]] = []
        self.links: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, tuple(name for name, _ in attrs)))
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "action", "srcset")]


@pytest.fixture(scope="module")
def harmless() -> Structure:
    return Structure(render_html(hostile_view("FILE01")))


@pytest.mark.parametrize("name", HOSTILE)
def test_html_keeps_its_structure(name: str, harmless: Structure) -> None:
    found = Structure(render_html(hostile_view(HOSTILE[name])))
    assert found.found == harmless.found
    assert found.links == ["#server-1"]


@pytest.mark.parametrize("name", HOSTILE)
def test_html_holds_no_character_that_steers(name: str) -> None:
    html = render_html(hostile_view(HOSTILE[name]))
    assert {c for c in html if unicodedata.category(c) in CONTROL} <= {"\n"}


@pytest.mark.parametrize("name", HOSTILE)
def test_text_holds_no_character_that_steers_and_keeps_its_width(name: str) -> None:
    text = render_text(hostile_view(HOSTILE[name]))
    assert {c for c in text if unicodedata.category(c) in CONTROL} <= {"\n"}
    wide = [line for line in text.splitlines() if sum(columns(c) for c in line) > WIDTH]
    assert wide == []


def columns(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


@pytest.mark.parametrize("name", HOSTILE)
def test_json_is_printable_ascii_and_true(name: str) -> None:
    view = hostile_view(HOSTILE[name])
    text = render_json(view)
    assert all(c == "\n" or " " <= c <= "~" for c in text)
    assert ReportView.model_validate(json.loads(text)) == view


def test_a_hostile_name_is_still_recognisable() -> None:
    assert "safe\\u202egnp.exe" in render_text(hostile_view(HOSTILE["bidi"]))
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in render_html(hostile_view(HOSTILE["script"]))
