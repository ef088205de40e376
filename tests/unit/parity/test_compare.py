"""Each state, each severity, the verdict: and never a pass for what nobody has seen."""

from __future__ import annotations

import random
from typing import Any

import pytest

from orchestrator.diagnostics import InvalidInput
from orchestrator.model.facts import Origin, ProductType, ServerFacts, StartMode
from orchestrator.model.plan import ParitySpec
from orchestrator.parity.compare import compare
from orchestrator.parity.names import windows_key
from orchestrator.parity.result import ItemResult, ParityResult, Severity, State, Verdict
from tests.unit import builders as b


def run(
    old: ServerFacts | None = None,
    new: ServerFacts | None = None,
    *,
    profile: str = "generic",
    release: int = 2025,
) -> ParityResult:
    spec = ParitySpec(profile=profile)
    return compare(old or b.server_facts(), new or b.new_facts(), spec, release=release, today=b.TODAY)


def item(result: ParityResult, name: str) -> ItemResult:
    (found,) = [i for i in result.items if windows_key(i.item) == windows_key(name)]
    return found


def state(result: ParityResult, name: str) -> State:
    return item(result, name).state


def service_pair(old: dict[str, Any], new: dict[str, Any] | None, name: str = "Contoso") -> ParityResult:
    there = () if new is None else (b.a_service(name, **new),)
    return run(b.server_facts(services=(b.a_service(name, **old),)), b.new_facts(services=there))


def test_a_server_that_does_the_same_passes() -> None:
    result = run()
    assert result.verdict is Verdict.PASS
    assert result.open_items == ()


def test_what_is_not_there_is_missing_and_fails() -> None:
    result = run(new=b.new_facts(shares=()))
    assert state(result, "share:Projects") is State.MISSING
    assert result.verdict is Verdict.FAIL


def test_names_that_differ_in_case_are_the_same() -> None:
    result = run(new=b.new_facts(shares=(b.a_share("PROJECTS", path=r"d:\projects\ ".strip()),)))
    assert state(result, "share:Projects") is State.SAME


def test_a_task_that_runs_something_else_is_changed() -> None:
    result = run(new=b.new_facts(tasks=(b.a_task(commands=("other.cmd",)),)))
    assert state(result, r"task:\Nightly export") is State.CHANGED


def test_what_only_the_new_server_has_is_extra_and_harmless() -> None:
    result = run(new=b.new_facts(shares=(b.a_share(), b.a_share("New"))))
    assert state(result, "share:New") is State.EXTRA
    assert result.verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({}, {"start": StartMode.MANUAL}, State.CHANGED),
        ({"start": StartMode.MANUAL}, {}, State.EQUIVALENT),
        ({"start": StartMode.DISABLED}, None, State.EQUIVALENT),
        ({}, {"account": r"CONTOSO\svc"}, State.CHANGED),
        ({}, {"account": "localsystem"}, State.SAME),
        ({}, {"start": None}, State.UNKNOWN),
        ({"start": None}, {}, State.UNKNOWN),
        ({}, None, State.MISSING),
    ],
)
def test_services(old: dict[str, Any], new: dict[str, Any] | None, expected: State) -> None:
    assert state(service_pair(old, new), "service:Contoso") is expected


def test_a_built_in_service_at_its_old_default_may_start_on_demand() -> None:
    result = service_pair({}, {"start": StartMode.MANUAL}, "wuauserv")
    assert (state(result, "service:wuauserv"), item(result, "service:wuauserv").rule) == (
        State.EQUIVALENT,
        "release-default",
    )


def test_a_built_in_service_that_is_switched_off_now_is_changed() -> None:
    assert (
        state(service_pair({}, {"start": StartMode.DISABLED}, "LanmanServer"), "service:LanmanServer")
        is State.CHANGED
    )


def test_a_service_on_demand_is_only_a_warning() -> None:
    result = service_pair({"start": StartMode.MANUAL}, None)
    assert item(result, "service:Contoso").severity is Severity.WARNING
    assert result.verdict is Verdict.PASS


def test_a_successor_makes_it_equivalent_and_its_absence_missing() -> None:
    old = b.server_facts(services=(b.a_service("slsvc"),))
    with_it = run(old, b.new_facts(services=(b.a_service("sppsvc"),)))
    assert item(with_it, "service:slsvc").rule == "software-licensing"
    assert state(with_it, "service:slsvc") is State.EQUIVALENT
    assert state(run(old, b.new_facts(services=())), "service:slsvc") is State.MISSING


def test_a_successor_that_is_switched_off_is_none() -> None:
    old = b.server_facts(services=(b.a_service("MSFTPSVC"),))
    new = b.new_facts(services=(b.a_service("ftpsvc", start=StartMode.DISABLED),))
    assert state(run(old, new), "service:MSFTPSVC") is State.MISSING


def test_rules_may_hold_for_one_release_only() -> None:
    old = b.server_facts(services=(b.a_service("SMTPSVC"),))
    new = b.new_facts(services=(), identity=b.a_new_identity(build=20348))
    assert item(run(old, new, release=2022), "service:SMTPSVC").rule == "smtp-2022"
    assert item(run(old, b.new_facts(services=())), "service:SMTPSVC").rule == "smtp-2025"


def test_newer_software_is_equivalent_and_older_is_changed() -> None:
    def versions(old: str, new: str) -> State:
        facts = b.server_facts(software=(b.a_software(version=old),))
        later = b.new_facts(software=(b.a_software("7-Zip", version=new),))
        return state(run(facts, later), "software:7-zip")

    assert versions("9.20", "23.01") is State.EQUIVALENT
    assert versions("23.01", "9.20") is State.CHANGED
    assert versions("23.01", "23.1.0") is State.EQUIVALENT


@pytest.mark.parametrize("section", ["services", "shares", "software", "tasks", "network"])
@pytest.mark.parametrize("side", ["old", "new"])
def test_an_unknown_section_never_passes(section: str, side: str) -> None:
    unknown = {section: None, "unknown": ((section, "hive is damaged"),)}
    result = run(b.server_facts(**unknown)) if side == "old" else run(new=b.new_facts(**unknown))
    assert result.verdict is Verdict.CANNOT_TELL
    found = item(result, f"section:{section}")
    assert found.state is State.UNKNOWN
    assert "hive is damaged" in (found.old if side == "old" else found.new)


def test_an_unknown_section_says_nothing_of_its_items() -> None:
    result = run(new=b.new_facts(shares=None))
    assert [i.item for i in result.items if i.kind == "share"] == []


def test_a_section_unknown_on_the_new_server_only_matters_if_the_old_one_has_something_in_it() -> None:
    result = run(b.server_facts(tasks=()), b.new_facts(tasks=None))
    assert result.verdict is Verdict.PASS


def test_a_failure_is_told_before_an_unknown() -> None:
    assert run(b.server_facts(tasks=None), b.new_facts(shares=())).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("identity", "expected"),
    [
        (b.a_new_identity(), Verdict.PASS),
        (b.a_new_identity(build=20348), Verdict.FAIL),
        (b.an_identity(build=None), Verdict.CANNOT_TELL),
        (b.a_new_identity(product_type=ProductType.WORKSTATION), Verdict.FAIL),
        (b.a_new_identity(product_type=None), Verdict.CANNOT_TELL),
    ],
)
def test_the_new_server_must_be_the_planned_release(identity: Any, expected: Verdict) -> None:
    assert run(new=b.new_facts(identity=identity)).verdict is expected


def test_a_release_nobody_knows_cannot_be_judged() -> None:
    assert run(release=2031).verdict is Verdict.CANNOT_TELL


def test_a_32_bit_server_may_be_replaced() -> None:
    result = run(b.server_facts(identity=b.an_identity(arch="x86")))
    assert item(result, "identity:arch").rule == "architecture"
    assert result.verdict is Verdict.PASS


def test_profiles_weigh_differently() -> None:
    new = b.new_facts(software=())
    assert run(new=new, profile="file-server").verdict is Verdict.PASS
    assert run(new=new, profile="app-server").verdict is Verdict.FAIL


def test_an_unknown_profile_is_refused_with_a_suggestion() -> None:
    with pytest.raises(InvalidInput, match="did you mean file-server"):
        run(profile="fileserver")


def test_names_and_administrative_shares_are_never_compared() -> None:
    result = run(b.server_facts(shares=(b.a_share("C$"), b.a_share("print$"))), b.new_facts(shares=()))
    assert {"network:name", "share:C$", "share:print$"} <= {i.item for i in result.ignored}
    assert result.verdict is Verdict.PASS


def test_the_result_does_not_depend_on_order_and_survives_json() -> None:
    mixed = random.Random(6003)
    services = [b.a_service(f"Service{n}") for n in range(12)]
    first = run(b.server_facts(services=tuple(services)), b.new_facts(services=tuple(services[:5])))
    for _ in range(5):
        mixed.shuffle(services)
        old = b.server_facts(services=tuple(services))
        assert run(old, b.new_facts(services=tuple(s for s in services if s.name in kept(first)))) == first
    assert ParityResult.model_validate_json(first.model_dump_json()) == first


def kept(result: ParityResult) -> set[str]:
    return {
        i.item.removeprefix("service:") for i in result.items if i.kind == "service" and i.state is State.SAME
    }


def test_the_worst_comes_first() -> None:
    result = run(new=b.new_facts(shares=(), network=b.a_network_config(hosts=())))
    assert [i.item for i in result.items[:2]] == ["share:Projects", "hosts:erp"]


def test_imported_facts_compare_like_collected_ones() -> None:
    assert run(b.server_facts(origin=Origin.IMPORTED)) == run()
