"""`ferry discover` against a real libvirtd: what a definition says, what an agent says, and the draft."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from orchestrator.cli.main import app
from orchestrator.contract.provider import Adapter, Reader
from orchestrator.model.machine import MachineRef
from tests.rigs.kvm_rig import KvmRig

pytestmark = pytest.mark.kvm

OSINFO = "http://libosinfo.org/xmlns/libvirt/domain/1.0"


def says(rig: KvmRig, ref: MachineRef, system: str) -> None:
    """Write into a domain's definition what virt-install writes there."""
    text = (
        f'<libosinfo:libosinfo xmlns:libosinfo="{OSINFO}"><libosinfo:os id="{system}"/></libosinfo:libosinfo>'
    )
    plain = (
        rig.conn.lookupByUUIDString(ref.id)
        .XMLDesc(2)
        .replace("</name>", f"</name><metadata>{text}</metadata>")
    )
    rig.conn.defineXML(plain)


def discover(rig: KvmRig, state: Path, *arguments: str | Path) -> Result:
    words = ["discover", rig.daemon.uri, "--state", f"sqlite:///{state / 'ferry.db'}", *map(str, arguments)]
    return CliRunner().invoke(app, words)


def test_a_domain_defined_as_2008_is_a_candidate_with_its_details_and_is_drafted(
    rig: KvmRig, tmp_path: Path
) -> None:
    old, r2, plain = (rig.make_machine(rig.name(stem)) for stem in ("old", "r2", "plain"))
    says(rig, old, "http://microsoft.com/win/2k8")
    says(rig, r2, "http://microsoft.com/win/2k8r2")
    rig.set_running(old, True)
    out = tmp_path / "plan.yaml"
    done = discover(rig, tmp_path, "-o", out, "--json")
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    (found,) = document["machines"]
    assert (found["listed"]["ref"]["id"], found["verdict"]) == (old.id, "candidate")
    assert found["reasons"] == ["its definition says http://microsoft.com/win/2k8: Windows Server 2008"]
    assert (found["details"]["power"], found["details"]["firmware"]) == ("on", "bios")
    assert found["details"]["nics"][0]["network"] == f"network:{rig.ordinary}"
    assert f"vm: {old.name}" in out.read_text()
    everything = json.loads(discover(rig, tmp_path, "--all", "--json").stdout)["machines"]
    names = {m["listed"]["ref"]["name"]: m["verdict"] for m in everything}
    assert (names[r2.name], names[plain.name]) == ("other", "unknown")


def test_agent_is_asked_only_over_a_connection_that_may(
    rig: KvmRig, adapter: Adapter, reader: Reader
) -> None:
    ref = rig.make_guest(rig.name("guest"))
    told = {one.ref.id: one.guest for one in adapter.inventory.listing()}[ref.id]
    assert told is not None
    assert told.build
    assert {one.ref.id: one.guest for one in reader.inventory.listing()}[ref.id] is None


def test_another_system_that_the_agent_names_overrules_a_definition(rig: KvmRig, tmp_path: Path) -> None:
    ref = rig.make_guest(rig.name("guest"))
    everything = json.loads(discover(rig, tmp_path, "--all", "--ask-agents", "--json").stdout)["machines"]
    (found,) = [m for m in everything if m["listed"]["ref"]["id"] == ref.id]
    assert found["verdict"] == "other"
    assert found["reasons"][0].startswith("the agent inside says: ")
