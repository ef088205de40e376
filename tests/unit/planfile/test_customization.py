"""Where a vSphere target is put, what it joins: read, merged with the defaults, refused elsewhere."""

from datetime import timedelta

import pytest

from orchestrator.diagnostics import Severity
from orchestrator.model.plan import PlanFile
from orchestrator.model.secret import SecretRef
from orchestrator.model.target import CopyMode, DomainJoin, Placement, TargetSpec
from tests.unit.planfile.conftest import Check

VCENTER = "  vc: {provider: vsphere, server: vc.example.net, username: u, password: {env: VC_PASSWORD}}\n"
DOMAIN = "domain: {name: corp.example.net, username: joiner, password: {env: JOIN_PASSWORD}}"
GROUP = "workgroup: BRANCH"


@pytest.fixture
def vsphere(good: str) -> str:
    """The good file with its target on a vCenter."""
    text = good.replace("networks:\n", VCENTER + "networks:\n  new: {endpoint: vc, name: staging}\n", 1)
    return text.replace("      endpoint: lab\n", "      endpoint: vc\n").replace(
        "network: staging", "network: new"
    )


def target_of(check: Check, text: str) -> TargetSpec:
    plan, problems = check(text)
    assert not [str(p) for p in problems if p.severity is Severity.ERROR]
    assert plan is not None
    target = plan.hosts[0].target
    assert target is not None
    assert PlanFile.model_validate_json(plan.model_dump_json()) == plan
    return target


def defaults(text: str, *keys: str) -> str:
    return text.replace("hosts:\n", f"defaults:\n  target: {{{', '.join(keys)}}}\nhosts:\n", 1)


def errors(check: Check, text: str) -> list[tuple[str, str]]:
    return [(p.code, p.hint) for p in check(text)[1] if p.severity is Severity.ERROR]


def codes(check: Check, text: str) -> list[str]:
    return [code for code, _ in errors(check, text)]


def test_a_vsphere_target_is_a_full_copy_with_more_time(check: Check, vsphere: str) -> None:
    target = target_of(check, vsphere)
    assert (target.copy_mode, target.first_boot_limit) == (CopyMode.FULL, timedelta(minutes=30))
    assert (target.placement, target.workgroup, target.domain, target.time_zone) == (
        Placement(),
        None,
        None,
        None,
    )


def test_everything_given_arrives(check: Check, vsphere: str) -> None:
    target = target_of(
        check,
        vsphere
        + "      placement: {datacenter: DC0, cluster: C0, pool: P/A, folder: Branch/New, datastore: ds1}\n"
        + f"      {DOMAIN}\n      time_zone: W. Europe Standard Time\n      first_boot_limit: 1h\n",
    )
    assert target.placement == Placement(
        datacenter="DC0", cluster="C0", pool="P/A", folder="Branch/New", datastore="ds1"
    )
    assert target.domain == DomainJoin(
        name="corp.example.net", username="joiner", password=SecretRef(env="JOIN_PASSWORD")
    )
    assert (target.time_zone, target.first_boot_limit) == ("W. Europe Standard Time", timedelta(hours=1))


def test_the_joining_account_may_be_a_reference(check: Check, vsphere: str) -> None:
    target = target_of(check, f"{vsphere}      {DOMAIN.replace('joiner', '{env: JOIN_USER}')}\n")
    assert target.domain is not None
    assert target.domain.username == SecretRef(env="JOIN_USER")


def test_defaults_hold_for_vsphere_targets(check: Check, vsphere: str) -> None:
    target = target_of(
        check, defaults(vsphere, DOMAIN, "time_zone: GMT Standard Time", "placement: {folder: New}")
    )
    assert target.domain is not None
    assert (target.time_zone, target.placement.folder) == ("GMT Standard Time", "New")


@pytest.mark.parametrize(("own", "common"), [(GROUP, DOMAIN), (DOMAIN, GROUP)])
def test_a_targets_own_membership_displaces_that_of_the_defaults(
    check: Check, vsphere: str, own: str, common: str
) -> None:
    target = target_of(check, defaults(f"{vsphere}      {own}\n", common))
    assert (target.workgroup, target.domain is None) == (("BRANCH", True) if own == GROUP else (None, False))


def test_a_workgroup_and_a_domain_exclude_each_other(check: Check, vsphere: str) -> None:
    assert codes(check, f"{vsphere}      {GROUP}\n      {DOMAIN}\n") == ["workgroup-and-domain"]
    assert codes(check, defaults(vsphere, GROUP, DOMAIN)) == ["workgroup-and-domain"]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("placement: {folder: New}", "placement-here"),
        (GROUP, "workgroup-here"),
        (DOMAIN, "domain-here"),
        ("time_zone: GMT Standard Time", "time_zone-here"),
    ],
)
def test_on_kvm_they_are_refused_where_they_stand(check: Check, good: str, line: str, code: str) -> None:
    [problem] = check(f"{good}      {line}\n")[1]
    assert problem.location is not None
    assert (problem.code, problem.location.line) == (code, good.count("\n") + 1)
    assert "is not possible on kvm yet" in problem.summary
    assert codes(check, defaults(good, line)) == [code]


def test_defaults_that_several_targets_cannot_take_are_named_once(check: Check, good: str) -> None:
    second = good[good.index("  - name: FILE01") :].replace("FILE01", "FILE02").replace("file01", "file02")
    assert codes(check, defaults(good + second, GROUP)) == ["workgroup-here"]


def test_an_overlay_is_refused_on_vsphere(check: Check, vsphere: str) -> None:
    [(code, hint)] = errors(check, f"{vsphere}      copy: overlay\n")
    assert code == "overlay-here"
    assert "copy: full" in hint
    assert target_of(check, f"{vsphere}      copy: full\n").copy_mode is CopyMode.FULL


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("W. Europe Standart Time", "did you mean `W. Europe Standard Time`?"),
        ("UTC", "write `Greenwich Standard Time`"),
        ("Europe/Berlin", "write its Windows name"),
    ],
)
def test_a_zone_that_is_none_gets_what_to_write(check: Check, vsphere: str, written: str, hint: str) -> None:
    [(code, said)] = errors(check, f"{vsphere}      time_zone: {written}\n")
    assert code == "time-zone"
    assert hint in said


@pytest.mark.parametrize("written", ["SIXTEENLETTERS-X", "a/b", "' x'"])
def test_a_workgroup_that_windows_refuses_is_refused(check: Check, vsphere: str, written: str) -> None:
    assert codes(check, f"{vsphere}      workgroup: {written}\n") == ["workgroup"]


def test_the_domain_password_in_clear_is_refused_and_not_shown(check: Check, vsphere: str) -> None:
    text = f"{vsphere}      {DOMAIN.replace('{env: JOIN_PASSWORD}', 'Geheim-4711')}\n"
    problems = [str(p) for p in check(text)[1]]
    assert problems
    assert not any("Geheim-4711" in problem for problem in problems)
