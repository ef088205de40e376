"""The view names what a board must not miss, and rests on evidence that matches its hash."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from orchestrator.changeset import store
from orchestrator.changeset.changes import Kind, KnownIdentity, Step, StepKind
from orchestrator.history import Approval, Evidence, RunRecord, RunStatus
from orchestrator.model.facts import ProductType
from orchestrator.model.machine import Snapshot
from orchestrator.model.network import Finding, IsolationEvidence, IsolationMode
from orchestrator.model.plan import ParitySpec
from orchestrator.model.secret import SecretRef
from orchestrator.parity.compare import compare
from orchestrator.report.as_json import render_json
from orchestrator.report.html import render_html
from orchestrator.report.model import ReportView, Tone
from orchestrator.report.view import build_view
from tests.golden import story
from tests.unit import builders as b


def view(change_set=None, **changes) -> ReportView:
    chosen = change_set or b.a_change_set()
    return build_view(chosen, store.digest(chosen), now=b.NOW, **changes)


def notes(found: ReportView) -> list[tuple[Tone, str, str]]:
    return [(n.tone, n.host, n.text) for n in found.notices]


def run(status: RunStatus = RunStatus.DONE) -> RunRecord:
    return RunRecord(
        run=story.RUN, digest="d", name="n", kind="apply", status=status, started_at=b.NOW, head="cafe"
    )


def known(**identity) -> KnownIdentity:
    return KnownIdentity(identity=b.an_identity(**identity), at=b.NOW, run="r1")


def test_a_plain_change_has_nothing_to_note() -> None:
    assert notes(view()) == []
    assert view().badge.text == "proposed"


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [
        (b.an_endpoint("vc", "vsphere", tls_verify=False), "certificate is not verified"),
        (b.an_endpoint("sim", "simulated"), "is a simulation"),
    ],
)
def test_an_endpoint_that_deserves_care_is_named(endpoint, words: str) -> None:
    found = view(b.a_change_set(endpoints=(endpoint,)))
    assert [(tone, words in text) for tone, _, text in notes(found)] == [(Tone.WARN, True)]
    assert found.endpoints[0].badge.tone is Tone.WARN


@pytest.mark.parametrize(
    ("changes", "tone", "words"),
    [
        (
            {"checks": (Finding(check="space", ok=False, detail="none left"),)},
            Tone.BAD,
            "Check failed: space",
        ),
        ({"known": None}, Tone.WARN, "not known yet"),
        ({"known": known(build=7601, version="6.1")}, Tone.BAD, "It is not Windows Server 2008 SP2"),
        (
            {"known": known(product_type=ProductType.WORKSTATION)},
            Tone.BAD,
            "It is not Windows Server 2008 SP2",
        ),
        ({"known": known(product_type=None)}, Tone.BAD, "Nobody can say yet that it is"),
        ({"known": known(build=6002)}, Tone.BAD, "The plan expects build 6003"),
        ({"known": known(arch="x86")}, Tone.BAD, "The plan expects architecture x64"),
        ({"known": known(product_type=ProductType.DOMAIN_CONTROLLER)}, Tone.WARN, "domain controller"),
        (
            {
                "source": b.a_machine(
                    snapshots=(Snapshot(id="1", name="x", token=None, created_at=None, consistency=None),)
                )
            },
            Tone.WARN,
            "1 snapshot that ferry did not make",
        ),
        (
            {
                "plan": b.a_host_plan(
                    parity=ParitySpec(waivers=(b.a_waiver("service:Browser", expires=date(2026, 1, 1)),))
                )
            },
            Tone.BAD,
            "The waiver for service:Browser expired",
        ),
    ],
)
def test_a_host_that_deserves_care_is_named_before(changes, tone: Tone, words: str) -> None:
    found = [n for n in notes(view(b.a_change_set(b.a_host_change(**changes)))) if n[0] is tone]
    assert any(host == "FILE01" and words in text for _, host, text in found)


def test_a_problem_makes_the_change_not_ready() -> None:
    broken = b.a_host_change(checks=(Finding(check="space", ok=False, detail="none"),))
    assert view(b.a_change_set(broken)).badge.text == "not ready"


def test_a_change_without_window_or_approval_says_so() -> None:
    change = b.a_change_set().change.model_copy(update={"window": None, "approvals": 0})
    texts = " ".join(text for _, _, text in notes(view(b.a_change_set(change=change))))
    assert "no change window" in texts
    assert "no approval" in texts


def test_an_isolation_that_is_not_proved_is_a_problem() -> None:
    proof = IsolationEvidence(
        mode=IsolationMode.SEALED, findings=(Finding(check="c", ok=False, detail="up"),)
    )
    found = view(run=run(), evidence=(story.evidence("FILE01", "isolation", proof, 1),))
    assert (Tone.BAD, "FILE01", "Its isolation is not proved. Treat it as reachable until it is.") in notes(
        found
    )
    assert found.badge.text == "done, with findings"
    assert found.badge.tone is Tone.BAD


def test_an_isolation_without_a_finding_is_not_proved() -> None:
    proof = IsolationEvidence(mode=IsolationMode.SEALED, findings=())
    found = view(run=run(), evidence=(story.evidence("FILE01", "isolation", proof, 1),))
    assert found.hosts[0].isolation is not None
    assert found.hosts[0].isolation.badge.text == "not proved"


def test_evidence_that_does_not_match_its_hash_is_told_and_not_used() -> None:
    proof = IsolationEvidence(mode=IsolationMode.SEALED, findings=(Finding(check="c", ok=True, detail=""),))
    forged = story.evidence("FILE01", "isolation", proof, 1).model_copy(update={"sha256": "0" * 64})
    found = view(run=run(), evidence=(forged,))
    assert found.hosts[0].isolation is None
    assert any("does not match its hash" in text for _, _, text in notes(found))


def test_evidence_of_another_shape_is_told() -> None:
    odd = story.evidence("FILE01", "parity", b.a_share(), 1)
    found = view(run=run(), evidence=(odd,))
    assert any("cannot be read by this version" in text for _, _, text in notes(found))


def parity_evidence(kind: str, seconds: int, **new) -> Evidence:
    spec = ParitySpec(profile="file-server")
    result = compare(b.server_facts(), b.new_facts(**new), spec, release=2025, today=b.TODAY)
    return story.evidence("FILE01", kind, result, seconds)


def test_the_newest_look_at_parity_counts() -> None:
    looks = (parity_evidence("refresh", 9), parity_evidence("parity", 1, shares=()))
    found = view(run=run(), evidence=looks).hosts[0].parity
    assert found is not None
    assert found.badge.text == "pass"


def test_a_parity_fail_is_noted_but_is_no_failure_of_the_run() -> None:
    found = view(run=run(), evidence=(parity_evidence("parity", 1, shares=()),))
    assert notes(found) == [
        (Tone.WARN, "FILE01", "Parity fails: 1 item to look at before the replacement can take over.")
    ]
    assert found.badge.text == "done, with findings"


def test_only_approvals_of_this_digest_count() -> None:
    other = Approval(digest="0" * 64, name="Somebody", at=b.NOW)
    found = view(approvals=(other,))
    assert found.approvals == ()
    assert ("Approvals", "0 of 2 needed") in found.glance


def undo(**changes):
    steps = (
        Step(kind=StepKind.REMOVE_TARGET, title="Remove file01n", mutates=True),
        Step(kind=StepKind.RELEASE, title="Give the network back", mutates=True),
    )
    return b.a_change_set(b.a_host_change(steps=steps), kind=Kind.UNDO, undo_of=story.RUN, **changes)


def test_a_back_out_says_that_it_exposes_servers() -> None:
    found = view(undo())
    assert found.title == f"CHG0012345: back-out of run {story.RUN}"
    assert any("get their network back" in text for _, _, text in notes(found))
    assert found.hosts[0].impact == "An unpatched server is reachable again."


def test_deleting_disks_is_the_point_of_no_return() -> None:
    assert view(undo()).point_of_no_return.startswith("There is none")
    found = view(undo(delete_disks=True))
    assert "lost for good" in found.point_of_no_return
    assert any(tone is Tone.BAD and "disks" in text for tone, _, text in notes(found))


def test_a_step_that_did_not_run_is_not_shown_as_done() -> None:
    found = story.failure().hosts[2]
    assert [s.badge.text for s in found.steps if s.badge] == ["done"] * 6 + ["failed", "not run"]


def test_secrets_stay_references() -> None:
    endpoint = b.an_endpoint("vc", "vsphere", password=SecretRef(file="/run/secrets/vc"))
    found = view(b.a_change_set(endpoints=(endpoint,)))
    assert ("password", "file:/run/secrets/vc") in found.endpoints[0].facts


def test_the_same_arguments_give_the_same_view() -> None:
    assert story.failure() == story.failure()


def test_the_order_of_evidence_makes_no_difference() -> None:
    pieces = (parity_evidence("parity", 1, shares=()), parity_evidence("refresh", 9))
    assert view(run=run(), evidence=pieces) == view(run=run(), evidence=pieces[::-1])


def test_a_thousand_hosts_are_rendered_once_each() -> None:
    hosts = tuple(b.a_host_change(f"H{n:04}") for n in range(1000))
    found = view(b.a_change_set(*hosts), approvals=())
    page = render_html(found)
    assert page.count('<section class="host"') == 1000
    assert len(render_json(found)) < 10_000_000


def test_ages_are_counted_from_the_report_on() -> None:
    change_set = b.a_change_set()
    later = build_view(change_set, "d", now=b.NOW + timedelta(days=40))
    assert ("seen", "2026-11-24 08:00 UTC, 40 d old, in run r20261120-090000-77aa") in later.hosts[0].item
