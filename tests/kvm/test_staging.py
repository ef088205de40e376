"""The replacement on real QEMU: answer medium, firmware, processor."""

from __future__ import annotations

import base64
import io
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import pycdlib
import pytest

from orchestrator.contract.conformance.effect import Ledger, RecordingEffect
from orchestrator.contract.conformance.rig import DISK_BYTES
from orchestrator.contract.conformance.support import PASSWORD, PASSWORD_REF, effect, observe, refused
from orchestrator.contract.errors import ErrorKind
from orchestrator.contract.provider import Adapter, ObjectKind
from orchestrator.model.machine import Firmware, MachineRef
from orchestrator.model.network import NetworkSpec
from orchestrator.model.target import StagedTarget, StaticAddress, TargetSpec
from tests.rigs.kvm_rig import INACTIVE, KvmRig, run

pytestmark = pytest.mark.kvm
UNATTEND = "{urn:schemas-microsoft-com:unattend}"


def spec_for(rig: KvmRig, **changes: object) -> TargetSpec:
    spec = TargetSpec(
        endpoint="lab",
        release=2025,
        image=rig.golden_image,
        vm=rig.name("new"),
        cpus=1,
        memory_bytes=128 * 1024**2,
        network=NetworkSpec(name=rig.ordinary),
        computer_name="NEW01",
        admin_password=PASSWORD_REF,
    )
    return spec.model_copy(update=changes)


def ref_of(staged: StagedTarget) -> MachineRef:
    return MachineRef(endpoint=staged.endpoint, id=staged.id, name=staged.name)


def files_of(medium: Path) -> dict[str, bytes]:
    image, found = pycdlib.PyCdlib(), {}
    image.open(str(medium))
    for name in ("Autounattend.xml", "Unattend.xml"):
        content = io.BytesIO()
        image.get_file_from_iso_fp(content, joliet_path=f"/{name}")
        found[name] = content.getvalue()
    image.close()
    return found


def test_answer_medium_holds_name_address_and_password_and_only_its_owner_reads_it(
    adapter: Adapter, rig: KvmRig, ledger: Ledger
) -> None:
    address = StaticAddress(ip="198.51.100.20/24", gateway="198.51.100.1", dns=("198.51.100.2",))
    staged = adapter.staging.ensure_target(spec_for(rig, address=address), effect("stage", ledger))
    assert staged.medium is not None
    medium = Path(staged.medium)
    assert medium.stat().st_mode & 0o777 == 0o600
    both = files_of(medium)
    assert len(set(both.values())) == 1
    root = ET.fromstring(both["Autounattend.xml"])  # noqa: S314  # our own
    assert root.findtext(f".//{UNATTEND}ComputerName") == "NEW01"
    (value,) = root.findall(f".//{UNATTEND}AdministratorPassword/{UNATTEND}Value")
    told = base64.b64decode(value.text or "").decode("utf-16-le")
    assert told == PASSWORD + "AdministratorPassword"
    text = both["Autounattend.xml"].decode()
    for part in ("198.51.100.20/24", "198.51.100.1", "198.51.100.2", "52-54-00"):
        assert part in text


@pytest.mark.parametrize("running", [True, False])
def test_medium_keeps_its_mode_in_use_and_is_gone_afterwards(
    adapter: Adapter, rig: KvmRig, ledger: Ledger, running: bool
) -> None:
    staged = adapter.staging.ensure_target(spec_for(rig), effect("stage", ledger))
    assert staged.medium is not None
    rig.set_running(ref_of(staged), running)
    assert Path(staged.medium).stat().st_mode & 0o777 == 0o600
    adapter.staging.ensure_medium_removed(staged, effect("eject", ledger))
    assert not Path(staged.medium).exists()
    assert staged.medium not in rig.describe(ref_of(staged))
    assert rig.objects(ObjectKind.MEDIUM) == frozenset()
    rig.set_running(ref_of(staged), False)
    rig.set_running(ref_of(staged), True)


def test_processor_has_what_2025_needs(adapter: Adapter, rig: KvmRig) -> None:
    staged = adapter.staging.ensure_target(spec_for(rig), effect("stage"))
    text = rig.conn.lookupByUUIDString(staged.id).XMLDesc(INACTIVE)
    cpu = ET.fromstring(text).find("cpu")  # noqa: S314  # libvirt's own
    assert cpu is not None
    assert cpu.get("mode") == "host-passthrough" or cpu.findtext("model") == "Nehalem"
    assert observe(adapter, ref_of(staged)).machine_type.startswith("pc-q35")


def test_image_with_a_system_partition_is_staged_with_uefi_and_leaves_no_trace(
    adapter: Adapter, rig: KvmRig, ledger: Ledger
) -> None:
    image = rig.daemon.images / "golden-uefi.raw"
    run("truncate", "-s", "64M", str(image))
    run("sgdisk", "-n", "1:2048:+32M", "-t", "1:ef00", str(image))
    spec = spec_for(rig, image="golden-uefi", memory_bytes=256 * 1024**2)
    assert [f for f in adapter.preflight.staging(spec) if not f.ok] == []
    staged = adapter.staging.ensure_target(spec, effect("stage", ledger))
    assert observe(adapter, ref_of(staged)).firmware is Firmware.UEFI
    rig.set_running(ref_of(staged), True)
    rig.set_running(ref_of(staged), False)
    assert adapter.staging.fingerprint(staged) == staged.fingerprint
    adapter.staging.ensure_target_removed(staged, effect("undo", ledger), keep_disks=False)
    assert list((rig.daemon.state / "lib" / "qemu" / "nvram").glob("*")) == []
    assert not ledger.present | ledger.intended


def test_image_that_a_machine_writes_is_not_staged_from(adapter: Adapter, rig: KvmRig) -> None:
    used = rig.daemon.images / "used.qcow2"
    shutil.copy(rig.daemon.images / f"{rig.golden_image}.qcow2", used)
    rig.twin(rig.make_machine(rig.name("vm")), used)
    spec = spec_for(rig, image="used")
    assert any("is written by" in f.detail for f in adapter.preflight.staging(spec) if not f.ok)
    with refused(ErrorKind.CONFLICT):
        adapter.staging.ensure_target(spec, effect("stage"))


def test_image_over_another_image_is_refused(adapter: Adapter, rig: KvmRig) -> None:
    golden, above = rig.daemon.images / f"{rig.golden_image}.qcow2", rig.daemon.images / "above.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", "-b", str(golden), "-F", "qcow2", str(above))
    spec = spec_for(rig, image="above")
    assert any("below it" in f.detail for f in adapter.preflight.staging(spec) if not f.ok)
    with refused(ErrorKind.UNSUPPORTED):
        adapter.staging.ensure_target(spec, effect("stage"))


def test_unknown_network_is_not_found_and_nothing_is_made(adapter: Adapter, rig: KvmRig) -> None:
    before = rig.objects(ObjectKind.DISK), rig.objects(ObjectKind.MEDIUM)
    hand: RecordingEffect = effect("stage")
    with refused(ErrorKind.NOT_FOUND):
        adapter.staging.ensure_target(spec_for(rig, network=NetworkSpec(name="none")), hand)
    assert (rig.objects(ObjectKind.DISK), rig.objects(ObjectKind.MEDIUM)) == before
    assert hand.mutations == 0


def test_golden_image_is_found_by_name_path_and_pool(adapter: Adapter, rig: KvmRig) -> None:
    path = str(rig.daemon.images / f"{rig.golden_image}.qcow2")
    by_name, by_path = adapter.inventory.images([rig.golden_image, path])
    assert by_name.id == by_path.id == path
    assert (by_name.firmware, by_name.size_bytes) == (Firmware.BIOS, DISK_BYTES)
    with rig.pool("golden-pool", ("pooled.qcow2",)) as folder:
        (pooled,) = adapter.inventory.images(["pooled"])
        assert pooled.id == str(folder / "pooled.qcow2")
