"""What libvirt's failures look like from outside: a clear message, the right kind, and a connection that
comes back."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import libvirt
import pytest

from orchestrator.contract.conformance.rig import Fault
from orchestrator.contract.conformance.support import effect, observe, refused
from orchestrator.contract.errors import ErrorKind
from orchestrator.contract.provider import Adapter, Reader
from orchestrator.model.machine import MachineRef, PowerState
from providers.kvm import provider
from tests.engine.kit import until
from tests.rigs.kvm_rig import KvmRig

pytestmark = pytest.mark.kvm


def test_image_that_another_machine_writes_is_a_conflict_with_a_hint(adapter: Adapter, rig: KvmRig) -> None:
    holder = rig.make_machine(rig.name("vm"), running=True)
    other = rig.twin(holder)
    with refused(ErrorKind.CONFLICT) as errors:
        adapter.power.ensure_power(other, PowerState.ON, effect("on"))
    assert "another process holds the image" in str(errors[0])
    assert not rig.is_running(other)


def test_libvirtd_that_is_down_is_transient_for_reads_and_said_with_a_hint(
    adapter: Adapter, rig: KvmRig
) -> None:
    ref = rig.make_machine(rig.name("vm"))
    observe(adapter, ref)
    with rig.inject(Fault.UNREACHABLE), refused(ErrorKind.TRANSIENT) as errors:
        adapter.power.ensure_power(ref, PowerState.ON, effect("on"))
    assert "is libvirtd running" in str(errors[0])
    assert observe(adapter, ref).power is PowerState.OFF


def test_start_whose_answer_was_lost_is_uncertain_and_not_repeated(adapter: Adapter, rig: KvmRig) -> None:
    ref = rig.make_machine(rig.name("vm"))
    with rig.inject(Fault.REPLY_LOST), refused(ErrorKind.UNCERTAIN):
        adapter.power.ensure_power(ref, PowerState.ON, effect("on"))
    repeat = effect("on")
    assert adapter.power.ensure_power(ref, PowerState.ON, repeat).power is PowerState.ON
    assert repeat.mutations == 0


def test_endpoint_that_never_answered_says_what_to_look_at(rig: KvmRig) -> None:
    wrong = rig.endpoint.model_copy(
        update={"settings": {"uri": f"qemu+unix:///system?socket={rig.daemon.state}/none"}}
    )
    with refused(ErrorKind.TRANSIENT) as errors:
        provider.open_reader(wrong, rig.secrets)
    assert "is libvirtd running" in str(errors[0])


def test_readers_connection_is_kept_from_writing_by_libvirtd_itself(reader: Reader, rig: KvmRig) -> None:
    ref = rig.make_machine(rig.name("vm"))
    domain = reader.inventory._link.domain(ref)  # type: ignore[attr-defined]
    with pytest.raises(libvirt.libvirtError, match="read only"):
        domain.create()
    assert not rig.is_running(ref)


def qemu(ref: MachineRef) -> int:
    """The process that runs a machine."""
    mark = f"guest={ref.name},".encode()
    return next(int(p.parent.name) for p in Path("/proc").glob("[0-9]*/cmdline") if mark in p.read_bytes())


@contextlib.contextmanager
def busy(rig: KvmRig, ref: MachineRef) -> Iterator[None]:
    """Let somebody else's question to a machine take long: meanwhile libvirt lets nobody else ask it."""
    process, domain = qemu(ref), rig.conn.lookupByUUIDString(ref.id)
    with ThreadPoolExecutor(1) as pool:
        os.kill(process, signal.SIGSTOP)
        try:
            asked = pool.submit(domain.blockInfo, "hda")
            until(lambda: domain.controlInfo()[0] != libvirt.VIR_DOMAIN_CONTROL_OK)
            yield
        finally:
            os.kill(process, signal.SIGCONT)
        asked.result(timeout=20)


def test_machine_that_is_busy_for_a_moment_is_waited_for_and_seen_whole(
    adapter: Adapter, rig: KvmRig
) -> None:
    """Seen without its sizes, it would be refused later: "size_bytes was nothing"."""
    ref = rig.make_machine(rig.name("vm"), running=True)
    disks = observe(adapter, ref).disks
    with ThreadPoolExecutor(1) as pool:
        with busy(rig, ref):
            reading = pool.submit(observe, adapter, ref)
            with pytest.raises(TimeoutError):
                reading.result(timeout=1)
        assert reading.result(timeout=20).disks == disks
