"""`ferry discover` against the rig's vCenter: over TLS with our CA, with few calls, by path where names are
not unique."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from orchestrator.cli.main import app
from tests.rigs.vcsim import Vcsim, vcsim

NETWORK = "VM Network"


@pytest.fixture(scope="module")
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vcsim]:
    with vcsim(tmp_path_factory.mktemp("vcenter"), datacenters=2) as started:
        _fill(started)
        yield started


def _fill(sim: Vcsim) -> None:
    def machine(name: str, guest_id: str, **more: Any) -> None:
        disks = [{"size": 1 << 20, "bus": "scsi"}]
        sim.control("machine", name=name, guest_id=guest_id, disks=disks, nics=[NETWORK], **more)

    r2 = {"full_name": "Microsoft Windows Server 2008 R2 (64-bit)", "hostname": "r2"}
    sp2 = {
        "full_name": "Microsoft Windows Server 2008 (32-bit)",
        "hostname": "APP07.corp.example",
        "build": "6003",
    }
    machine("app", "winLonghorn64Guest", folder="Branch")
    machine("app", "winLonghorn64Guest", folder="Head")
    machine("seen", "winLonghornGuest", folder="Branch", running=True, tools=True, guest=sp2)
    machine("lifted", "winLonghorn64Guest", folder="Head", running=True, tools=True, guest=r2)
    machine("new", "windows2019srvNext_64Guest", folder="Branch", running=True)
    machine("far", "winLonghorn64Guest", datacenter="DC1")
    sim.control("template", name="gold2008", guest_id="winLonghorn64Guest", disks=[{"size": 1 << 20}])


@pytest.fixture
def discover(sim: Vcsim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("RIG_VC_PASSWORD", sim.password)

    def run(path: str, *arguments: str | Path, **words: str) -> Result:
        settings = {"password_env": "RIG_VC_PASSWORD", "ca_file": str(sim.ca_file)} | words
        query = "&".join(f"{key}={value}" for key, value in settings.items() if value)
        url = f"vsphere://{sim.user}@{sim.server}:{sim.port}{path}?{query}"
        state = f"sqlite:///{tmp_path / 'ferry.db'}"
        return CliRunner().invoke(app, ["discover", url, "--state", state, *map(str, arguments)])

    return run


def found_in(done: Result) -> dict[str, str]:
    assert done.exit_code == 0, done.output
    return {m["listed"]["path"]: m["verdict"] for m in json.loads(done.stdout)["machines"]}


def test_candidates_of_a_datacenter_with_their_evidence(discover: Any) -> None:
    assert found_in(discover("/DC0", "--json")) == {
        "/DC0/vm/Branch/seen": "confirmed",
        "/DC0/vm/Branch/app": "candidate",
        "/DC0/vm/Head/app": "candidate",
        "/DC0/vm/Head/lifted": "doubtful",
        "/DC0/vm/gold2008": "doubtful",
    }


def test_a_folder_narrows_it_and_one_that_is_not_there_is_no_empty_answer(discover: Any) -> None:
    assert set(found_in(discover("/DC0/Branch", "--json"))) == {"/DC0/vm/Branch/seen", "/DC0/vm/Branch/app"}
    done = discover("/DC0/Brunch")
    assert done.exit_code == 2
    assert "no machine is at or below Brunch" in done.stderr


def test_all_datacenters_where_none_is_named(discover: Any) -> None:
    assert "/DC1/vm/far" in found_in(discover("", "--json"))


def test_the_draft_names_machines_by_path_where_names_are_not_unique(
    discover: Any, sim: Vcsim, tmp_path: Path
) -> None:
    out = tmp_path / "plan.yaml"
    done = discover("/DC0", "-o", out)
    assert done.exit_code == 0, done.output
    text = out.read_text()
    assert "- name: APP07\n    source: {endpoint: " in text
    assert "expect: {build: 6003, arch: x86}" in text
    assert "vm: /DC0/vm/Branch/app}" in text
    assert "vm: /DC0/vm/Head/app}" in text
    assert "vm: seen}" in text
    assert "gold2008" not in text
    assert sim.password not in text + done.output
    told = CliRunner().invoke(app, ["plan", "validate", str(out), "--json"])
    assert {p["code"] for p in json.loads(told.stdout)["problems"]} == {"fill-in"}


def test_calls_do_not_grow_with_the_machines(discover: Any, sim: Vcsim) -> None:
    """One login, and no call per machine; a listing pages by hundreds, so few machines are one page."""
    sim.control("counts/reset")
    assert discover("/DC0").exit_code == 0
    counts = sim.control("counts")
    assert counts["logins"] == 1
    assert counts["calls"].get("RetrievePropertiesEx", 0) <= 8, counts
    assert not [name for name in counts["calls"] if name.endswith("_Task")]


def test_a_wrong_authority_and_a_wrong_password_are_told_as_such(
    discover: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = discover("/DC0", ca_file="", fingerprint="00" * 32)
    assert wrong.exit_code == 5, wrong.output
    monkeypatch.setenv("RIG_VC_PASSWORD", "Hunter2hunter")
    denied = discover("/DC0", "-o", tmp_path / "plan.yaml")
    assert denied.exit_code == 5, denied.output
    assert "Hunter2" not in denied.output
    assert not (tmp_path / "plan.yaml").exists()
