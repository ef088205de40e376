"""The report assesses each host from the newest facts, as of its own day, and says where it cannot."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from orchestrator.changeset import store
from orchestrator.changeset.changes import ChangeSet, Kind
from orchestrator.history import Evidence
from orchestrator.model.facts import ProductType, ServerFacts, Volume
from orchestrator.model.plan import Disposition, ParitySpec
from orchestrator.report.html import render_html
from orchestrator.report.model import ReportView, Tone
from orchestrator.report.text import render_text
from orchestrator.report.view import build_view
from tests.golden import story
from tests.unit import builders as b

ENCRYPTED = Volume(letter="D:", label="", filesystem="", size=b.GIB, used=None, encrypted=True)
CONTROLLER = b.server_facts(identity=b.an_identity(product_type=ProductType.DOMAIN_CONTROLLER))


def piece(facts: ServerFacts, host: str = "FILE01", seconds: int = 0, **changes: Any) -> Evidence:
    return story.evidence(host, "facts-source", facts, seconds).model_copy(update=changes)


def view(*earlier: Evidence, change_set: ChangeSet | None = None, **changes: Any) -> ReportView:
    chosen = change_set or b.a_change_set()
    now = changes.pop("now", b.NOW)
    return build_view(chosen, store.digest(chosen), now=now, earlier=earlier, **changes)


def items(found: ReportView, host: int = 0) -> set[str]:
    assessment = found.hosts[host].assessment
    assert assessment is not None
    return {f.item for f in (*assessment.open_findings, *assessment.hints)}


def notes(found: ReportView) -> list[tuple[Tone, str]]:
    return [(n.tone, n.text) for n in found.notices]


def test_a_host_that_nobody_has_seen_is_not_assessed_and_says_so() -> None:
    found = view()
    assert found.hosts[0].assessment is None
    assert "no facts of it are at hand" in render_text(found)
    assert "no facts of it are at hand" in render_html(found)


def test_before_a_run_the_facts_of_an_earlier_one_count_with_their_age() -> None:
    found = view(piece(b.server_facts(), run="r1", at=b.NOW - timedelta(days=2)))
    assessment = found.hosts[0].assessment
    assert assessment is not None
    assert "2 d old, in run r1" in assessment.basis
    assert "finding:unsupported" in items(found)


def test_of_two_earlier_ones_the_newer_counts_and_this_run_before_both() -> None:
    old = piece(CONTROLLER, at=b.NOW - timedelta(days=9))
    newer = piece(b.server_facts(), at=b.NOW - timedelta(days=2))
    assert "finding:domain-controller" not in items(view(newer, old))
    assert "finding:domain-controller" in items(view(newer, old, evidence=(piece(CONTROLLER),)))


def test_an_earlier_inventory_that_does_not_match_its_hash_is_told_and_not_used() -> None:
    found = view(piece(b.server_facts(), sha256="0" * 64))
    assert found.hosts[0].assessment is None
    assert (Tone.BAD, "an earlier inventory does not match its hash") in notes(found)


def test_a_blocker_makes_the_change_not_ready_until_it_is_accepted() -> None:
    found = view(piece(CONTROLLER))
    assert found.badge.text == "not ready"
    assert any(tone is Tone.BAD and "finding:domain-controller" in text for tone, text in notes(found))
    waiver = b.a_waiver("finding:domain-controller")
    plan = b.a_host_plan(parity=ParitySpec(waivers=(waiver,)))
    accepted = view(piece(CONTROLLER), change_set=b.a_change_set(b.a_host_change(plan=plan)))
    assert not any("finding:domain-controller" in text for _, text in notes(accepted))
    assert "accepted: no longer used (owner infra-ops" in render_text(accepted)


def test_the_day_of_the_report_decides() -> None:
    waiver = b.a_waiver("finding:domain-controller", expires=b.TODAY + timedelta(days=1))
    change_set = b.a_change_set(b.a_host_change(plan=b.a_host_plan(parity=ParitySpec(waivers=(waiver,)))))
    today = view(piece(CONTROLLER), change_set=change_set)
    tomorrow = view(piece(CONTROLLER), change_set=change_set, now=b.NOW + timedelta(days=1))
    assert "finding:domain-controller" not in items(today)
    assert "finding:domain-controller" in items(tomorrow)


def test_who_is_cut_off_is_noted_before_the_run() -> None:
    needing = b.server_facts(
        identity=b.an_identity(hostname="APP02"),
        network=b.a_network_config("APP02", interfaces=(), hosts=("198.51.100.20 files",)),
    )
    change_set = b.a_change_set(b.a_host_change(), b.a_host_change("APP02"))
    found = view(piece(b.server_facts()), piece(needing, "APP02"), change_set=change_set)
    assert (Tone.WARN, "Cut off from it by isolation: APP02. See its assessment.") in notes(found)
    assert "finding:needed-by:APP02" in items(found)
    assert "finding:cannot-tell:dependents" not in items(found)


def test_hosts_without_facts_are_named_as_unknown() -> None:
    change_set = b.a_change_set(b.a_host_change(), b.a_host_change("APP02"))
    found = view(piece(b.server_facts()), change_set=change_set)
    assert "finding:cannot-tell:dependents" in items(found)
    assert found.hosts[0].assessment is not None
    assert found.hosts[0].assessment.unseen == ("APP02",)


def test_in_azure_other_dates_hold() -> None:
    plan = b.a_host_plan(endpoint="az")
    host = b.a_host_change(plan=plan)
    change_set = b.a_change_set(host, endpoints=(b.an_endpoint("az", "azure"), b.an_endpoint("lab")))
    found = view(piece(b.server_facts()), change_set=change_set).hosts[0].assessment
    assert found is not None
    assert "year 4" in found.support


def test_what_is_lifted_must_not_be_encrypted() -> None:
    facts = b.server_facts(volumes=(ENCRYPTED,))
    lifted = b.a_change_set(b.a_host_change(plan=b.a_host_plan(disposition=Disposition.LIFT)))
    assert any("encrypted" in text for tone, text in notes(view(piece(facts), change_set=lifted)))
    assert not any("encrypted" in text for _, text in notes(view(piece(facts))))


def test_a_way_back_is_not_assessed() -> None:
    change_set = b.a_change_set(kind=Kind.UNDO, undo_of="r1")
    found = view(piece(CONTROLLER), change_set=change_set)
    assert found.hosts[0].assessment is None
    assert found.hosts[0].not_assessed == ""


def test_text_from_a_guest_is_escaped() -> None:
    evil = b.server_facts(shares=(b.a_share("<script>alert(1)</script>\x1b[31m"),))
    found = view(piece(evil))
    assert "<script>" not in render_html(found)
    assert "\x1b" not in render_text(found)
