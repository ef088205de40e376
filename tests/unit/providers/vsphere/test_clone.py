"""The specification of a target's clone, and what is looked at afterwards."""

from __future__ import annotations

from typing import Any

import pytest
from pyVmomi import SoapAdapter, VmomiSupport, vim

from orchestrator.contract.conformance.effect import RecordingEffect
from orchestrator.contract.conformance.support import effect
from orchestrator.contract.errors import ProviderError
from orchestrator.model.network import NetworkSpec
from providers.vsphere.clone import (
    Where,
    attached,
    clone_spec,
    fingerprint,
    machine_id,
    misfits,
    the_card,
    token_in,
)
from providers.vsphere.convert import CLAIM_KEY, TOKEN_KEY, TOKEN_PATH
from providers.vsphere.customization import Opened, specification
from providers.vsphere.portgroups import Portgroup
from tests.unit.builders import a_target

_dev = vim.vm.device
NEWEST = VmomiSupport.newestVersions.Get("vim")


def card(key: int = 4000, network: str = "staging", *, starts: bool = True) -> Any:
    return _dev.VirtualVmxnet3(
        key=key,
        macAddress="00:50:56:aa:bb:cc",
        addressType="manual",
        backing=_dev.VirtualEthernetCard.NetworkBackingInfo(deviceName=network),
        connectable=_dev.VirtualDevice.ConnectInfo(
            startConnected=starts, connected=starts, allowGuestControl=True
        ),
    )


def disk(size_kb: int = 1024, file: str = "[ds1] a/a.vmdk") -> Any:
    backing = _dev.VirtualDisk.FlatVer2BackingInfo(fileName=file, diskMode="persistent")
    return _dev.VirtualDisk(key=2000, controllerKey=1000, unitNumber=0, capacityInKB=size_kb, backing=backing)


def hardware(**changes: Any) -> dict[str, Any]:
    found = {
        "config.hardware.numCPU": 2,
        "config.hardware.memoryMB": 4096,
        "config.hardware.device": [disk(), card()],
        "config.firmware": "efi",
    }
    return found | {key.replace("__", "."): value for key, value in changes.items()}


def portgroup(**changes: Any) -> Portgroup:
    empty: Any = dict.fromkeys(
        ("switches", "uplinks", "addresses", "near", "hosts", "unseen", "policy", "vms", "vlans"), ()
    )
    fields = {"obj": vim.Network("network-7", None), "name": "staging", "kind": "standard", "owner": None}
    return Portgroup(**empty | fields | changes)


WHERE = Where(
    vim.ResourcePool("pool-1", None), vim.HostSystem("host-1", None), vim.Datastore("datastore-1", None)
)


def made(template: dict[str, Any], hand: RecordingEffect | None = None, **target: Any) -> Any:
    edit = attached(the_card(template, "golden"), portgroup())
    answers = specification(a_target(), Opened("x"))
    return clone_spec(a_target(**target), template, WHERE, edit, answers, hand or effect("stage"))


def test_the_id_follows_from_the_token_alone() -> None:
    assert machine_id("a") == machine_id("a") != machine_id("b")


def test_a_clone_is_off_marked_and_has_disks_of_its_own() -> None:
    hand = effect("stage")
    spec = made(hardware(), hand, cpus=3)
    assert (spec.powerOn, spec.template) == (False, False)
    assert spec.customization.identity.userData.computerName.name == "FILE01N"
    assert spec.location.diskMoveType == "moveAllDiskBackingsAndDisallowSharing"
    assert spec.location.datastore._moId == "datastore-1"
    config = spec.config
    assert (config.instanceUuid, config.numCPUs, config.memoryMB) == (machine_id(hand.token), 3, 4096)
    assert {o.key: o.value for o in config.extraConfig} == {TOKEN_KEY: hand.token, CLAIM_KEY: ""}


def test_the_specification_can_be_sent() -> None:
    """pyvmomi refuses what lacks a needed field only when it writes the call."""
    hand = effect("stage")
    assert machine_id(hand.token) in str(SoapAdapter.Serialize(made(hardware(), hand), version=NEWEST))


@pytest.mark.parametrize(("cpus", "cores", "given"), [(3, 2, 1), (4, 2, None), (1, 1, None), (2, 4, 1)])
def test_cores_are_changed_only_where_sockets_would_not_be_whole(
    cpus: int, cores: int, given: int | None
) -> None:
    template = hardware(config__hardware__numCoresPerSocket=cores)
    assert made(template, cpus=cpus).config.numCoresPerSocket == given


def test_a_tpm_is_not_shared_with_the_template() -> None:
    assert made(hardware()).tpmProvisionPolicy is None
    with_tpm = hardware(config__hardware__device=[card(), _dev.VirtualTPM(key=11000)])
    assert made(with_tpm).tpmProvisionPolicy == "replace"


def test_the_card_is_the_templates_own_with_a_new_address_and_connected() -> None:
    own = card(network="office", starts=False)
    own.wakeOnLanEnabled, own.unitNumber = True, 7
    edit = attached(own, portgroup())
    made = edit.device
    assert edit.operation == "edit"
    assert type(made) is type(own)
    assert (made.key, made.wakeOnLanEnabled, made.unitNumber) == (4000, True, 7)
    assert (made.macAddress, made.addressType) == (None, "generated")
    assert (made.connectable.startConnected, made.connectable.connected) == (True, True)
    assert made.backing.deviceName == "staging"


def test_the_templates_card_itself_stays_as_it_was_read() -> None:
    """Another thread may hold the same answer, for another network."""
    own = card(network="office", starts=False)
    attached(own, portgroup())
    assert (own.macAddress, own.addressType) == ("00:50:56:aa:bb:cc", "manual")
    assert (own.backing.deviceName, own.connectable.startConnected) == ("office", False)


def test_a_distributed_portgroup_is_named_by_key_and_switch() -> None:
    switch = portgroup(obj=vim.Network("dvportgroup-9", None), kind="distributed", switch_uuid="50 0a")
    own = attached(card(), switch).device
    assert (own.backing.port.portgroupKey, own.backing.port.switchUuid) == ("dvportgroup-9", "50 0a")


def test_an_nsx_segment_is_refused() -> None:
    with pytest.raises(ProviderError, match="no portgroup"):
        attached(card(), portgroup(kind="opaque"))


@pytest.mark.parametrize("count", [0, 2])
def test_a_template_without_exactly_one_card_is_refused(count: int) -> None:
    devices = [card(4000 + n) for n in range(count)]
    with pytest.raises(ProviderError, match=f"has {count} network cards"):
        the_card({"config.hardware.device": devices}, "golden")


def test_the_token_is_read_from_the_options() -> None:
    option = vim.option.OptionValue(key=TOKEN_KEY, value="t")
    assert token_in({TOKEN_PATH: option}) == "t"
    assert token_in({}) is None
    assert token_in({TOKEN_PATH: vim.option.OptionValue(key=TOKEN_KEY, value="")}) is None


def test_what_is_as_planned_misfits_nothing() -> None:
    assert list(misfits(a_target(network=NetworkSpec(name="staging")), hardware(), {})) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"config__hardware__numCPU": 1}, "1 CPUs instead of 2"),
        ({"config__hardware__memoryMB": 1024}, "1024 MiB memory instead of 4096"),
        ({"config__hardware__device": [card(network="office")]}, "network office instead of staging"),
        ({"config__hardware__device": []}, "network none instead of staging"),
        ({"config__hardware__device": [card(starts=False)]}, "its network card does not start connected"),
    ],
)
def test_every_difference_from_the_plan_is_named(changes: dict[str, Any], words: str) -> None:
    assert list(misfits(a_target(), hardware(**changes), {})) == [words]


@pytest.mark.parametrize(
    "changes",
    [
        {"config__hardware__numCPU": 4},
        {"config__hardware__memoryMB": 8192},
        {"config__firmware": "bios"},
        {"config__bootOptions__efiSecureBootEnabled": True},
        {"config__hardware__device": [disk(2048), card()]},
        {"config__hardware__device": [disk(), card(network="office")]},
        {"config__hardware__device": [disk(), card(starts=False)]},
        {"config__hardware__device": [disk()]},
    ],
)
def test_the_fingerprint_changes_with_the_definition(changes: dict[str, Any]) -> None:
    assert fingerprint(hardware(**changes), {}) != fingerprint(hardware(), {})


@pytest.mark.parametrize(
    "changes",
    [
        {"runtime__powerState": "poweredOn", "name": "other", "config__annotation": "note"},
        {"config__hardware__device": [card(), disk()]},
        {"config__hardware__device": [disk(file="[ds2] a/a-000001.vmdk"), card()]},
        {"config__bootOptions__efiSecureBootEnabled": False},
    ],
)
def test_the_fingerprint_stays_with_what_changes_by_itself(changes: dict[str, Any]) -> None:
    assert fingerprint(hardware(**changes), {}) == fingerprint(hardware(), {})


def test_a_new_address_or_a_link_taken_down_for_now_is_no_change() -> None:
    other = card()
    other.macAddress, other.connectable.connected = "00:50:56:00:00:01", False
    assert fingerprint(hardware(config__hardware__device=[disk(), other]), {}) == fingerprint(hardware(), {})
