"""A checked plan file becomes a complete PlanFile."""

import hashlib
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from orchestrator.diagnostics import InvalidInput, Severity
from orchestrator.model.machine import Consistency
from orchestrator.model.network import IsolationMode
from orchestrator.model.plan import Disposition, PlanFile
from orchestrator.model.secret import SecretRef
from orchestrator.model.target import CopyMode
from orchestrator.planfile import check_plan, load_plan
from tests.unit.planfile.conftest import TODAY, Check


def plan_of(check: Check, text: str) -> PlanFile:
    plan, problems = check(text)
    assert not [str(p) for p in problems if p.severity is Severity.ERROR]
    assert plan is not None
    return plan


def test_the_least_there_can_be_has_every_default_filled_in(check: Check, good: str) -> None:
    plan = plan_of(check, good)
    [host] = plan.hosts
    assert (plan.waves, plan.stop_wave_after, plan.change.approvals) == (("all",), 1, 0)
    assert (host.disposition, host.snapshot) == (Disposition.CONTAIN, Consistency.CRASH)
    assert host.isolation is not None
    assert host.isolation.mode is IsolationMode.UNPLUGGED
    assert host.target is not None
    assert host.target.copy_mode is CopyMode.OVERLAY
    assert (host.target.cpus, host.target.memory_bytes) == (2, 4 * 1024**3)
    assert (host.target.computer_name, host.target.address) == ("FILE01N", None)
    assert host.target.first_boot_limit == timedelta(minutes=15)
    assert host.parity is not None
    assert (host.parity.profile, host.parity.gate) == ("generic", False)


def test_path_is_as_given_and_the_digest_is_of_the_bytes(
    tmp_path: Path, good: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("p.yaml").write_text(good)
    plan = load_plan(Path("p.yaml"), today=TODAY)
    assert plan.path == "p.yaml"
    assert plan.sha256 == hashlib.sha256(good.encode()).hexdigest()


def test_values_are_plain_types_that_survive_json(check: Check, good: str) -> None:
    plan = plan_of(check, good)
    assert type(plan.hosts[0].vm) is str
    assert type(plan.hosts[0].name) is str
    assert type(plan.endpoints[0].settings["uri"]) is str
    assert PlanFile.model_validate_json(plan.model_dump_json()) == plan


@pytest.mark.parametrize(
    "written", ["52:54:00:12:34:56", "22:30", "no", "010", "0x10", "1e3", "true", "2026-12-05"]
)
def test_text_fields_take_text_as_written(check: Check, good: str, written: str) -> None:
    plan = plan_of(check, good.replace("vm: file01}", f"vm: {written}}}"))
    assert plan.hosts[0].vm == written


def test_defaults_hold_unless_the_host_says_otherwise(check: Check, good: str) -> None:
    plan = plan_of(
        check,
        good.replace("      image: win2025-golden\n", "").replace(
            "      release: 2025\n", "      release: 2022\n"
        )
        + """\
    snapshot: {consistency: offline}
    parity:
      gate: false
      waivers: [{item: "service:A", reason: own, owner: x, expires: 2027-01-01}]
defaults:
  snapshot: {consistency: filesystem}
  failure: {stop_wave_after: 3}
  target: {image: golden, release: 2025, copy: full, memory: 512MiB, first_boot_limit: 1h30m}
  parity:
    profile: file-server
    gate: true
    waivers:
      - {item: "service:A", reason: common, owner: x, expires: 2027-01-01}
      - {item: "service:B", reason: common, owner: x, expires: 2027-01-01}
""",
    )
    [host] = plan.hosts
    assert host.snapshot is Consistency.OFFLINE
    assert plan.stop_wave_after == 3
    assert host.target is not None
    assert (host.target.image, host.target.release, host.target.copy_mode) == ("golden", 2022, CopyMode.FULL)
    assert (host.target.memory_bytes, host.target.first_boot_limit) == (512 * 1024**2, timedelta(minutes=90))
    assert host.parity is not None
    assert (host.parity.profile, host.parity.gate) == ("file-server", False)
    assert [(w.item, w.reason) for w in host.parity.waivers] == [
        ("service:A", "own"),
        ("service:B", "common"),
    ]


def test_networks_and_addresses_are_resolved(check: Check, good: str) -> None:
    plan = plan_of(
        check,
        good.replace("contain: {mode: unplugged}", "contain: {network: q}").replace(
            "networks:\n",
            "networks:\n  q: {endpoint: lab, name: ferry-q, mode: filtered, uplink: br0, create: true,"
            " allow: [{to: 198.51.100.10/32, port: 445, why: export}, {to: 203.0.113.0/24, proto: icmp}]}\n",
        )
        + "      address: {ip: 198.51.100.20/24, gateway: 198.51.100.1, dns: [198.51.100.2, 2001:db8::1]}\n",
    )
    isolation, target = plan.hosts[0].isolation, plan.hosts[0].target
    assert isolation is not None
    assert isolation.mode is IsolationMode.FILTERED
    assert isolation.network is not None
    assert (isolation.network.name, isolation.network.uplink) == ("ferry-q", "br0")
    assert [(f.to, f.port, f.proto) for f in isolation.network.allow] == [
        ("198.51.100.10", 445, "tcp"),
        ("203.0.113.0/24", None, "icmp"),
    ]
    assert target is not None
    assert target.network.name == "staging"
    assert target.address is not None
    assert target.address.dns == ("198.51.100.2", "2001:db8::1")


def test_relative_paths_start_at_the_plan_files_folder(tmp_path: Path, good: str) -> None:
    path = tmp_path / "p.yaml"
    sim = "lab: {provider: simulated, world: sub/world.json, latency_ms: 5}"
    path.write_text(
        good.replace('lab: {provider: kvm, uri: "qemu:///system"}', sim).replace(
            "{env: STAGING_ADMIN}", "{file: pw}"
        )
    )
    plan = load_plan(path, today=TODAY)
    assert plan.endpoints[0].settings == {"latency_ms": 5, "world": str(tmp_path / "sub/world.json")}
    assert plan.hosts[0].target is not None
    assert plan.hosts[0].target.admin_password == SecretRef(file=str(tmp_path / "pw"))


def test_settings_hold_only_what_the_file_says(check: Check, good: str) -> None:
    [endpoint] = plan_of(check, good.replace('system"}', 'system", max_parallel: 7}')).endpoints
    assert (endpoint.provider, endpoint.max_parallel) == ("kvm", 7)
    assert endpoint.settings == {"uri": "qemu:///system"}


def test_waves_run_as_listed_else_as_they_first_appear(check: Check, good: str) -> None:
    def second(wave: str) -> str:
        return (
            f"  - name: B\n    source: {{endpoint: lab, vm: b}}\n    wave: {wave}\n"
            "    disposition: contain\n    contain: {mode: unplugged}\n"
        )

    two = good.replace("    disposition", "    wave: late\n    disposition", 1) + second("early")
    assert plan_of(check, two).waves == ("late", "early")
    assert plan_of(check, two + "waves: [early, late]\n").waves == ("early", "late")


def test_the_window_is_aware_and_of_doubtful_times_the_shorter_reading(check: Check, good: str) -> None:
    zone = ZoneInfo("Europe/Berlin")
    window = (
        "change: {window: {opens: 2026-12-05T22:00, closes: 2026-12-06T04:00, timezone: Europe/Berlin}}\n"
    )
    found = plan_of(check, good + window).change.window
    assert found is not None
    assert found.opens == datetime(2026, 12, 5, 22, tzinfo=zone)
    assert found.closes - found.opens == timedelta(hours=6)
    doubtful = window.replace("2026-12-05T22:00", "2027-10-31T02:00").replace(
        "2026-12-06T04:00", "2027-10-31T03:00"
    )
    found = plan_of(check, good + doubtful).change.window
    assert found is not None
    assert found.closes.timestamp() - found.opens.timestamp() == 3600


def test_a_lift_to_azure(check: Check, good: str) -> None:
    text = (
        good.replace(
            "networks:",
            "  az: {provider: azure, subscription: {env: S}, resource_group: g, location: l}\nnetworks:",
        )
        .replace(
            "disposition: contain\n    contain: {mode: unplugged}",
            "disposition: lift\n    lift: {endpoint: az, size: Standard_D2s_v3, subnet: v/s,"
            " allow: [{to: 198.51.100.1, port: 53, proto: udp}]}",
        )
        .replace("endpoint: lab\n      release", "endpoint: az\n      release")
        .replace("network: staging\n", "subnet: v/new\n")
        .replace("image: win2025-golden", 'image: "p:o:s:latest"')
    )
    [host] = plan_of(check, text).hosts
    assert host.isolation is None
    assert host.lift is not None
    assert (host.lift.source_after, host.lift.allow[0].proto) == ("off-and-isolated", "udp")
    assert host.target is not None
    assert (host.target.network.name, host.target.network.mode) == ("v/new", None)


def test_a_later_format_is_not_searched_for_problems(check: Check, good: str) -> None:
    plan, problems = check(good.replace("ferry: 1", "ferry: 2").replace("endpoint: lab", "endpoint: lob"))
    assert plan is None
    assert [p.code for p in problems] == ["format"]


def test_load_raises_all_errors_and_no_warnings(tmp_path: Path, good: str) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("change: {approvals: -1}\nx: 1\n" + good + "snapshot_jobs: []\n")
    with pytest.raises(InvalidInput) as caught:
        load_plan(path, today=TODAY)
    assert [d.code for d in caught.value.diagnostics] == ["range", "unknown-key"]


def test_waivers_expire_on_the_day_given(tmp_path: Path, good: str) -> None:
    path = tmp_path / "p.yaml"
    waiver = '{item: "service:A", reason: r, owner: o, expires: 2027-01-02}'
    path.write_text(good + f"    parity: {{waivers: [{waiver}]}}\n")
    load_plan(path, today=date(2027, 1, 1))
    with pytest.raises(InvalidInput, match="expired"):
        load_plan(path, today=date(2027, 1, 2))


def test_a_parity_profile_that_there_is_not_is_named_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(
        'ferry: 1\nname: n\nowner: o\nendpoints:\n  l: {provider: kvm, uri: "qemu:///system"}\n'
        "hosts:\n  - {name: H, source: {endpoint: l, vm: h}, disposition: contain,\n"
        "     contain: {mode: unplugged}, parity: {profile: file-sever}}\n"
    )
    _, problems = check_plan(path, date(2026, 1, 1), ("generic", "file-server"))
    assert [str(p) for p in problems if p.code == "unknown-profile"] == [
        f"{path}:8:52: there is no parity profile `file-sever`; did you mean `file-server`?"
    ]
    assert not [p for p in check_plan(path, date(2026, 1, 1))[1] if p.code == "unknown-profile"]
