"""The vSphere lab's `start`, `demo`, `undo` and `clean`, run as a person does, on the simulated vCenter.

What the run did and what its undo left is looked at with govc alone, VMware's own client.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.rigs.vcsim import go

pytestmark = pytest.mark.timeout(300)
LAB = Path(__file__).resolve().parents[2] / "examples" / "vsphere-lab"
TICKET = "CHG0000043"
SERVERS = ("FILE01", "APP02")
HOSTS = ("/DC0/host/DC0_C0/DC0_C0_H0", "/DC0/host/DC0_C0/DC0_C0_H1")


class Stage:
    """Where the story plays: a folder of its own, so that a user's own lab is left alone."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.told = ""

    def act(self, *words: str) -> str:
        own = {"FERRY_VSPHERE_LAB_HOME": str(self.home)}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        done = subprocess.run(
            [str(LAB / words[0]), *words[1:]],
            env=os.environ | own | {"PATH": path}, text=True, capture_output=True, timeout=280, check=False,
        )  # fmt: skip
        self.told += done.stdout + done.stderr
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @property
    def facts(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.home / "vcenter.json").read_text())
        return found

    def secret(self, file: str) -> str:
        return (self.home / file).read_text().strip()

    def govc(self, *words: str) -> str:
        own = {
            "GOVC_URL": self.facts["url"],
            "GOVC_USERNAME": self.facts["username"],
            "GOVC_PASSWORD": self.secret("password"),
            "GOVC_TLS_CA_CERTS": self.facts["ca_file"],
            "GOVC_PERSIST_SESSION": "false",
            "GOVMOMI_HOME": str(self.home / "looking"),
        }
        done = subprocess.run(
            [self.facts["govc"], *words], env=own, text=True, capture_output=True, timeout=60, check=False
        )
        assert done.returncode == 0, f"govc {' '.join(words)}: {done.stderr}"
        return done.stdout

    def property(self, path: str, name: str) -> Any:
        (found,) = json.loads(self.govc("object.collect", "-json", path, name))
        return found["val"]

    def cards(self, name: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(
            self.govc("device.info", "-json", "-vm", name, "ethernet-*")
        )["devices"]
        return found

    def options(self, name: str) -> dict[str, str]:
        found = self.property(f"vm/Branch/{name}", "config.extraConfig")["_value"]
        return {option["key"]: str(option["value"]) for option in found}

    def snapshots(self, name: str) -> list[dict[str, Any]]:
        found = self.property(f"vm/Branch/{name}", "snapshot")
        return [] if found is None else list(found["rootSnapshotList"])

    def world(self) -> dict[str, Any]:
        """All that a run may change, as govc sees it."""
        return {
            "machines": sorted(self.govc("find", "vm").split()),
            "networks": sorted(self.govc("ls", "network").splitlines()),
            "switches": [json.loads(self.govc("host.vswitch.info", "-json", "-host", h)) for h in HOSTS],
            "portgroups": [json.loads(self.govc("host.portgroup.info", "-json", "-host", h)) for h in HOSTS],
            "cards": {name: self.cards(name) for name in SERVERS},
            "disks": {name: self.govc("device.info", "-json", "-vm", name, "disk-*") for name in SERVERS},
            "options": {name: self.options(name) for name in SERVERS},
            "power": {name: self.property(f"vm/Branch/{name}", "runtime.powerState") for name in SERVERS},
            "snapshots": {name: self.snapshots(name) for name in SERVERS},
            "files": sorted(self.govc("datastore.ls", "-R", "-ds", "LocalDS_0").split()),
        }


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    go()
    made = Stage(tmp_path / "home")
    yield made
    made.act("clean")


def test_the_story_shows_the_main_job_and_takes_it_back(stage: Stage) -> None:
    assert "not tested on a vCenter" in stage.act("lab", "start")
    before = stage.world()
    told = stage.act("demo")

    run = (stage.home / "run").read_text().strip()
    assert "not tested on a vCenter" in told
    assert "share:Projects$" in told, "parity names a planted difference"
    assert "waived until" in told, "parity shows the waived difference"
    assert "candidate" in told, "discover does not take a guest id for a verdict"
    look_at_isolation(stage, before)
    for name in SERVERS:
        look_at_snapshot(stage, name, run)
        look_at_trace(stage, name, run)
        assert stage.property(f"vm/Branch/{name}", "runtime.powerState") == "poweredOn"
        assert "ferry-claim" not in stage.options(name), "the claim is taken off at the end of the run"
    look_at_replacement(stage, "FILE01N", cpus=2, memory=4096)
    look_at_replacement(stage, "APP02N", cpus=1, memory=2048)
    page = (stage.home / "report-after" / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"(src|href|url)\s*[=(]\s*[\"']?(\w+:)?//", page), "the report loads nothing"

    assert "has run already" in stage.act("demo")

    assert "done" in stage.act("undo")
    assert stage.world() == before
    no_password_in_what_was_told_or_written(stage)

    pid = stage.facts["pid"]
    stage.act("clean")
    assert not stage.home.exists()
    assert not runs(pid)


def runs(pid: int) -> bool:
    """Whether the process still does: one that nobody has waited for yet has no command line left."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""
    except (FileNotFoundError, ProcessLookupError):
        return False


def look_at_isolation(stage: Stage, before: dict[str, Any]) -> None:
    """Each server's card is on its sealed network with its MAC and link; nothing leaves those networks."""
    (standard,), (distributed,) = stage.cards("FILE01"), stage.cards("APP02")
    assert standard["backing"]["deviceName"] == "ferry-lab-quarantine"
    key = stage.property("network/ferry-lab-sealed", "key")
    assert distributed["backing"]["port"]["portgroupKey"] == key
    for name, card in (("FILE01", standard), ("APP02", distributed)):
        assert card["macAddress"] == before["cards"][name][0]["macAddress"]
        assert card["connectable"]["connected"]
        assert card["connectable"]["startConnected"]
    for host in HOSTS:
        groups = json.loads(stage.govc("host.portgroup.info", "-json", "-host", host))["portgroup"]
        (switch,) = [g["spec"]["vswitchName"] for g in groups if g["spec"]["name"] == "ferry-lab-quarantine"]
        assert [g["spec"]["name"] for g in groups if g["spec"]["vswitchName"] == switch] == [
            "ferry-lab-quarantine"
        ]
        switches = json.loads(stage.govc("host.vswitch.info", "-json", "-host", host))["vswitch"]
        (found,) = [one for one in switches if one["name"] == switch]
        assert not found.get("pnic"), "the quarantine's switch has no physical card"


def look_at_snapshot(stage: Stage, name: str, run: str) -> None:
    """There is one snapshot, and it bears this run's token."""
    (found,) = stage.snapshots(name)
    assert not found.get("childSnapshotList")
    assert f"ferry token: ferry.{run}.{name}.snapshot" in found["description"]
    assert not found["quiesced"], "crash was asked for, and nothing better is claimed"


def look_at_trace(stage: Stage, name: str, run: str) -> None:
    """Other administrators read in the machine's events who did it, and under which ticket."""
    events = stage.govc("events", f"/DC0/vm/Branch/{name}").splitlines()
    assert any(run in event and TICKET in event for event in events), events


def look_at_replacement(stage: Stage, name: str, *, cpus: int, memory: int) -> None:
    """The clone is there once, runs, and has the hardware, network and computer name of the plan."""
    (path,) = stage.govc("find", ".", "-type", "m", "-name", name).split()
    assert stage.property(path, "config.hardware.numCPU") == cpus
    assert stage.property(path, "config.hardware.memoryMB") == memory
    assert stage.property(path, "runtime.powerState") == "poweredOn"
    assert stage.property(path, "guest.hostName") == name
    (card,) = stage.cards(name)
    assert card["backing"]["deviceName"] == "ferry-lab-staging"
    assert stage.property(path, "snapshot") is None, "the inventory's snapshot is gone"


def no_password_in_what_was_told_or_written(stage: Stage) -> None:
    secrets = [stage.secret(file).encode() for file in ("password", "admin-password")]
    assert not any(secret in stage.told.encode() for secret in secrets)
    assert all(len(secret) > 10 for secret in secrets)
    kept = {stage.home / name for name in ("password", "admin-password", "site/config.json")}
    for path in sorted(set(stage.home.rglob("*")) - kept):
        if path.is_file() and not path.is_relative_to(stage.home / "images"):
            content = path.read_bytes()
            found = [secret for secret in secrets if secret in content]
            assert not found, f"{path} holds a password"
