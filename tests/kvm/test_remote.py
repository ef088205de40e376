"""A libvirtd that is reached through another program, as by ssh: what needs its files is refused, all else
works."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.contract.conformance.effect import Ledger
from orchestrator.contract.conformance.rig import BLOCK
from orchestrator.contract.conformance.support import effect, observe, refused
from orchestrator.contract.errors import ErrorKind
from orchestrator.contract.provider import Adapter, Capability
from orchestrator.model.machine import Consistency
from tests.kvm.test_staging import spec_for
from tests.rigs.kvm_rig import KvmRig

pytestmark = pytest.mark.kvm
RELAY = """\
#!{python}
import os, socket, threading
far = socket.socket(socket.AF_UNIX)
far.connect({target!r})
def back():
    while data := far.recv(65536):
        os.write(1, data)
    os._exit(0)
threading.Thread(target=back, daemon=True).start()
while data := os.read(0, 65536):
    far.sendall(data)
"""


@pytest.fixture
def remote(rig: KvmRig, tmp_path: Path) -> Iterator[Adapter]:
    relay = tmp_path / "relay"
    socket = str(rig.daemon.state / "run" / "libvirt-sock")
    relay.write_text(RELAY.format(python=sys.executable, target=socket))
    relay.chmod(0o755)
    uri = f"qemu+ext://elsewhere.example/system?command={relay}"
    settings = {**rig.endpoint.settings, "uri": uri}
    opened = rig.provider.open(rig.endpoint.model_copy(update={"settings": settings}), rig.secrets)
    yield opened
    opened.close()


def test_what_needs_local_files_is_undeclared_and_refused(remote: Adapter, rig: KvmRig) -> None:
    local = {Capability.DISK_SOURCE, Capability.STAGE_FULL, Capability.STAGE_OVERLAY}
    assert not local & remote.capabilities
    ref = rig.make_machine(rig.name("vm"))
    with refused(ErrorKind.UNSUPPORTED), remote.disks.open_frozen(ref, "t"):
        pass
    with refused(ErrorKind.UNSUPPORTED):
        remote.staging.ensure_target(spec_for(rig), effect("stage"))


def test_space_that_cannot_be_told_hinders_a_snapshot(remote: Adapter, rig: KvmRig) -> None:
    ref = rig.make_machine(rig.name("vm"))
    with refused(ErrorKind.UNSUPPORTED) as errors:
        remote.snapshots.ensure_snapshot(ref, "s", Consistency.CRASH, effect("snapshot"))
    assert "define a storage pool" in str(errors[0])


def test_snapshots_come_and_go_over_a_storage_pool(remote: Adapter, rig: KvmRig, ledger: Ledger) -> None:
    ref = rig.make_machine(rig.name("vm"))
    base = observe(remote, ref).disks[-1].base
    with rig.pool("images", (), rig.daemon.images):
        hands = [effect(name, ledger) for name in ("older", "newer")]
        for hand in hands:
            remote.snapshots.ensure_snapshot(ref, hand.token[-5:], Consistency.CRASH, hand)
        rig.fill(ref, 0, 0, BLOCK, 0x11)
        seen = observe(remote, ref).disks[-1]
        assert (seen.base, len(seen.chain)) == (base, 3)
        for hand in hands:
            remote.snapshots.ensure_snapshot_removed(ref, hand.token, effect("undo", ledger))
            assert observe(remote, ref).disks[-1].base == base
    assert len(observe(remote, ref).disks[-1].chain) == 1
    assert rig.read(ref, 0, 0, BLOCK) == b"\x11" * BLOCK
    assert not ledger.present | ledger.intended
