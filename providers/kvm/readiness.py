"""What would keep a replacement from being staged. Reads only."""

import json
from collections.abc import Iterator
from pathlib import Path

from orchestrator.contract.errors import ProviderError
from orchestrator.model.machine import Firmware
from orchestrator.model.network import Finding
from orchestrator.model.target import CopyMode, GoldenImage, TargetSpec
from providers.kvm.cards import parse
from providers.kvm.hindrances import read_network
from providers.kvm.inventory import KvmInventory
from providers.kvm.link import Link
from providers.kvm.networks import misfit
from providers.kvm.storage import MIB, room

RELEASES = (2022, 2025)
_DESCRIPTORS = ("/etc/qemu/firmware", "/usr/share/qemu/firmware")
_NEEDED_CPU = (
    "<cpu><arch>x86_64</arch><model>kvm64</model>"
    "<feature name='sse4.2' policy='require'/><feature name='popcnt' policy='require'/></cpu>"
)


def staging_findings(
    link: Link, inventory: KvmInventory, accelerator: str, spec: TargetSpec
) -> tuple[Finding, ...]:
    """Return what was checked for `Preflight.staging`."""
    return tuple(_findings(link, inventory, accelerator, spec))


def domain_type(link: Link, accelerator: str) -> str:
    """Return the domain type for a new machine: the endpoint's, else KVM where libvirt offers it, else
    emulation."""
    if accelerator:
        return accelerator
    text = link.read("ask for the host's capabilities", lambda: link.conn().getCapabilities())
    return "qemu" if parse(text).find("guest/arch[@name='x86_64']/domain[@type='kvm']") is None else "kvm"


def users(inventory: KvmInventory, image: GoldenImage) -> list[str]:
    """Name the machines that write the image: their active disk is the image itself."""
    return [
        machine.ref.name
        for machine in inventory.machines()
        if any(d.source == image.id and not (d.read_only or d.cdrom) for d in machine.disks)
    ]


def _findings(link: Link, inventory: KvmInventory, accelerator: str, spec: TargetSpec) -> Iterator[Finding]:
    known = spec.release in RELEASES
    detail = f"Windows Server {spec.release} is {'known' if known else 'not known: 2022 and 2025 are'}"
    yield Finding(check="release", ok=known, detail=detail)
    if not link.local:
        detail = "libvirtd is on another machine; run ferry there to stage on it"
        yield Finding(check="endpoint", ok=False, detail=detail)
    taken = bool(inventory.machines([spec.vm]))
    yield Finding(check=f"name {spec.vm}", ok=not taken, detail="is taken" if taken else "is free")
    yield from _image(link, inventory, spec)
    yield _cpu(link, domain_type(link, accelerator))
    yield _network(link, spec)


def _image(link: Link, inventory: KvmInventory, spec: TargetSpec) -> Iterator[Finding]:
    check = f"image {spec.image}"
    try:
        found = inventory.images([spec.image])
    except ProviderError as error:
        yield Finding(check=check, ok=False, detail=str(error))
        return
    if not found:
        detail = (
            "is not there: give its path, or its name in the endpoint's `images` folder or a storage pool"
        )
        yield Finding(check=check, ok=False, detail=detail)
        return
    image = found[0]
    writers = users(inventory, image)
    detail = f"is written by {', '.join(writers)}" if writers else f"{image.format} at {image.id}"
    yield Finding(check=check, ok=not writers, detail=detail)
    yield _firmware(image)
    size = image.size_bytes if spec.copy_mode is CopyMode.FULL else image.size_bytes // 10
    yield room(link, str(Path(image.id).parent), max(size, 64 * MIB), f"a {spec.copy_mode} copy")


def _firmware(image: GoldenImage) -> Finding:
    check = "firmware"
    if image.firmware is None:
        return Finding(
            check=check, ok=False, detail="the image's partition table does not tell BIOS from UEFI"
        )
    if image.firmware is Firmware.BIOS or _has_uefi():
        return Finding(check=check, ok=True, detail=f"{image.firmware}, as the image's partition table says")
    detail = "the image boots by UEFI, but no UEFI firmware is installed (on Debian: apt install ovmf)"
    return Finding(check=check, ok=False, detail=detail)


def _has_uefi() -> bool:
    """Look for a firmware descriptor as libvirt does."""
    for folder in _DESCRIPTORS:
        for file in sorted(Path(folder).glob("*.json")):
            try:
                told = json.loads(file.read_text())
            except (OSError, ValueError):
                continue
            targets = [t.get("architecture") for t in told.get("targets", ())]
            if "uefi" in told.get("interface-types", ()) and "x86_64" in targets:
                return True
    return False


def _cpu(link: Link, kind: str) -> Finding:
    """2025 needs SSE4.2 and POPCNT; emulation always has them."""
    check = "processor"
    if kind == "qemu":
        return Finding(check=check, ok=True, detail="emulated, with SSE4.2 and POPCNT")
    verdict = link.read("compare the processor", lambda: link.conn().compareCPU(_NEEDED_CPU, 0))
    able = verdict > 0
    words = "has SSE4.2 and POPCNT" if able else "lacks SSE4.2 or POPCNT, without which 2025 does not start"
    return Finding(check=check, ok=able, detail=f"the host's {words}")


def _network(link: Link, spec: TargetSpec) -> Finding:
    check = f"network {spec.network.name}"
    network = read_network(link, spec.network.name)
    if network is None:
        made = spec.network.create
        detail = "will be created" if made else "is not there, and the plan does not create it"
        return Finding(check=check, ok=made, detail=detail)
    fault = misfit(network, spec.network)
    return Finding(check=check, ok=fault is None, detail=fault or "is there")
