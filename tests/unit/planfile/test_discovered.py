"""Discovered machines to a plan file: it holds whatever names there are, and is valid but for its marks."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.diagnostics import InvalidInput
from orchestrator.model.endpoint import EndpointSettings
from orchestrator.model.plan import PlanFile
from orchestrator.model.secret import SecretRef
from orchestrator.planfile import check_plan
from orchestrator.planfile.discovered import DraftHost, draft_plan

TODAY = date(2026, 11, 24)
LAB = EndpointSettings(name="lab", provider="kvm", settings={"uri": "qemu:///system"})
VC = EndpointSettings(
    name="vc",
    provider="vsphere",
    max_parallel=4,
    settings={
        "server": "vc.example.net",
        "username": "CORP\\ops",
        "password": SecretRef(env="VC_PASSWORD"),
        "ca_file": "/etc/ca.pem",
        "tls_verify": True,
    },
)


def a_host(name: str, number: int = 1, **more: object) -> DraftHost:
    host = DraftHost(endpoint="lab", calls=(name,), vm=(name, f"uuid-{number}"))
    return host.model_copy(update=more)


def marks_of(path: Path) -> list[str]:
    _, problems = check_plan(path, TODAY)
    assert {p.code for p in problems} <= {"fill-in"}, [str(p) for p in problems]
    return [p.summary for p in problems]


def filled(path: Path) -> PlanFile:
    """Do what the marks ask for."""
    text = path.read_text()
    text = text.replace('"<fill in: who answers for it>"', "ops")
    text = text.replace('"<fill in: the quarantine network\'s name on this endpoint>"', "sealed-net")
    path.write_text(text)
    plan, problems = check_plan(path, TODAY)
    assert plan is not None, [str(p) for p in problems]
    return plan


def test_a_draft_asks_for_the_owner_and_each_quarantine_network_and_is_valid_then(tmp_path: Path) -> None:
    out = tmp_path / "old servers.yaml"
    hosts = [
        a_host("file01", build=6003, arch="x64"),
        a_host("app07", endpoint="vc", vm=("Branch/app07", "uuid-2")),
    ]
    draft_plan([LAB, VC], hosts, out)
    assert len(marks_of(out)) == 3
    plan = filled(out)
    assert plan.name == "old-servers"
    assert [(h.name, h.endpoint, h.vm) for h in plan.hosts] == [
        ("file01", "lab", "file01"),
        ("app07", "vc", "Branch/app07"),
    ]
    assert (plan.hosts[0].expect.build, plan.hosts[0].expect.arch) == (6003, "x64")
    network = plan.hosts[1].isolation
    assert network is not None
    assert network.network is not None
    assert (network.network.name, network.network.create) == ("sealed-net", False)
    vcenter = plan.endpoints[1]
    assert (vcenter.max_parallel, dict(vcenter.settings)) == (4, dict(VC.settings))


def test_unplugged_needs_no_network(tmp_path: Path) -> None:
    draft_plan([LAB, VC], [a_host("file01")], tmp_path / "p.yaml", sealed=False)
    assert marks_of(tmp_path / "p.yaml") == ["still to fill in: who answers for it"]
    assert "vsphere" not in (tmp_path / "p.yaml").read_text()


def test_hosts_get_names_of_their_own(tmp_path: Path) -> None:
    out = tmp_path / "p.yaml"
    names = ["web", "WEB", "web-2", "Büro 1", "x" * 100, "x" * 100, "…", ""]
    draft_plan([LAB], [a_host(name, number) for number, name in enumerate(names)], out)
    hosts = filled(out).hosts
    assert [h.name for h in hosts] == [
        "web", "WEB-2", "web-2-2", "B-ro-1", "x" * 63, f"{'x' * 56}-2", "host", "host-2",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        "x" * 10_000,
        "two\nlines",
        "\x1b]0;title\x07",
        " padded ",
        "<fill in: me>",
        "password=Hunter2hunter",
        "http://ops:Hunter2hunter@x/",
        "-----BEGIN RSA PRIVATE KEY-----",
        "\udcff",
        "",
    ],
)
def test_a_name_that_no_plan_file_can_hold_gives_way_to_the_id(tmp_path: Path, name: str) -> None:
    out = tmp_path / "p.yaml"
    draft_plan([LAB], [a_host(name, evidence=f"candidate: {name}")], out)
    marks_of(out)
    assert filled(out).hosts[0].vm == "uuid-1"
    assert "\x1b" not in out.read_text()


@pytest.mark.parametrize(
    "name", ["no", "010", "a: b", "# x", "{a}", "*x", "'", '"', "a\\b", "ü 服务器", "~", "-"]
)
def test_a_name_that_yaml_would_read_otherwise_stays_itself(tmp_path: Path, name: str) -> None:
    draft_plan([LAB], [a_host(name, evidence=name)], tmp_path / "p.yaml")
    assert filled(tmp_path / "p.yaml").hosts[0].vm == name


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.text(max_size=40), st.text(max_size=40)), min_size=1, max_size=4))
def test_any_names_and_any_evidence_make_a_draft_that_is_valid_but_for_its_marks(
    tmp_path: Path, hosts: list[tuple[str, str]]
) -> None:
    out = tmp_path / "p.yaml"
    drafted = [a_host(name, number, evidence=said) for number, (name, said) in enumerate(hosts)]
    draft_plan([LAB], drafted, out, force=True)
    marks_of(out)
    assert len(filled(out).hosts) == len(hosts)


def test_names_that_differ_in_capitals_only_are_told_apart(tmp_path: Path) -> None:
    draft_plan([LAB], [a_host("file01", 1), a_host("FILE01", 2)], tmp_path / "p.yaml")
    assert [h.vm for h in filled(tmp_path / "p.yaml").hosts] == ["file01", "uuid-2"]


def test_one_place_by_two_endpoints_claims_no_machine_twice(tmp_path: Path) -> None:
    again = VC.model_copy(update={"name": "vc-2"})
    hosts = [
        a_host("app", endpoint="vc", vm=("app", "uuid-1")),
        a_host("app", endpoint="vc-2", vm=("app", "uuid-2")),
    ]
    draft_plan([VC, again], hosts, tmp_path / "p.yaml", sealed=False)
    assert [h.vm for h in filled(tmp_path / "p.yaml").hosts] == ["app", "uuid-2"]


def test_evidence_stands_above_each_host(tmp_path: Path) -> None:
    draft_plan([LAB], [a_host("file01", evidence="candidate: its definition says so")], tmp_path / "p.yaml")
    text = (tmp_path / "p.yaml").read_text()
    assert "  # candidate: its definition says so\n  - name: file01\n" in text


def test_a_draft_replaces_nothing_unless_forced(tmp_path: Path) -> None:
    out = tmp_path / "p.yaml"
    out.write_text("mine\n")
    with pytest.raises(InvalidInput, match="is there already"):
        draft_plan([LAB], [a_host("file01")], out)
    assert out.read_text() == "mine\n"
    draft_plan([LAB], [a_host("file01")], out, force=True)
    assert "file01" in out.read_text()
    assert list(tmp_path.iterdir()) == [out]


def test_a_large_fleet_loses_its_comments_before_it_is_refused(tmp_path: Path) -> None:
    hosts = [a_host(f"server-{n:05}", n, evidence="why " * 70) for n in range(3600)]
    draft_plan([LAB], hosts, tmp_path / "p.yaml", sealed=False)
    assert "why" not in (tmp_path / "p.yaml").read_text()
    with pytest.raises(InvalidInput, match="1024 KiB"):
        draft_plan([LAB], [a_host(f"{n}-{'x' * 900}", n) for n in range(1200)], tmp_path / "q.yaml")
    assert not (tmp_path / "q.yaml").exists()
