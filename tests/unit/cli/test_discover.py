"""`ferry discover` on a simulated data centre, through the real command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from orchestrator.changeset import store
from orchestrator.cli.main import app
from orchestrator.contract.errors import ErrorKind
from orchestrator.engine import evidence, runs
from orchestrator.engine.state import open_state
from orchestrator.model.facts import ServerFacts
from orchestrator.model.machine import GuestOs, MachineRef
from orchestrator.model.network import Finding
from providers.simulated import FaultKind, FaultRule, World
from providers.simulated.inventory import SimInventory
from providers.simulated.preflight import SimPreflight
from tests.unit import builders as b

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
SP2 = GuestOs(
    product="Windows Server (R) 2008 Enterprise",
    version="6.0",
    build="6003",
    variant="server",
    arch="x86_64",
    hostname="FILE01.corp.example",
)


class Site:
    """A simulated centre, and the commands on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.world = World.create(folder / "centre.json")
        self.url = f"simulated://{self.world.path}"
        self.state = f"sqlite:///{folder / 'ferry.db'}"

    def add(self, name: str, os: str = "", *, guest: GuestOs | None = None, folder: str = "") -> MachineRef:
        ref = self.world.add_machine(name, running=True, guest=guest)
        with self.world.edit() as centre:
            centre.machines[ref.id].configured_os = os
            centre.machines[ref.id].folder = folder
        return ref

    def discover(self, *arguments: str | Path) -> Result:
        return ferry("discover", *arguments, "--state", self.state)

    def document(self, *arguments: str | Path) -> dict[str, Any]:
        done = self.discover(*arguments, "--json")
        assert done.exit_code == 0, done.output
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def seen(self, ref: MachineRef, facts: ServerFacts, identity: str | None = None) -> None:
        """Keep facts of a machine in the state, as a run does."""
        endpoint = b.an_endpoint("sim", "simulated")
        own = identity or f"simulated:{self.world.read().id}"
        info = endpoint.info.model_copy(update={"identity": own})
        machine = b.a_machine(ref.name, endpoint="sim").model_copy(update={"ref": ref})
        made = b.a_change_set(
            b.a_host_change("SOME-HOST", source=machine),
            endpoints=(endpoint.model_copy(update={"info": info}),),
        )
        state = open_state(self.state, lambda: NOW)
        with state.write() as connection:
            runs.insert(connection, "r7", store.digest(made), store.body(made), made, NOW)
            evidence.put(connection, "r7", "SOME-HOST", "facts-source", facts, NOW)
        state.close()


def ferry(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def verdicts(document: dict[str, Any]) -> dict[str, str]:
    return {m["listed"]["ref"]["name"]: m["verdict"] for m in document["machines"]}


def test_a_fleet_is_told_apart_and_the_draft_validates_but_for_its_marks(site: Site) -> None:
    site.add("file01", "winLonghorn64Guest", guest=SP2, folder="Branch")
    site.add("app07", "winLonghornGuest")
    site.add("r2", "winLonghorn64Guest", guest=GuestOs(product="Microsoft Windows Server 2008 R2 (64-bit)"))
    site.add("new", "windows2019srv_64Guest")
    site.add("what")
    out = site.folder / "plan.yaml"
    done = site.discover(site.url, "-o", out)
    assert done.exit_code == 0, done.output
    rows = [line.split() for line in done.stdout.splitlines() if line and not line.startswith(" ")]
    assert rows[0] == ["HOST", "WHERE", "POWER", "VERDICT"]
    assert [(row[0], row[-1]) for row in rows[1:4]] == [
        ("file01", "confirmed"),
        ("app07", "candidate"),
        ("r2", "doubtful"),
    ]
    assert "5 machines: 1 confirmed, 1 candidate, 1 doubtful, 1 unknown, 1 other" in done.stdout
    assert "2 of them are not shown; --all" in done.stdout
    assert "a guest id or a product name is never a verdict" in done.stdout
    told = ferry("plan", "validate", out, "--json")
    assert told.exit_code == 2
    assert {p["code"] for p in json.loads(told.stdout)["problems"]} == {"fill-in"}
    text = out.read_text()
    assert "- name: FILE01\n    source: {endpoint: centre, vm: file01}\n    expect: {build: 6003" in text
    assert "r2" not in text.partition("hosts:")[2]


def test_details_are_read_only_of_those_that_count_and_all_shows_the_others(site: Site) -> None:
    site.add("app07", "winLonghornGuest")
    site.add("new", "windows2019srv_64Guest")
    assert verdicts(site.document(site.url)) == {"app07": "candidate"}
    everything = site.document(site.url, "--all")
    assert verdicts(everything) == {"app07": "candidate", "new": "other"}
    details = {m["listed"]["ref"]["name"]: m["details"] for m in everything["machines"]}
    assert details["new"] is None
    assert details["app07"]["nics"][0]["network"] == "network:prod"
    assert everything["endpoints"][0]["counts"] == {
        "confirmed": 0, "candidate": 1, "doubtful": 0, "unknown": 0, "other": 1,
    }  # fmt: skip


def test_one_call_reads_the_details_of_all(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        site.add(f"app{number}", "winLonghornGuest")
    site.add("new", "windows2019srv_64Guest")
    calls, real = [], SimInventory.machines

    def counted(self: SimInventory, names: Any = None) -> Any:
        calls.append(names)
        return real(self, names)

    monkeypatch.setattr(SimInventory, "machines", counted)
    assert len(site.document(site.url)["machines"]) == 5
    assert [len(names) for names in calls] == [5]


def test_what_a_run_saw_confirms_that_machine_and_no_other(site: Site) -> None:
    seen = site.add("quiet")
    site.add("quiet-too")
    site.seen(seen, b.server_facts())
    (found,) = site.document(site.url)["machines"]
    assert (found["listed"]["ref"]["id"], found["verdict"]) == (seen.id, "confirmed")
    assert found["reasons"][0].startswith("evidence of run r7, 2026-11-24: version 6.0")
    assert found["build"] == 6003


def test_what_a_run_saw_elsewhere_confirms_nothing(site: Site) -> None:
    site.seen(site.add("quiet"), b.server_facts(), identity="simulated:another")
    assert site.document(site.url)["machines"] == []


def test_a_state_that_saw_another_windows_makes_a_candidate_doubtful(site: Site) -> None:
    identity = b.an_identity(build=7601, version="6.1")
    site.seen(site.add("old", "winLonghornGuest"), b.server_facts(identity=identity))
    assert verdicts(site.document(site.url)) == {"old": "doubtful"}


def test_nothing_found_is_said_and_no_draft_is_written(site: Site) -> None:
    site.add("new", "windows2019srv_64Guest")
    done = site.discover(site.url, "-o", site.folder / "plan.yaml")
    assert done.exit_code == 0
    assert "nothing found that looks like a Windows Server 2008 SP2" in done.stdout
    assert "not written, since there is no host for it" in done.stdout
    assert not (site.folder / "plan.yaml").exists()


def test_a_draft_that_is_there_is_refused_before_anything_is_read(site: Site) -> None:
    out = site.folder / "plan.yaml"
    out.write_text("mine\n")
    done = site.discover("simulated:///nowhere/at/all.json", "-o", out)
    assert (done.exit_code, out.read_text()) == (2, "mine\n")
    assert "is there already" in done.stderr
    site.add("app07", "winLonghornGuest")
    assert site.discover(site.url, "-o", out, "--force", "--unplugged").exit_code == 0
    assert "contain: {mode: unplugged}" in out.read_text()


def test_a_plan_files_endpoints_are_searched_and_its_hosts_are_not_drafted_again(site: Site) -> None:
    site.add("file01", "winLonghornGuest", folder="Branch")
    site.add("app07", "winLonghornGuest")
    plan = site.folder / "plan.yaml"
    plan.write_text(
        "ferry: 1\nname: p\nowner: o\nendpoints:\n  sim: {provider: simulated, world: centre.json}\n"
        "hosts:\n  - {name: FILE01, source: {endpoint: sim, vm: Branch/file01},"
        " disposition: contain, contain: {mode: unplugged}}\n"
    )
    out = site.folder / "more.yaml"
    done = site.discover("--plan", plan, "-o", out)
    assert done.exit_code == 0, done.output
    assert "it is host FILE01 of the plan file" in done.stdout
    assert "1 host;" in done.stdout
    assert "app07" in out.read_text()
    assert "file01" not in out.read_text()


@pytest.mark.parametrize(("kind", "code"), [(ErrorKind.DENIED, 5), (ErrorKind.TRANSIENT, 5)])
def test_an_endpoint_that_cannot_be_read_ends_it_and_nothing_is_written(
    site: Site, kind: ErrorKind, code: int
) -> None:
    site.add("app07", "winLonghornGuest")
    with site.world.edit() as centre:
        centre.faults = [FaultRule(operation="listing", kind=FaultKind.BEFORE, error=kind, times=None)]
    done = site.discover(site.url, "-o", site.folder / "plan.yaml", "--json")
    assert done.exit_code == code
    assert json.loads(done.stdout)["error"]["code"] == kind.value
    assert not (site.folder / "plan.yaml").exists()


def test_no_endpoint_is_a_usage_error(site: Site) -> None:
    done = site.discover()
    assert done.exit_code == 2
    assert "no endpoint is named" in done.stderr


def test_a_password_in_a_url_is_refused_and_in_no_output(site: Site) -> None:
    done = site.discover("vsphere://ops:Hunter2hunter@vc.example.net/DC", "--json")
    assert done.exit_code == 2
    assert json.loads(done.stdout)["error"]["diagnostics"][0]["code"] == "secret"
    assert "Hunter2" not in done.output


def test_hostile_names_reach_neither_terminal_nor_plan_file(site: Site) -> None:
    hostile = "\x1b]0;owned\x07\r\n: {a: &b}\u202e" + "x" * 10_000
    guest = GuestOs(product=f"Windows Server 2008 {hostile}", hostname=hostile)
    site.add(hostile, "winLonghornGuest", guest=guest, folder=hostile)
    out = site.folder / "plan.yaml"
    done = site.discover(site.url, "-o", out)
    assert done.exit_code == 0, done.output
    for text in (done.stdout, out.read_text()):
        assert all(line.isprintable() for line in text.splitlines())
        assert max(map(len, text.splitlines())) < 1000
    told = json.loads(ferry("plan", "validate", out, "--json").stdout)
    assert {p["code"] for p in told["problems"]} == {"fill-in"}
    assert site.discover(site.url, "--json").stdout.isascii()


def test_the_installed_command_works_without_a_terminal(site: Site) -> None:
    site.add("app07", "winLonghornGuest")
    command = [sys.executable, "-m", "orchestrator", "discover", site.url]
    done = subprocess.run(
        command, env=os.environ | {"FERRY_STATE": site.state}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "app07" in done.stdout


def test_doctor_names_each_right_that_is_missing_and_what_needs_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    rights = (
        Finding(check="privilege VirtualMachine.State.CreateSnapshot", ok=True, detail="for snapshots"),
        Finding(check="privilege Network.Assign", ok=False, detail="missing; needed for isolation"),
    )
    monkeypatch.setattr(SimPreflight, "rights", lambda self: rights)
    site.add("app07")
    plan = site.folder / "plan.yaml"
    plan.write_text(
        "ferry: 1\nname: p\nowner: o\nendpoints:\n  sim: {provider: simulated, world: centre.json}\n"
        "hosts:\n  - {name: A, source: {endpoint: sim, vm: app07}, disposition: contain,"
        " contain: {mode: unplugged}}\n"
    )
    done = ferry("doctor", plan)
    assert done.exit_code == 1
    assert (
        "MISSING endpoint sim: privilege Network.Assign: missing; needed for isolation\n        -> have it"
        in done.stdout
    )
    assert "the account has 1 of the 2 rights" in done.stdout
    assert "CreateSnapshot" not in done.stdout
    plain = json.loads(ferry("doctor", plan, "--json").stdout)["checks"]
    assert [c["state"] for c in plain if "Network.Assign" in c["detail"]] == ["missing"]
