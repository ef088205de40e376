"""What libvirt's failures look like from outside: a clear message, the right kind, and a connection that
comes back."""

from __future__ import annotations

import libvirt
import pytest

from orchestrator.contract.conformance.rig import Fault
from orchestrator.contract.conformance.support import effect, observe, refused
from orchestrator.contract.errors import ErrorKind
from orchestrator.contract.provider import Adapter, Reader
from orchestrator.model.machine import PowerState
from providers.kvm import provider
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
