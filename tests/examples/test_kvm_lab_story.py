"""`make demo`, `demo-undo` and `demo-clean`, run as a person does, in a network namespace of their own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import libvirt
import pytest

from tests.rigs.definitions import comparable
from tests.rigs.libvirtd import missing

pytestmark = [pytest.mark.kvm, pytest.mark.timeout(300)]
LAB = Path(__file__).resolve().parents[2] / "examples" / "kvm-lab"


class Stage:
    """Where the story plays: folders and a network namespace, so that a user's own lab is left alone."""

    def __init__(self, home: Path, libvirt_state: Path, namespace: str) -> None:
        self.home, self.state, self.namespace = home, libvirt_state, namespace
        self.uri = f"qemu+unix:///system?socket={libvirt_state}/run/libvirt-sock"
        home.mkdir()
        # What the story chooses by itself where no system libvirtd runs; here it must, whatever runs.
        (home / "hypervisor.json").write_text('{"private": true}')

    def act(self, name: str) -> str:
        own = {"FERRY_LAB_HOME": str(self.home), "FERRY_LAB_LIBVIRT": str(self.state)}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        done = subprocess.run(
            ["ip", "netns", "exec", self.namespace, str(LAB / name)],
            env=os.environ | own | {"PATH": path}, text=True, capture_output=True, timeout=280, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def open(self) -> Any:
        libvirt.registerErrorHandler(lambda *_: None, None)
        return libvirt.open(self.uri)

    def domain(self, name: str) -> Any:
        return self.open().lookupByName(f"ferry-lab-{name}")

    def networks(self, name: str) -> list[str]:
        root = ElementTree.fromstring(self.domain(name).XMLDesc())  # noqa: S314  # libvirt wrote it
        return [s.get("network", "") for s in root.findall("./devices/interface/source")]

    def definition(self, name: str) -> str:
        text = self.domain(name).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
        return comparable(ElementTree.fromstring(text))  # noqa: S314  # libvirt wrote it


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    if lacking := missing():
        pytest.skip(f"a private libvirtd needs: {', '.join(lacking)}")
    namespace = f"ferry-story-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", namespace], check=True)
    subprocess.run(["ip", "-n", namespace, "link", "set", "lo", "up"], check=True)
    state = Path(tempfile.mkdtemp(prefix="ferry-story-"))
    made = Stage(tmp_path / "home", state, namespace)
    yield made
    if made.home.exists():
        made.act("clean")
    subprocess.run(["ip", "netns", "del", namespace], check=True)
    shutil.rmtree(state, ignore_errors=True)


def test_the_story_shows_the_main_job_and_takes_it_back(stage: Stage) -> None:
    told = stage.act("demo")

    assert stage.uri in told
    for name in ("file01", "app02"):
        assert stage.networks(name) == ["ferry-lab-quarantine"]
        assert len(stage.domain(name).snapshotListNames()) == 1
        assert stage.domain(f"{name}n").isActive()
    assert "share:Projects$" in told, "parity names a planted difference"
    assert "waived until" in told, "parity shows the waived difference"
    page = (stage.home / "report-after" / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"(src|href|url)\s*[=(]\s*[\"']?(\w+:)?//", page), "the report loads nothing"

    again = stage.act("demo")
    assert "has run already" in again

    undone = stage.act("undo")
    assert "done" in undone
    for name in ("file01", "app02"):
        assert stage.networks(name) == ["ferry-lab-office"]
        assert stage.domain(name).snapshotListNames() == []
        before = (stage.home / f"{name}-before.xml").read_text(encoding="utf-8")
        assert stage.definition(name) == comparable(ElementTree.fromstring(before))  # noqa: S314
    assert sorted(d.name() for d in stage.open().listAllDomains()) == ["ferry-lab-app02", "ferry-lab-file01"]

    stage.act("clean")
    assert not stage.home.exists()
    assert not stage.state.exists()
