"""The clone that a target is: its specification, and what is looked at afterwards. Pure: no call."""

import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pyVmomi import vim

from orchestrator.contract.provider import Effect
from orchestrator.model.machine import PowerState
from orchestrator.model.target import TargetSpec
from providers.vsphere.batch import Props
from providers.vsphere.cards import on_network
from providers.vsphere.convert import (
    CLAIM_KEY,
    TOKEN_KEY,
    TOKEN_PATH,
    cards,
    devices_of,
    network_of,
    to_nic,
)
from providers.vsphere.faults import permanent
from providers.vsphere.portgroups import Portgroup

CORES_PATH = "config.hardware.numCoresPerSocket"
LOOKED_AT = (TOKEN_PATH, CORES_PATH)
"""What a target's and a template's properties need beside `convert.DETAILS`."""

_MIB = 1024**2
_ID_SPACE = uuid.UUID("6e3f0a52-6003-4c0e-9c7e-2b1d7f7a4a10")
_NEW_DISKS = "moveAllDiskBackingsAndDisallowSharing"
_Edit = vim.vm.device.VirtualDeviceSpec


@dataclass(frozen=True, slots=True)
class Where:
    """Where the clone goes."""

    pool: Any
    host: Any
    datastore: Any


def machine_id(token: str) -> str:
    """Return the target's instance UUID: the same for every repeat, another for every token."""
    return str(uuid.uuid5(_ID_SPACE, token))


def token_in(props: Props) -> str | None:
    """Return the token that a machine bears, if it is a target of ferry's."""
    option = props.get(TOKEN_PATH)
    return str(option.value) if option is not None and option.value else None


def the_card(props: Props, image: str) -> Any:
    """Return the template's network card. Raises ProviderError unless there is exactly one: which one goes
    where, and with which address, would be a guess."""
    found = cards(devices_of(props))
    if len(found) != 1:
        message = f"template {image} has {len(found)} network cards"
        raise permanent(message, "a template for staging has exactly one")
    return found[0]


def attached(card: Any, portgroup: Portgroup) -> Any:
    """Return the edit that puts the template's card on a network, connected, with an address of its own.

    With all properties as they were read, or it would be another card; a copy, for an answer of vCenter's may
    be shared by threads that clone the same template to different networks.
    """
    if portgroup.kind not in ("standard", "distributed"):
        message = f"network {portgroup.name} is no portgroup of vCenter's ({portgroup.kind})"
        raise permanent(message, "stage on a standard or distributed portgroup")
    edited = type(card)()
    for one in card._GetPropertyList():
        setattr(edited, one.name, getattr(card, one.name))
    edited.backing = on_network(portgroup)
    edited.addressType, edited.macAddress = "generated", None
    edited.connectable = vim.vm.device.VirtualDevice.ConnectInfo(
        startConnected=True, connected=True, allowGuestControl=True
    )
    return _Edit(operation=_Edit.Operation.edit, device=edited)


def clone_spec(
    spec: TargetSpec, template: Props, where: Where, card: Any, customization: Any, effect: Effect
) -> Any:
    """Return the specification of the clone: off, all disks copied, marked with the token. `card` is the edit
    of its network card, `customization` holds secrets."""
    tpm = any(isinstance(device, vim.vm.device.VirtualTPM) for device in devices_of(template))
    return vim.vm.CloneSpec(
        location=vim.vm.RelocateSpec(
            pool=where.pool, host=where.host, datastore=where.datastore, diskMoveType=_NEW_DISKS
        ),
        config=vim.vm.ConfigSpec(
            instanceUuid=machine_id(effect.token),
            numCPUs=spec.cpus,
            numCoresPerSocket=_cores(spec.cpus, template),
            memoryMB=spec.memory_bytes // _MIB,
            annotation=f"Staged from {spec.image} by {effect.reason}",
            # The claim: of a template that was a target once.
            extraConfig=[
                vim.option.OptionValue(key=TOKEN_KEY, value=effect.token),
                vim.option.OptionValue(key=CLAIM_KEY, value=""),
            ],
            deviceChange=[card],
        ),
        customization=customization,
        powerOn=False,
        template=False,
        tpmProvisionPolicy="replace" if tpm else None,
    )


def _cores(cpus: int, template: Props) -> int | None:
    """Sockets must be whole: where the template's do not fit, one core each; else as the template has it."""
    cores = int(template.get(CORES_PATH) or 1)
    return 1 if cores > 1 and cpus % cores else None


def misfits(spec: TargetSpec, props: Props, networks: Mapping[str, str]) -> Iterator[str]:
    """Say what of a clone is not as planned."""
    cpus, memory = props.get("config.hardware.numCPU"), props.get("config.hardware.memoryMB")
    if cpus != spec.cpus:
        yield f"{cpus} CPUs instead of {spec.cpus}"
    if memory != spec.memory_bytes // _MIB:
        yield f"{memory} MiB memory instead of {spec.memory_bytes // _MIB}"
    found = [to_nic(card, PowerState.OFF, networks) for card in cards(devices_of(props))]
    on = [nic.network.partition(":")[2] for nic in found]
    if on != [spec.network.name]:
        yield f"network {', '.join(on) or 'none'} instead of {spec.network.name}"
    elif not found[0].link_up:
        yield "its network card does not start connected"


def fingerprint(props: Props, networks: Mapping[str, str]) -> str:
    """Return the SHA-256 of a definition: hardware, devices, networks. Not in it is what changes by itself:
    power, notes, options, addresses, and files, which storage DRS may move."""
    neutral = {
        "cpus": props.get("config.hardware.numCPU"),
        "memory": props.get("config.hardware.memoryMB"),
        "firmware": props.get("config.firmware"),
        "secure": bool(props.get("config.bootOptions.efiSecureBootEnabled")),
        "devices": sorted(json.dumps(_neutral(one, networks)) for one in devices_of(props)),
    }
    return hashlib.sha256(json.dumps(neutral, sort_keys=True).encode()).hexdigest()


def _neutral(device: Any, networks: Mapping[str, str]) -> list[Any]:
    words: list[Any] = [type(device).__name__.rpartition(".")[2]]
    if isinstance(device, vim.vm.device.VirtualDisk):
        mode = str(getattr(device.backing, "diskMode", ""))
        words += [device.controllerKey, device.unitNumber, device.capacityInKB, mode]
    elif isinstance(device, vim.vm.device.VirtualEthernetCard):
        starts = device.connectable is not None and bool(device.connectable.startConnected)
        words += [device.key, network_of(device, networks), starts]
    elif isinstance(device, vim.vm.device.VirtualController):
        words += [device.key, device.busNumber, str(getattr(device, "sharedBus", ""))]
    return words
