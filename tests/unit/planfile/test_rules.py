"""Rules between values, beyond what the broken examples show."""

import pytest

from orchestrator.diagnostics import Severity
from tests.unit.planfile.conftest import Check

HOST = "    disposition: contain\n    contain: {mode: unplugged}\n"


def host(name: str, vm: str, more: str = "") -> str:
    return f"  - name: {name}\n    source: {{endpoint: lab, vm: {vm}}}\n{more}{HOST}"


def codes(check: Check, text: str, severity: Severity = Severity.ERROR) -> list[str]:
    return [p.code for p in check(text)[1] if p.severity is severity]


def test_the_good_file_is_good(check: Check, good: str) -> None:
    assert check(good)[1] == ()


def test_two_hosts_with_one_aliased_source_are_refused(check: Check, good: str) -> None:
    text = good.replace("source: {endpoint: lab, vm: file01}", "source: &s {endpoint: lab, vm: file01}")
    text += f"  - name: B\n    source: *s\n{HOST}"
    assert codes(check, text) == ["source-twice"]


def test_one_name_on_two_hypervisors_is_no_conflict(check: Check, good: str) -> None:
    text = good.replace("networks:", '  far: {provider: kvm, uri: "qemu+ssh://k2/system"}\nnetworks:')
    text += f"  - name: B\n    source: {{endpoint: far, vm: &v file01}}\n{HOST}"
    text += f"  - name: C\n    source: {{endpoint: far, vm: file01n}}\n{HOST}"
    assert codes(check, text) == []


def test_shared_flows_by_alias_are_not_repeated_flows(check: Check, good: str) -> None:
    networks = (
        "networks:\n"
        "  a: {endpoint: lab, name: a, mode: filtered, uplink: u, allow: &f [{to: 198.51.100.1, port: 1}]}\n"
        "  b: {endpoint: lab, name: b, mode: filtered, uplink: u, allow: *f}\n"
    )
    assert codes(check, good.replace("networks:\n", networks)) == []


def test_a_long_chain_of_dependencies_is_followed_to_its_end(check: Check, good: str) -> None:
    count = 3000
    chain = "".join(host(f"H{i}", f"h{i}", f"    depends_on: [H{i + 1}]\n") for i in range(count))
    assert codes(check, good + chain + host(f"H{count}", "last")) == []
    closed = chain + host(f"H{count}", "last", "    depends_on: [H0]\n")
    assert codes(check, good + closed) == ["circle"]


def test_a_circle_is_shown_from_where_it_closes(check: Check, good: str) -> None:
    text = good + host("A", "a", "    depends_on: [B]\n") + host("B", "b", "    depends_on: [A]\n")
    [problem] = check(text)[1]
    assert "A -> B -> A" in problem.summary


def test_a_diamond_is_no_circle(check: Check, good: str) -> None:
    text = good + host("A", "a", "    depends_on: [B, C]\n") + host("B", "b", "    depends_on: [D]\n")
    text += host("C", "c", "    depends_on: [D]\n") + host("D", "d")
    assert codes(check, text) == []


def test_a_dependency_in_the_same_or_an_earlier_wave_is_fine(check: Check, good: str) -> None:
    text = good.replace("    disposition", "    wave: one\n    disposition", 1)
    text += host("A", "a", "    wave: one\n    depends_on: [FILE01]\n")
    text += host("B", "b", "    wave: two\n    depends_on: [FILE01]\n")
    assert codes(check, text) == []
    assert codes(check, text + "waves: [two, one]\n") == ["depends-on-later"]


@pytest.mark.parametrize(
    ("one", "other"), [("wave1", "wave2"), ("a", "b"), ("berlin", "munich"), ("w-10", "w-1")]
)
def test_waves_that_differ_on_purpose_are_not_warned_of(
    check: Check, good: str, one: str, other: str
) -> None:
    text = good + host("A", "a", f"    wave: {one}\n") + host("B", "b", f"    wave: {other}\n")
    assert codes(check, text, Severity.WARNING) == []


def test_a_wrong_value_elsewhere_hides_no_rule(check: Check, good: str) -> None:
    text = good.replace("release: 2025", "release: x") + host("A", "FILE01")
    assert codes(check, text) == ["release", "source-twice"]


def test_a_dangling_reference_is_reported_once(check: Check, good: str) -> None:
    assert codes(check, good.replace("endpoint: lab, vm", "endpoint: lob, vm")) == ["unknown-endpoint"]


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("2026-03-29T02:00", "no-such-time"),
        ("2026-03-29T01:59", None),
        ("2026-03-29T03:00", None),
        ("2026-10-25T01:59", None),
        ("0001-01-01T00:00", "time"),
        ("9999-12-31T23:59", None),
    ],
)
def test_times_around_the_change_of_clocks(check: Check, good: str, written: str, code: str | None) -> None:
    window = (
        f"change: {{window: {{opens: {written}, closes: 9999-12-31T23:59:59, timezone: Europe/Berlin}}}}\n"
    )
    assert codes(check, good + window) == ([code] if code else [])


def test_more_problems_than_anybody_reads_are_cut(check: Check, good: str) -> None:
    _, problems = check(good + "".join(host(f"H{i}", "file01") for i in range(500)))
    assert len(problems) == 200
    _, problems = check(good + "".join(host(f"H{i}", "file01", "    wave: '-'\n") for i in range(500)))
    assert problems[-1].code == "too-many"


FINDING = "{item: 'finding:cluster-node', reason: r, owner: o, expires: 2027-01-01}"
DIFFERENCE = "{item: 'service:Browser', reason: r, owner: o, expires: 2027-01-01}"


def test_a_host_without_a_target_may_accept_findings(check: Check, good: str) -> None:
    plan, problems = check(good + host("A", "a", f"    parity: {{waivers: [{FINDING}]}}\n"))
    assert problems == ()
    assert plan is not None
    parity = plan.hosts[1].parity
    assert parity is not None
    assert [w.item for w in parity.waivers] == ["finding:cluster-node"]


@pytest.mark.parametrize(
    "parity",
    [
        f"{{waivers: [{FINDING}, {DIFFERENCE}]}}",
        f"{{profile: generic, waivers: [{FINDING}]}}",
        "{waivers: []}",
        "{}",
    ],
)
def test_any_other_parity_needs_a_target(check: Check, good: str, parity: str) -> None:
    assert codes(check, good + host("A", "a", f"    parity: {parity}\n")) == ["parity-no-target"]


def test_of_the_defaults_a_host_without_a_target_takes_only_findings(check: Check, good: str) -> None:
    defaults = f"defaults: {{parity: {{waivers: [{FINDING}, {DIFFERENCE}]}}}}\n"
    plan, problems = check(good.replace("hosts:\n", defaults + "hosts:\n") + host("A", "a"))
    assert problems == ()
    assert plan is not None
    accepted = [[w.item for w in h.parity.waivers] if h.parity else [] for h in plan.hosts]
    assert accepted == [["finding:cluster-node", "service:Browser"], ["finding:cluster-node"]]
