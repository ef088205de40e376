"""Is this a Windows Server 2008 SP2? From disk images through the sandbox: all that must pass or must not."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orchestrator.diagnostics import FerryError
from orchestrator.guest.offline import collect_from_image
from orchestrator.lifecycle import is_server_2008_sp2

SYSTEM32 = "Windows/System32"
NT = r"Microsoft\Windows NT\CurrentVersion"
MACHINES = {"x86": (0x014C, "x86"), "x64": (0x8664, "AMD64")}


@dataclass(frozen=True)
class Machine:
    """What is stored on the disk of one Windows. `explorer`: the desktop is installed."""

    version: str
    build: int
    name: str
    edition: str
    product_type: str = "ServerNT"
    arch: str = "x64"
    service_pack: str = ""
    installation: str = ""
    explorer: bool = True


SP2 = "Service Pack 2"
SERVER, CORE = "ServerStandard", "ServerStandardCore"
N2008, VISTA = "Windows Server (R) 2008 Standard", "Windows Vista (TM) Business"
IT = {
    f"{build} {arch} {kind}": Machine(
        "6.0", build, N2008, edition, arch=arch, service_pack=SP2, explorer=kind == "full"
    )
    for build in (6002, 6003)
    for arch in MACHINES
    for kind, edition in (("full", SERVER), ("Core", CORE))
} | {
    "a domain controller": Machine("6.0", 6003, N2008, SERVER, "LanmanNT", service_pack=SP2),
    "a web edition under an edited name": Machine("6.0", 6002, "X", "ServerWeb", service_pack=SP2),
}
NOT_IT = {
    "2008 SP1": (Machine("6.0", 6001, N2008, SERVER, service_pack="Service Pack 1"), "6001"),
    "2008 SP1 x86 Core": (
        Machine("6.0", 6001, N2008, CORE, arch="x86", service_pack="Service Pack 1", explorer=False),
        "6001",
    ),
    "Vista SP2 at 6002": (Machine("6.0", 6002, VISTA, "Business", "WinNT", service_pack=SP2), "Vista"),
    "Vista SP2 at 6003": (Machine("6.0", 6003, VISTA, "Business", "WinNT", "x86", SP2), "Vista"),
    "Vista by the name of a server": (Machine("6.0", 6003, N2008, SERVER, "WinNT", "x64", SP2), "Vista"),
    "2008 R2": (
        Machine("6.1", 7601, "Windows Server 2008 R2 Standard", SERVER, installation="Server"),
        "2008 R2",
    ),
    "2008 R2 Core": (
        Machine(
            "6.1", 7600, "Windows Server 2008 R2 Standard", CORE, installation="Server Core", explorer=False
        ),
        "2008 R2",
    ),
    "2012": (Machine("6.2", 9200, "Windows Server 2012 Standard", SERVER, installation="Server"), "2012"),
    "2012 R2": (Machine("6.3", 9600, "Windows Server 2012 R2 Standard", SERVER), "2012 R2"),
    "2022": (Machine("10.0", 20348, "Windows Server 2022 Standard", SERVER, installation="Server"), "2022"),
    "2025": (Machine("10.0", 26100, "Windows Server 2025 Standard", SERVER, installation="Server"), "2025"),
    "2025 Core": (
        Machine(
            "10.0", 26100, "Windows Server 2025 Standard", SERVER, installation="Server Core", explorer=False
        ),
        "2025",
    ),
}


def hives(one: Machine) -> dict[str, dict[str, Any]]:
    major, minor = map(int, one.version.split("."))
    named = {"CSDVersion": one.service_pack, "InstallationType": one.installation}
    windows: dict[str, Any] = {
        "ProductName": one.name,
        "EditionID": one.edition,
        "CurrentBuildNumber": str(one.build),
        "CurrentVersion": "6.3" if major == 10 else one.version,
    } | {name: value for name, value in named.items() if value}
    if major == 10:
        windows |= {"CurrentMajorVersionNumber": major, "CurrentMinorVersionNumber": minor}
    control = r"ControlSet001\Control"
    environment = {"PROCESSOR_ARCHITECTURE": MACHINES[one.arch][1]}
    system = {
        "Select": {"Current": 1},
        rf"{control}\ProductOptions": {"ProductType": one.product_type},
        rf"{control}\Session Manager\Environment": environment,
    }
    return {"SYSTEM": system, "SOFTWARE": {NT: windows}}


def kernel(arch: str) -> bytes:
    head = b"MZ" + bytes(58) + (64).to_bytes(4, "little")
    return head + b"PE\0\0" + MACHINES[arch][0].to_bytes(2, "little") + bytes(200)


@pytest.fixture
def image(make_hive: Any, make_disk: Any, tmp_path: Path) -> Any:
    """Make the disk image of a machine; other files may replace its own."""

    def make(one: Machine, **other: bytes) -> Path:
        found = {f"{SYSTEM32}/config/{name}": make_hive(tree) for name, tree in hives(one).items()}
        found[f"{SYSTEM32}/ntoskrnl.exe"] = kernel(one.arch)
        if one.explorer:
            found["Windows/explorer.exe"] = b"MZ"
        found |= {f"{SYSTEM32}/config/{name}": content for name, content in other.items()}
        disk = make_disk(found)
        path = tmp_path / "disk.img"
        path.write_bytes(disk.read(0, disk.size))
        return path

    return make


@pytest.mark.parametrize("case", IT)
def test_it_is(image: Any, case: str) -> None:
    one = IT[case]
    who = collect_from_image(image(one)).identity
    assert (who.build, who.arch, who.core) == (one.build, one.arch, not one.explorer)
    verdict = is_server_2008_sp2(who)
    assert verdict.yes is True, verdict.reasons


@pytest.mark.parametrize("case", NOT_IT)
def test_it_is_not(image: Any, case: str) -> None:
    one, word = NOT_IT[case]
    who = collect_from_image(image(one)).identity
    assert (who.version, who.build, who.arch) == (one.version, one.build, one.arch)
    verdict = is_server_2008_sp2(who)
    assert verdict.yes is False
    assert word in "; ".join(verdict.reasons)


@pytest.mark.parametrize("hive", ["SYSTEM", "SOFTWARE"])
@pytest.mark.parametrize("damage", ["rubbish", "empty", "cut", "wiped"])
def test_with_a_damaged_hive_nobody_can_tell(image: Any, make_hive: Any, hive: str, damage: str) -> None:
    one = IT["6003 x64 full"]
    whole = make_hive(hives(one)[hive])
    content = {
        "rubbish": b"rubbish" * 2000,
        "empty": b"",
        "cut": whole[:4096],
        "wiped": whole[:4096] + bytes(len(whole) - 4096),
    }[damage]
    found = collect_from_image(image(one, **{hive: content}))
    assert is_server_2008_sp2(found.identity).yes is None
    assert any(hive in warning or "damaged" in warning for warning in found.warnings)


def test_with_both_hives_damaged_it_is_an_error(image: Any) -> None:
    with pytest.raises(FerryError, match="neither registry hive") as caught:
        collect_from_image(image(IT["6003 x64 full"], SYSTEM=b"x" * 9000, SOFTWARE=b"y" * 9000))
    assert caught.value.code == "damaged-hive"


def test_no_windows_at_all_is_an_error(make_disk: Any, tmp_path: Path) -> None:
    other = make_disk({"Groups/readme.txt": b"data"})
    for content in (other.read(0, other.size), bytes(1 << 20)):
        path = tmp_path / "disk.img"
        path.write_bytes(content)
        with pytest.raises(FerryError, match="no Windows installation was found") as caught:
            collect_from_image(path)
        assert caught.value.code == "no-single-system"
