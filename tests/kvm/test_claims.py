"""Claims as libvirt keeps them."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from orchestrator.contract.conformance.effect import Ledger
from orchestrator.contract.conformance.rig import Fault
from orchestrator.contract.conformance.support import again, effect, observe, refused
from orchestrator.contract.errors import ErrorKind
from orchestrator.contract.provider import Adapter
from orchestrator.model.machine import Claim, MachineRef
from tests.rigs.kvm_rig import CONFIG, LIVE, KvmRig

pytestmark = pytest.mark.kvm
OURS = Claim(run="run-1", digest="d" * 64, state_id="state-1", host="ws1")
THEIRS = Claim(run="run-2", digest="e" * 64, state_id="state-2", host="ws2")


def shown(rig: KvmRig, ref: MachineRef, where: int) -> dict[str, str]:
    text = rig.conn.lookupByUUIDString(ref.id).metadata(2, "urn:ferry6003:claim", where)
    return dict(ET.fromstring(text).attrib)  # noqa: S314  # libvirt's own


@pytest.mark.parametrize("kill", [False, True])
def test_claim_survives_a_restart_of_libvirtd(adapter: Adapter, rig: KvmRig, kill: bool) -> None:
    ref = rig.make_machine(rig.name("vm"))
    adapter.claims.ensure_claim(ref, OURS, effect("claim"))
    rig.daemon.stop_daemon(kill=kill)
    rig.daemon.start()
    assert observe(adapter, ref).claim == OURS
    with refused(ErrorKind.CONFLICT):
        adapter.claims.ensure_claim(ref, THEIRS, effect("claim"))


def test_other_administrators_see_who_holds_the_machine(adapter: Adapter, rig: KvmRig) -> None:
    ref = rig.make_machine(rig.name("vm"), running=True)
    adapter.claims.ensure_claim(ref, OURS, effect("claim"))
    for where in (CONFIG, LIVE):
        assert shown(rig, ref, where)["run"] == "run-1"
        assert shown(rig, ref, where)["host"] == "ws1"


def test_metadata_does_not_decide(adapter: Adapter, rig: KvmRig) -> None:
    """What another administrator writes there neither gives a claim nor takes it."""
    ref = rig.make_machine(rig.name("vm"))
    adapter.claims.ensure_claim(ref, OURS, effect("claim"))
    domain = rig.conn.lookupByUUIDString(ref.id)
    domain.setMetadata(
        2, '<claim run="run-2" state_id="state-2"/>', "ferry-claim", "urn:ferry6003:claim", CONFIG
    )
    with refused(ErrorKind.CONFLICT):
        adapter.claims.ensure_claim(ref, THEIRS, effect("claim"))
    assert observe(adapter, ref).claim == OURS


def test_mark_that_cannot_be_read_still_holds_the_machine(adapter: Adapter, rig: KvmRig) -> None:
    ref = rig.make_machine(rig.name("vm"))
    rig.conn.secretDefineXML(
        "<secret ephemeral='no' private='no'><description>no JSON</description>"
        f"<usage type='volume'><volume>ferry/claim/{ref.id}</volume></usage></secret>"
    )
    with refused(ErrorKind.CONFLICT):
        adapter.claims.ensure_claim(ref, OURS, effect("claim"))
    seen = observe(adapter, ref).claim
    assert seen is not None
    adapter.claims.break_claim(ref, seen, effect("break"))
    adapter.claims.ensure_claim(ref, OURS, effect("claim"))


def test_older_generation_does_not_take_the_claim_back(adapter: Adapter, rig: KvmRig) -> None:
    ref = rig.make_machine(rig.name("vm"))
    newer = OURS.model_copy(update={"generation": 2})
    adapter.claims.ensure_claim(ref, newer, effect("claim"))
    with refused(ErrorKind.CONFLICT):
        adapter.claims.ensure_claim(ref, OURS, effect("claim"))
    assert observe(adapter, ref).claim == newer


def test_claim_whose_answer_was_lost_is_uncertain_and_found_again(
    adapter: Adapter, rig: KvmRig, ledger: Ledger
) -> None:
    ref, hand = rig.make_machine(rig.name("vm")), effect("claim", ledger)
    with rig.inject(Fault.REPLY_LOST), refused(ErrorKind.UNCERTAIN):
        adapter.claims.ensure_claim(ref, OURS, hand)
    assert adapter.claims.ensure_claim(ref, OURS, again(hand)) == OURS
    assert len(ledger.present) == 1
    assert not ledger.intended


def test_claim_on_a_machine_that_was_deleted_goes_too(adapter: Adapter, rig: KvmRig, ledger: Ledger) -> None:
    ref = rig.make_machine(rig.name("vm"))
    adapter.claims.ensure_claim(ref, OURS, effect("claim", ledger))
    rig.delete_machine(ref)
    with refused(ErrorKind.NOT_FOUND):
        adapter.claims.ensure_released(ref, OURS, effect("release", ledger))
    assert rig.conn.listAllSecrets() == []
    assert not ledger.present
