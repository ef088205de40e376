"""A collector through a real guest agent: put, run, fetched and deleted.

The guest is a Linux one in which small scripts stand in for Windows' programs; what they print was made up.
"""

from __future__ import annotations

import base64
import json

import pytest

from orchestrator.contract.conformance.effect import RecordingEffect
from orchestrator.contract.provider import ObjectKind
from orchestrator.diagnostics import FerryError
from orchestrator.guest.collectors import Collector, collect_in_guest, script
from providers.kvm.adapter import KvmAdapter
from tests.rigs.kvm_rig import KvmRig
from tests.unit.guest.collectors.shapes import CSCRIPT

pytestmark = [pytest.mark.kvm, pytest.mark.timeout(300)]

# To Linux these are plain names: of a program on its path, of files in the root folder, where the agent runs.
CSCRIPT_EXE = r"C:\Windows\System32\cscript.exe"
LEFT = r"ls -a / | grep 'ferry\.'"


def stand_in(rig: KvmRig, path: str, body: str) -> None:
    code = base64.b64encode(f"#!/bin/sh\n{body}\n".encode()).decode()
    rig.agent_guest.shell(f"echo {code} | base64 -d > '{path}'; chmod 755 '{path}'")


@pytest.fixture
def windows(rig: KvmRig) -> KvmRig:
    """The guest with a shell that names its Windows folder, and the collector's output ready."""
    stand_in(rig, "/bin/cmd.exe", r"echo 'C:\Windows'")
    text = json.dumps(CSCRIPT)
    for at in range(0, len(text), 1024):  # a console takes only so much in one line
        part = base64.b64encode(text[at : at + 1024].encode()).decode()
        rig.agent_guest.shell(f"echo {part} | base64 -d {'>' if at == 0 else '>>'} /recorded")
    return rig


def hand() -> RecordingEffect:
    return RecordingEffect("ferry.r1.FILE01.collect")


def test_collector_goes_in_runs_and_is_gone(windows: KvmRig, adapter: KvmAdapter) -> None:
    ref, effect = windows.make_guest("x"), hand()
    stand_in(windows, f"/bin/{CSCRIPT_EXE}", 'cp "$2" /seen; cp /recorded "$3"; cp /recorded "$3.tmp"')
    found = collect_in_guest(adapter.guests, ref, Collector.CSCRIPT, effect)
    assert found.identity.hostname == "OLD01"
    carried = windows.agent_guest.file("/seen")
    assert carried == script(Collector.CSCRIPT).replace("\n", "\r\n").encode("ascii")
    assert windows.agent_guest.shell(LEFT).strip() == ""
    assert not effect.ledger.left(ObjectKind.GUEST_FILE)


def test_collector_that_fails_is_gone_too(windows: KvmRig, adapter: KvmAdapter) -> None:
    ref, effect = windows.make_guest("x"), hand()
    stand_in(windows, f"/bin/{CSCRIPT_EXE}", 'echo "no right"; cp /recorded "$3"; exit 1')
    with pytest.raises(FerryError, match=r"ended with 1 .*no right"):
        collect_in_guest(adapter.guests, ref, Collector.CSCRIPT, effect)
    assert windows.agent_guest.shell(LEFT).strip() == ""
    assert not effect.ledger.left(ObjectKind.GUEST_FILE)
