"""The definition of a replacement as libvirt XML, and its fingerprint. Pure.

Devices that Windows has drivers for in the box: SATA disk, e1000e card. No password ever comes here.
"""

import hashlib
import uuid
import xml.etree.ElementTree as ET
from dataclasses import dataclass

from orchestrator.model.machine import Firmware
from orchestrator.model.target import GoldenImage, TargetSpec
from providers.kvm.cards import parse

DISK_KEY, MEDIUM_KEY = "sda", "sdb"
_NAMESPACE = "urn:ferry6003:target"
_MARK = f"{{{_NAMESPACE}}}target"
_ID_SPACE = uuid.UUID("0b6f4a52-6003-4d0e-9a57-3f1c6d2e6003")
_EMULATED_CPU = "Nehalem"
"""The oldest named model with SSE4.2 and POPCNT, which 2025 needs; emulation has all of it."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a target is made of: files, and the domain type ("kvm", "qemu")."""

    disk: str
    medium: str
    kind: str


def machine_id(token: str) -> str:
    """Return the uuid of the machine that bears `token`: the same at every repeat, another for every
    token."""
    return str(uuid.uuid5(_ID_SPACE, token))


def mac_address(token: str) -> str:
    """Return its card's address, in QEMU's own range."""
    tail = hashlib.sha256(f"mac\n{token}".encode()).digest()[:3]
    return "52:54:00:" + ":".join(f"{byte:02x}" for byte in tail)


def target_xml(spec: TargetSpec, image: GoldenImage, parts: Parts, token: str) -> str:
    """Return the domain's definition, bearing `token`."""
    ET.register_namespace("ferry", _NAMESPACE)
    domain = ET.Element("domain", type=parts.kind)
    _text(domain, "name", spec.vm)
    _text(domain, "uuid", machine_id(token))
    ET.SubElement(ET.SubElement(domain, "metadata"), _MARK, token=token)
    _text(domain, "memory", str(spec.memory_bytes), unit="b")
    _text(domain, "vcpu", str(spec.cpus))
    _boot(domain, image)
    features = ET.SubElement(domain, "features")
    ET.SubElement(features, "acpi")
    ET.SubElement(features, "apic")
    _cpu(domain, parts.kind)
    ET.SubElement(domain, "clock", offset="localtime")
    devices = ET.SubElement(domain, "devices")
    _disk(devices, parts.disk)
    _medium(devices, parts.medium)
    _card(devices, spec.network.name, mac_address(token))
    _console(devices)
    return ET.tostring(domain, encoding="unicode")


def token_of(text: str) -> str | None:
    """Return the token that a domain bears, if it is a target of ferry's."""
    mark = parse(text).find(f"metadata/{_MARK}")
    return None if mark is None else mark.get("token")


def medium_of(text: str) -> tuple[str, str] | None:
    """Return path and XML (without its source) of the medium in the domain's answer drive; None where it is
    empty."""
    for disk in parse(text).findall("devices/disk[@device='cdrom']"):
        target, source = disk.find("target"), disk.find("source")
        path = None if source is None else source.get("file")
        if source is None or not path or target is None or target.get("dev") != MEDIUM_KEY:
            continue
        disk.remove(source)
        for tag in ("backingStore", "alias"):
            for child in disk.findall(tag):
                disk.remove(child)
        return path, ET.tostring(disk, encoding="unicode")
    return None


def fingerprint(text: str) -> str:
    """Return the SHA-256 of a persistent definition, without metadata, medium, and what libvirt adds at a
    start."""
    root = parse(text)
    for child in [c for c in root if c.tag in ("metadata", "title", "description", "seclabel")]:
        root.remove(child)
    os_element = root.find("os")
    if os_element is not None:
        for child in [c for c in os_element if c.tag in ("loader", "nvram")]:
            os_element.remove(child)
    for disk in root.findall("devices/disk"):
        for child in [c for c in disk if c.tag == "backingStore"]:
            disk.remove(child)
        if disk.get("device") == "cdrom":
            for child in disk.findall("source"):
                disk.remove(child)
    devices = root.find("devices")
    if devices is not None:
        # libvirt orders controllers anew when it reads a definition again.
        devices[:] = sorted(
            devices, key=lambda e: ET.canonicalize(ET.tostring(e, "unicode"), strip_text=True)
        )
    canonical = ET.canonicalize(ET.tostring(root, encoding="unicode"), strip_text=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _boot(domain: ET.Element, image: GoldenImage) -> None:
    uefi = image.firmware in (Firmware.UEFI, Firmware.UEFI_SECURE)
    element = ET.SubElement(domain, "os", {"firmware": "efi"} if uefi else {})
    _text(element, "type", "hvm", arch="x86_64", machine="q35")
    if uefi:
        firmware = ET.SubElement(element, "firmware")
        ET.SubElement(firmware, "feature", enabled="no", name="secure-boot")
    ET.SubElement(element, "boot", dev="hd")


def _cpu(domain: ET.Element, kind: str) -> None:
    if kind == "kvm":
        ET.SubElement(domain, "cpu", mode="host-passthrough")
        return
    cpu = ET.SubElement(domain, "cpu", mode="custom", match="exact", check="none")
    _text(cpu, "model", _EMULATED_CPU, fallback="forbid")


def _disk(devices: ET.Element, path: str) -> None:
    disk = ET.SubElement(devices, "disk", type="file", device="disk")
    ET.SubElement(disk, "driver", name="qemu", type="qcow2", discard="unmap")
    ET.SubElement(disk, "source", file=path)
    ET.SubElement(disk, "target", dev=DISK_KEY, bus="sata")


def _medium(devices: ET.Element, path: str) -> None:
    medium = ET.SubElement(devices, "disk", type="file", device="cdrom")
    ET.SubElement(medium, "driver", name="qemu", type="raw")
    ET.SubElement(medium, "source", file=path)
    ET.SubElement(medium, "target", dev=MEDIUM_KEY, bus="sata")
    ET.SubElement(medium, "readonly")


def _card(devices: ET.Element, network: str, mac: str) -> None:
    card = ET.SubElement(devices, "interface", type="network")
    ET.SubElement(card, "mac", address=mac)
    ET.SubElement(card, "source", network=network)
    ET.SubElement(card, "model", type="e1000e")


def _console(devices: ET.Element) -> None:
    """A screen that only libvirt hands out (no port is opened), and the agent's channel."""
    channel = ET.SubElement(devices, "channel", type="unix")
    ET.SubElement(channel, "target", type="virtio", name="org.qemu.guest_agent.0")
    graphics = ET.SubElement(devices, "graphics", type="vnc")
    ET.SubElement(graphics, "listen", type="none")
    ET.SubElement(ET.SubElement(devices, "video"), "model", type="vga")
    ET.SubElement(devices, "memballoon", model="none")


def _text(parent: ET.Element, tag: str, text: str, **attributes: str) -> None:
    ET.SubElement(parent, tag, attributes).text = text
