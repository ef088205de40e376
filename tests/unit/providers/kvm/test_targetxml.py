"""The definition of a replacement: new identity from the token, closed, and a fingerprint of what matters."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from orchestrator.model.machine import Firmware
from orchestrator.model.network import NetworkSpec
from orchestrator.model.secret import SecretRef
from orchestrator.model.target import GoldenImage, TargetSpec
from providers.kvm.targetxml import (
    Parts,
    fingerprint,
    mac_address,
    machine_id,
    medium_of,
    target_xml,
    token_of,
)

TOKEN = "ferry.run.host.stage"
PARTS = Parts("/img/new.qcow2", "/img/new.iso", "qemu")
SPEC = TargetSpec(
    endpoint="lab",
    release=2025,
    image="golden",
    vm="a<b>&'\"",
    cpus=2,
    memory_bytes=4 * 1024**3,
    network=NetworkSpec(name="staging"),
    computer_name="NEW01",
    admin_password=SecretRef(env="X"),
)


def definition(firmware: Firmware = Firmware.BIOS, parts: Parts = PARTS) -> ET.Element:
    image = GoldenImage(name="golden", id="/img/golden", size_bytes=1, format="qcow2", firmware=firmware)
    return ET.fromstring(target_xml(SPEC, image, parts, TOKEN))  # noqa: S314  # our own


def text(root: ET.Element) -> str:
    return ET.tostring(root, encoding="unicode")


def test_identity_follows_from_the_token_alone() -> None:
    root = definition()
    assert root.findtext("uuid") == machine_id(TOKEN) != machine_id(TOKEN + "x")
    assert root.find("devices/interface/mac").get("address") == mac_address(TOKEN) != mac_address(TOKEN + "x")
    assert mac_address(TOKEN).startswith("52:54:00:")
    assert token_of(text(root)) == TOKEN


def test_it_is_on_the_staging_network_only_and_opens_no_port() -> None:
    root = definition()
    assert [e.get("network") for e in root.findall("devices/interface/source")] == ["staging"]
    assert [e.get("type") for e in root.findall("devices/graphics/listen")] == ["none"]


def test_hostile_name_is_escaped() -> None:
    assert definition().findtext("name") == SPEC.vm


@pytest.mark.parametrize(
    ("firmware", "attribute"), [(Firmware.BIOS, None), (Firmware.UEFI, "efi"), (Firmware.UEFI_SECURE, "efi")]
)
def test_firmware_is_the_images(firmware: Firmware, attribute: str | None) -> None:
    assert definition(firmware).find("os").get("firmware") == attribute


def test_processor_is_able_to_run_2025() -> None:
    assert definition().findtext("cpu/model") == "Nehalem"
    fast = definition(parts=Parts("/d", "/m", "kvm"))
    assert fast.find("cpu").get("mode") == "host-passthrough"


def test_fingerprint_is_of_the_definition_and_of_nothing_else() -> None:
    root = definition()
    first = fingerprint(text(root))
    root.find("metadata").clear()
    for disk in root.findall("devices/disk[@device='cdrom']"):
        disk.remove(disk.find("source"))
    ET.SubElement(root.find("os"), "nvram").text = "/var/lib/nvram"
    devices = root.find("devices")
    devices[:] = list(reversed(devices))
    assert fingerprint(text(root)) == first
    root.find("vcpu").text = "3"
    assert fingerprint(text(root)) != first


def test_second_disk_or_card_changes_the_fingerprint() -> None:
    first = fingerprint(text(definition()))
    for tag in ("disk", "interface"):
        root = definition()
        ET.SubElement(root.find("devices"), tag, type="file")
        assert fingerprint(text(root)) != first


def test_medium_is_found_and_the_drive_without_it() -> None:
    root = definition()
    path, drive = medium_of(text(root))
    assert path == "/img/new.iso"
    assert "/img/new.iso" not in drive
    for disk in root.findall("devices/disk[@device='cdrom']"):
        disk.remove(disk.find("source"))
    assert medium_of(text(root)) is None
