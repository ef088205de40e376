"""Disks in, facts out, through the real sandbox: the lab's servers, damaged and hostile disks."""

import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.diagnostics import FerryError
from orchestrator.disks import open_image
from orchestrator.guest.offline import collect_from_image, collect_offline
from orchestrator.lifecycle import is_server_2008_sp2
from orchestrator.model.facts import SECTIONS, Origin, ProductType

CONFIG = "Windows/System32/config"
NT = r"Microsoft\Windows NT\CurrentVersion"
SYSTEM: dict[str, Any] = {
    "Select": {"Current": 1},
    r"ControlSet001\Control\ProductOptions": {"ProductType": "ServerNT"},
    r"ControlSet001\Control\ComputerName\ComputerName": {"ComputerName": "SRV"},
    r"ControlSet001\Services\LanmanServer": {"Type": 32, "Start": 2},
}
SOFTWARE: dict[str, Any] = {
    NT: {"CurrentVersion": "6.0", "CurrentBuildNumber": "6003", "ProductName": "\u202eServer"},
    r"Microsoft\Windows\CurrentVersion\Uninstall\x": {"DisplayName": "X"},
}


@pytest.fixture(scope="module")
def hives(make_hive: Any) -> dict[str, bytes]:
    return {f"{CONFIG}/SYSTEM": make_hive(SYSTEM), f"{CONFIG}/SOFTWARE": make_hive(SOFTWARE)}


@pytest.mark.parametrize(
    ("name", "verdict", "version", "build", "arch", "kind"),
    [
        ("file01", True, "6.0", 6003, "x64", ProductType.SERVER),
        ("app02", True, "6.0", 6002, "x86", ProductType.SERVER),
        ("decoy-vista", False, "6.0", 6003, "x64", ProductType.WORKSTATION),
        ("decoy-2008r2", False, "6.1", 7601, "x64", ProductType.SERVER),
        ("win2022-golden", False, "10.0", 20348, "x64", ProductType.SERVER),
        ("win2025-golden", False, "10.0", 26100, "x64", ProductType.SERVER),
        ("file01n-built", False, "10.0", 26100, "x64", ProductType.SERVER),
    ],
)
def test_every_server_of_the_lab_gets_the_right_verdict(
    lab_image: Callable[[str], Path],
    name: str,
    verdict: bool,
    version: str,
    build: int,
    arch: str,
    kind: ProductType,
) -> None:
    found = collect_from_image(lab_image(name))
    who = found.identity
    assert (who.version, who.build, who.arch, who.product_type) == (version, build, arch, kind)
    assert is_server_2008_sp2(who).yes is verdict
    assert (found.origin, found.warnings) == (Origin.OFFLINE, ())
    unseen = {"listeners", "roles.rest"} if version.startswith("6.") else {"listeners"}
    assert {name for name, _ in found.unknown} == unseen


def test_the_facts_of_the_file_server(lab_image: Callable[[str], Path]) -> None:
    found = collect_from_image(lab_image("file01"))
    assert (found.identity.hostname, found.identity.service_pack) == ("FILE01", "Service Pack 2")
    assert found.shares is not None
    assert [share.name for share in found.shares] == ["Groups", "Labels", "Projects$", "Scans"]
    assert found.services is not None
    names = {service.name for service in found.services}
    assert {"BranchBackup", "LanmanServer"} <= names
    assert "OldAgent" not in names  # of a control set that is not in use
    assert found.software is not None
    assert {entry.view for entry in found.software} == {32, 64}
    assert found.network is not None
    assert (found.network.hostname, found.network.domain) == ("FILE01", "branch.example")
    addresses = [one.addresses for one in found.network.interfaces]
    assert addresses == [("198.51.100.21/24", "198.51.100.22/24"), ("203.0.113.57/24",)]
    assert found.network.hosts
    assert found.tasks is not None
    export = next(task for task in found.tasks if task.path == "\\NightlyExport")
    assert export.commands == (
        "C:\\Scripts\\nightly-export.cmd D:\\Projects \\\\exports.branch.example\\nightly",
    )


def test_twice_the_same_to_the_byte(lab_image: Callable[[str], Path]) -> None:
    image = lab_image("file01")
    assert collect_from_image(image).model_dump_json() == collect_from_image(image).model_dump_json()


def test_a_real_client_with_dirty_hives(make_disk: Any, real_hive: Callable[[str], bytes]) -> None:
    names = {"SYSTEM": "SYSTEM_B", "SYSTEM.LOG1": "SYSTEM_B.LOG1", "SYSTEM.LOG2": "SYSTEM_B.LOG2"}
    found = collect_offline([make_disk({f"{CONFIG}/{to}": real_hive(name) for to, name in names.items()})])
    assert found.identity.product_type is ProductType.WORKSTATION
    assert found.identity.build is None
    assert is_server_2008_sp2(found.identity).yes is False
    assert "SYSTEM: it was in use; 24 log entries replayed" in found.warnings
    assert "SOFTWARE is missing" in found.warnings
    assert ("software", "the part of the registry that holds it cannot be read") in found.unknown
    assert len(found.services or ()) > 300


def test_a_really_damaged_hive_gives_partial_facts_marked_as_such(
    make_disk: Any, real_hive: Callable[[str], bytes], hives: dict[str, bytes]
) -> None:
    found = collect_offline([make_disk(hives | {f"{CONFIG}/SYSTEM": real_hive("corrupted_system_hive")})])
    assert found.identity.build == 6003
    assert found.services is None
    assert dict(found.unknown)["services"]
    assert any("damaged" in warning for warning in found.warnings)
    assert is_server_2008_sp2(found.identity).yes is None


def test_unknown_is_kept_apart_from_none(make_disk: Any, hives: dict[str, bytes]) -> None:
    found = collect_offline([make_disk(hives)])
    assert found.identity.product_name == "\ufffdServer"
    assert found.shares == ()
    assert (found.network, found.tasks) == (None, None)
    reasons = dict(found.unknown)
    assert reasons["network"] == "TCP/IP is not there"
    assert reasons["tasks"] == "there is no Tasks folder"
    assert reasons["listeners"] == "a disk does not show what listens"
    known = {name for name in SECTIONS if getattr(found, name) is not None}
    assert known | set(reasons) >= set(SECTIONS)
    assert {name for name, _ in found.sources} == known


def test_the_kernel_file_tells_the_architecture(
    make_disk: Any, make_hive: Any, hives: dict[str, bytes]
) -> None:
    environment = {r"ControlSet001\Control\Session Manager\Environment": {"PROCESSOR_ARCHITECTURE": "AMD64"}}
    kernel = (
        b"MZ"
        + bytes(58)
        + (64).to_bytes(4, "little")
        + b"PE\0\0"
        + (0x14C).to_bytes(2, "little")
        + bytes(200)
    )
    files = hives | {
        f"{CONFIG}/SYSTEM": make_hive(SYSTEM | environment),
        "Windows/System32/ntoskrnl.exe": kernel,
    }
    found = collect_offline([make_disk(files)])
    assert found.identity.arch == "x86"
    assert "kernel file is x86" in found.warnings[0]


def test_bad_tasks_are_told_and_the_others_read(make_disk: Any, hives: dict[str, bytes]) -> None:
    tasks = "Windows/System32/Tasks"
    files = {
        f"{tasks}/good": b"<Task/>",
        f"{tasks}/A/evil": b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><Task>&f;</Task>',
        f"{tasks}/A/huge": b"x" * 1_100_000,
    }
    found = collect_offline([make_disk(hives | files)])
    assert found.tasks is not None
    assert [task.path for task in found.tasks] == ["\\good"]
    assert ["A\\evil" in found.warnings[0], "A\\huge" in found.warnings[1]] == [True, True]


def test_the_system_may_lie_on_any_disk(make_disk: Any, hives: dict[str, bytes], memory_disk: Any) -> None:
    data = make_disk({"Groups/x": b"x"})
    found = collect_offline([data, memory_disk(bytes(4096)), make_disk(hives)])
    assert found.identity.build == 6003


def test_two_installations_are_refused_and_named(make_disk: Any, hives: dict[str, bytes]) -> None:
    second = {path.replace("Windows/", "WINDOWS.0/"): content for path, content in hives.items()}
    with pytest.raises(FerryError, match=r"several Windows.*Windows; .*WINDOWS\.0") as caught:
        collect_offline([make_disk(hives | second)])
    assert caught.value.code == "no-single-system"


def test_no_installation_says_what_was_seen(make_disk: Any, memory_disk: Any) -> None:
    locked = memory_disk(b"\xeb\x58\x90-FVE-FS-" + bytes(8181))
    with pytest.raises(FerryError, match=r"BitLocker.*NTFS without Windows") as caught:
        collect_offline([locked, make_disk({"x": b"x"})])
    assert caught.value.code == "no-single-system"
    with pytest.raises(FerryError, match="no Windows installation"):
        collect_offline([])


def test_hives_that_are_none_end_in_a_clear_error(make_disk: Any) -> None:
    with pytest.raises(FerryError, match="neither registry hive") as caught:
        collect_offline([make_disk({f"{CONFIG}/SYSTEM": b"rubbish" * 2000, f"{CONFIG}/SOFTWARE": b""})])
    assert caught.value.code == "damaged-hive"


def test_a_read_error_of_the_disk_comes_through(make_disk: Any, hives: dict[str, bytes]) -> None:
    disk = make_disk(hives)

    def fails(offset: int, length: int) -> bytes:
        message = "bad sector"
        raise ProviderError(ErrorKind.PERMANENT, message)

    disk.read = fails
    with pytest.raises(ProviderError, match="bad sector"):
        collect_offline([disk])


@pytest.fixture(scope="module")
def whole_disk(make_disk: Any, hives: dict[str, bytes]) -> bytes:
    disk = make_disk(hives)
    return bytes(disk.read(0, disk.size))


@pytest.mark.parametrize("seed", range(12))
def test_a_mutated_disk_ends_in_facts_or_a_clear_error(
    whole_disk: bytes, memory_disk: Any, seed: int
) -> None:
    chance = random.Random(seed)
    data = bytearray(whole_disk)
    used = [
        at for at in range(0, len(data), 512) if data[at : at + 4] in (b"FILE", b"INDX", b"regf", b"hbin")
    ]
    for _ in range(30):
        at = chance.choice([0, *used]) + chance.randrange(512)
        data[at] = chance.randrange(256)
    try:
        found = collect_offline([memory_disk(bytes(data))])
    except FerryError as fault:
        assert fault.message and "Traceback" not in str(fault)  # noqa: PT017, PT018
    else:
        assert found.origin is Origin.OFFLINE


def test_a_raw_image_is_probed_and_a_forged_one_refused(
    lab_image: Callable[[str], Path], tmp_path: Path
) -> None:
    raw = tmp_path / "disk.img"
    command = ["qemu-img", "convert", "-f", "qcow2", "-O", "raw", str(lab_image("app02")), str(raw)]
    subprocess.run(command, check=True, timeout=60)
    assert collect_from_image(raw).identity.hostname == "APP02"
    forged = tmp_path / "forged.img"
    subprocess.run(["cp", str(lab_image("app02")), str(forged)], check=True)
    with pytest.raises(ProviderError, match="content says qcow2"):
        collect_from_image(forged)
    assert collect_from_image(forged, "qcow2").identity.hostname == "APP02"


def test_a_disk_behind_an_overlay(lab_image: Callable[[str], Path], tmp_path: Path) -> None:
    base, overlay = lab_image("file01"), tmp_path / "overlay.qcow2"
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(base), "-F", "qcow2", str(overlay)]
    subprocess.run(command, check=True, timeout=60)
    with pytest.raises(ProviderError, match="outside the folders"):
        collect_from_image(overlay)
    found = collect_from_image(overlay, allowed=[tmp_path, base.parent])
    with open_image(base, "qcow2", allowed=[base.parent]) as disk:
        assert collect_offline([disk]) == found
