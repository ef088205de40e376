"""The lab's disk images, checked with tools that had no part in writing them.

ntfscat and ntfsls (ntfs-3g) read the volumes, hivexget and hivexregedit (hivex) and libregf the hives; the
partition tables are read here from their published formats.
"""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pyregf
import pytest

LAB = Path(__file__).parents[2] / "examples" / "kvm-lab"
if str(LAB) not in sys.path:
    sys.path.insert(0, str(LAB))

import build_images  # noqa: E402
from lab import images, programs, recipe, regfile  # noqa: E402

SERVERS = [
    "app02",
    "decoy-2008r2",
    "decoy-vista",
    "file01",
    "file01n-built",
    "win2022-golden",
    "win2025-golden",
]
CONFIG = "/Windows/System32/config"
NT = r"Microsoft\Windows NT\CurrentVersion"
SET = "ControlSet001"
SHARES = rf"{SET}\Services\LanmanServer\Shares"


def output(*command: str | Path) -> bytes:
    return subprocess.run([*map(str, command)], check=True, capture_output=True, timeout=60).stdout


@dataclass(frozen=True)
class Volume:
    """One partition of an image as a file of its own."""

    kind: int | str
    first_sector: int
    path: Path

    def file(self, path: str) -> bytes:
        return output("ntfscat", self.path, path)

    def paths(self) -> set[str]:
        """Every file and folder; ntfsls prints each folder's path and a colon, then what is in it."""
        found, folder = set(), ""
        for line in output("ntfsls", "-R", self.path).decode().splitlines():
            if line.startswith("/") and line.endswith(":"):
                folder = line[:-1].rstrip("/")
            elif line and line not in {".", ".."}:
                found.add(f"{folder}/{line}")
        return found

    def hive(self, name: str) -> Path:
        path = self.path.with_name(f"{self.path.name}.{name}")
        if not path.exists():
            path.write_bytes(self.file(f"{CONFIG}/{name}"))
        return path

    def text(self, hive: str, key: str, value: str) -> str:
        return output("hivexget", self.hive(hive), key, value).decode().rstrip("\n")

    def data(self, hive: str, key: str) -> dict[str, bytes]:
        """The raw data of a key's values, as libregf reads them."""
        file = pyregf.file()
        file.open(str(self.hive(hive)))
        found = file.get_key_by_path(f"\\{key}")
        assert found is not None, key
        values = {value.name or "": value.data or b"" for value in found.values}
        file.close()
        return values

    def keys(self, hive: str, key: str) -> list[str]:
        file = pyregf.file()
        file.open(str(self.hive(hive)))
        names = [sub.name for sub in file.get_key_by_path(f"\\{key}").sub_keys]
        file.close()
        return names


def xml(text: str | bytes) -> ElementTree.Element:
    return ElementTree.fromstring(text)  # noqa: S314  # the lab's own files


def multi(data: bytes) -> list[str]:
    text = data.decode("utf-16-le")
    assert text.endswith("\0\0")
    return text[:-2].split("\0")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    assert build_images.main(["--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def volumes(out: Path) -> dict[str, list[Volume]]:
    return {name: split(out / f"{name}.qcow2", out / "parts") for name in SERVERS}


@pytest.fixture
def system(volumes: dict[str, list[Volume]], name: str) -> Volume:
    return system_volume(volumes[name])


def system_volume(parts: list[Volume]) -> Volume:
    (found,) = [part for part in parts if part.kind in {7, NTFS_GUID} and f"{CONFIG}/SYSTEM" in part.paths()]
    return found


def split(image: Path, folder: Path) -> list[Volume]:
    """Each partition of an image in a file."""
    folder.mkdir(exist_ok=True)
    raw = folder / f"{image.stem}.raw"
    output("qemu-img", "convert", "-O", "raw", image, raw)
    found = []
    with raw.open("rb") as disk:
        for kind, first, count in partitions(disk):
            path = folder / f"{image.stem}.{first}"
            disk.seek(first * 512)
            path.write_bytes(disk.read(count * 512))
            found.append(Volume(kind, first, path))
    raw.unlink()
    return found


NTFS_GUID = "a2a0d0ebe5b9334487c068b6b72699c7"
EFI_GUID = "28732ac11ff8d211ba4b00a0c93ec93b"


def partitions(disk) -> list[tuple[int | str, int, int]]:
    """Type, first sector and sectors of each partition, from a checked MBR or GPT."""
    sector = disk.read(512)
    assert sector[510:] == b"\x55\xaa"
    entries = [struct.unpack_from("<BxxxBxxxII", sector, 446 + 16 * number) for number in range(4)]
    if entries[0][1] != 0xEE:
        assert [entry[0] for entry in entries] == [0x80, 0, 0, 0], "only the first partition is active"
        return [(kind, first, count) for _, kind, first, count in entries if kind]
    size = disk.seek(0, 2) // 512
    first, backup = gpt_header(disk, 1), gpt_header(disk, size - 1)
    assert first["entries"] == backup["entries"]
    assert (first["other"], backup["other"]) == (size - 1, 1)
    return [
        (entry[:16].hex(), low, high - low + 1)
        for entry in first["entries"]
        for low, high in [struct.unpack_from("<QQ", entry, 32)]
        if any(entry[:16])
    ]


def gpt_header(disk, sector: int) -> dict:
    disk.seek(sector * 512)
    header = disk.read(92)
    signature, revision, size, crc = struct.unpack_from("<8sIII", header)
    here, other = struct.unpack_from("<QQ", header, 24)
    at, count, entry_size, entries_crc = struct.unpack_from("<QIII", header, 72)
    assert (signature, revision, size, here) == (b"EFI PART", 0x10000, 92, sector)
    assert crc == zlib.crc32(header[:16] + bytes(4) + header[20:])
    disk.seek(at * 512)
    entries = disk.read(count * entry_size)
    assert entries_crc == zlib.crc32(entries)
    return {
        "other": other,
        "entries": [entries[n : n + entry_size] for n in range(0, len(entries), entry_size)],
    }


def test_every_recipe_is_built(out: Path) -> None:
    assert images.names() == SERVERS
    assert sorted(path.name for path in out.glob("*.qcow2")) == [f"{name}.qcow2" for name in SERVERS]
    assert not [path.name for path in out.iterdir() if path.name.startswith(".")], "no scratch is left"


IDENTITIES = {  # version, build, product type, architecture, installation type, service pack, host name
    "file01": ("6.0", "6003", "ServerNT", "AMD64", None, "Service Pack 2", "FILE01"),
    "app02": ("6.0", "6002", "ServerNT", "x86", None, "Service Pack 2", "APP02"),
    "decoy-vista": ("6.0", "6003", "WinNT", "AMD64", None, "Service Pack 2", "LAGER-PC2"),
    "decoy-2008r2": ("6.1", "7601", "ServerNT", "AMD64", "Server", "Service Pack 1", "FILE09R2"),
    "win2022-golden": ("6.3", "20348", "ServerNT", "AMD64", "Server", None, "WIN-4C8T1QK7P2A"),
    "win2025-golden": ("6.3", "26100", "ServerNT", "AMD64", "Server", None, "WIN-7Q2K9F3LT1A"),
    "file01n-built": ("6.3", "26100", "ServerNT", "AMD64", "Server", None, "FILE01N"),
}


@pytest.mark.parametrize("name", SERVERS)
def test_identity(system: Volume, name: str) -> None:
    version, build, product, arch, installation, pack, host = IDENTITIES[name]
    control = rf"{SET}\Control"
    assert system.text("SOFTWARE", NT, "CurrentVersion") == version
    assert system.text("SOFTWARE", NT, "CurrentBuildNumber") == build
    assert system.text("SYSTEM", rf"{control}\ProductOptions", "ProductType") == product
    environment = rf"{control}\Session Manager\Environment"
    assert system.text("SYSTEM", environment, "PROCESSOR_ARCHITECTURE") == arch
    assert system.text("SYSTEM", rf"{control}\ComputerName\ComputerName", "ComputerName") == host
    assert system.text("SYSTEM", rf"{SET}\Services\Tcpip\Parameters", "NV Hostname") == host
    values = system.data("SOFTWARE", NT)
    for value, wanted in (("InstallationType", installation), ("CSDVersion", pack)):
        assert values.get(value) == (f"{wanted}\0".encode("utf-16-le") if wanted else None)
    assert ("CurrentMajorVersionNumber" in values) == ("UBR" in values) == (version == "6.3")


def test_product_names_that_deceive(volumes: dict[str, list[Volume]]) -> None:
    found = {
        name: system_volume(parts).data("SOFTWARE", NT)["ProductName"].decode("utf-16-le")
        for name, parts in volumes.items()
    }
    assert found["file01"] == found["decoy-vista"] == "Windows Server (R) 2008 Standard\0"
    assert found["app02"] == "Windows Server\u00ae 2008 Standard\0"
    assert found["decoy-2008r2"] == "Windows Server 2008 R2 Standard\0"


@pytest.mark.parametrize("name", SERVERS)
def test_no_key_or_value_of_the_recipe_is_lost_in_the_hives(
    system: Volume, name: str, tmp_path: Path
) -> None:
    wanted = recipe.load(name).hives()
    wanted["SYSTEM"].drop("MountedDevices")
    for hive in ("SYSTEM", "SOFTWARE", "DEFAULT"):
        prefix = recipe.PREFIXES[hive]
        listing = tmp_path / f"{hive}.txt"
        export = output("hivexregedit", "--export", "--prefix", prefix, system.hive(hive), "\\")
        # The export writes "[PREFIX\]" for the root; every other line is what the merge reads too.
        listing.write_text(export.decode().replace(f"[{prefix}\\]", f"[{prefix}]"))
        found = regfile.Key("")
        regfile.merge(listing, prefix, found)
        found.drop("MountedDevices")
        assert regfile.dump(found) == regfile.dump(wanted[hive])


@pytest.mark.parametrize("name", SERVERS)
def test_hives_are_whole_for_another_reader(system: Volume, name: str) -> None:
    for hive in recipe.PREFIXES:
        file = pyregf.file()
        file.open(str(system.hive(hive)))
        assert not file.is_corrupted()
        file.close()
        block = system.hive(hive).read_bytes()[:512]
        checksum = 0
        for (word,) in struct.iter_unpack("<I", block[:508]):
            checksum ^= word
        assert struct.unpack_from("<I", block, 508) == (checksum,)
        assert struct.unpack_from("<II", block, 4)[0] == struct.unpack_from("<II", block, 4)[1], (
            "closed properly"
        )
        assert f"{CONFIG}/{hive}.LOG1" in system.paths()


@pytest.mark.parametrize("name", SERVERS)
def test_volumes_begin_where_windows_puts_them(volumes: dict[str, list[Volume]], name: str) -> None:
    assert volumes[name][0].first_sector == 2048
    for volume in volumes[name]:
        if volume.kind in {7, NTFS_GUID}:
            boot = volume.path.read_bytes()[:512]
            assert boot[3:11] == b"NTFS    "
            assert struct.unpack_from("<I", boot, 28) == (volume.first_sector,), "hidden sectors"


def test_only_the_2025_image_has_a_gpt_with_an_efi_partition(volumes: dict[str, list[Volume]]) -> None:
    gpt = {name for name, parts in volumes.items() if isinstance(parts[0].kind, str)}
    assert gpt == {"win2025-golden", "file01n-built"}
    assert volumes["win2025-golden"][0].kind == EFI_GUID


@pytest.mark.parametrize(("name", "letters"), [("file01", "CD"), ("app02", "C"), ("decoy-2008r2", "CD")])
def test_drive_letters_point_to_mbr_partitions(
    volumes: dict[str, list[Volume]], name: str, letters: str
) -> None:
    mounted = system_volume(volumes[name]).data("SYSTEM", "MountedDevices")
    at = {
        struct.unpack_from("<Q", data, 4)[0]: value[-2] for value, data in mounted.items() if "Dos" in value
    }
    named = "".join(at.get(volume.first_sector * 512, "-") for volume in volumes[name])
    assert named.strip("-") == letters
    assert {len(data) for data in mounted.values()} == {12}


def test_the_legacy_control_set_is_the_one_that_select_names(volumes: dict[str, list[Volume]]) -> None:
    system = system_volume(volumes["file01"])
    assert system.data("SYSTEM", "Select")["Current"] == b"\1\0\0\0"
    roots = system.keys("SYSTEM", "")
    assert {"ControlSet001", "ControlSet002"} <= set(roots)
    assert "CurrentControlSet" not in roots
    old = r"ControlSet002\Control\ComputerName\ComputerName"
    assert system.text("SYSTEM", old, "ComputerName") == "WIN-OLDNAME7Q"
    assert system.text("SYSTEM", r"ControlSet002\Control\ProductOptions", "ProductType") == "WinNT"


@pytest.mark.parametrize(
    ("name", "shares"),
    [
        ("file01", {"Groups", "Labels", "Projects$", "Scans"}),
        ("file01n-built", {"Groups", "Projects$"}),
        ("win2025-golden", set()),
        ("app02", {"Orders"}),
    ],
)
def test_shares(system: Volume, name: str, shares: set[str]) -> None:
    assert set(system.data("SYSTEM", SHARES)) == shares
    assert set(system.data("SYSTEM", rf"{SHARES}\Security")) == shares - {"Labels"}


def test_a_share_has_the_form_that_windows_gives_it(volumes: dict[str, list[Volume]]) -> None:
    system = system_volume(volumes["file01"])
    assert multi(system.data("SYSTEM", SHARES)["Projects$"]) == [
        "CSCFlags=0",
        "MaxUses=4294967295",
        r"Path=D:\Projects",
        "Permissions=0",
        "Remark=Project files (hidden)",
        "ShareName=Projects$",
        "Type=0",
    ]
    security = system.data("SYSTEM", rf"{SHARES}\Security")["Projects$"]
    revision, control, owner, group, sacl, dacl = struct.unpack_from("<BxH4I", security)
    assert (revision, control, sacl) == (1, 0x8004, 0)
    assert security[owner : owner + 16].hex() == "01020000000000052000000020020000", "Administrators"
    size, entries = struct.unpack_from("<HH", security, dacl + 2)
    assert (dacl + size, entries) == (owner, 3)
    assert group + 12 == len(security)


def test_services_are_many_and_the_planted_ones_are_there(volumes: dict[str, list[Volume]]) -> None:
    services = {
        name: set(system_volume(parts).keys("SYSTEM", rf"{SET}\Services")) for name, parts in volumes.items()
    }
    assert {name for name, found in services.items() if len(found) < 60} == set()
    assert {"BranchBackup", "Browser", "Spooler", "LanmanServer", "W32Time"} <= services["file01"]
    assert "BranchBackup" in services["file01n-built"] - services["win2025-golden"]
    assert {"Browser", "srv", "mrxsmb10"} & services["win2025-golden"] == set()
    assert {"slsvc"} & services["decoy-2008r2"] == set()
    backup = rf"{SET}\Services\BranchBackup"
    system = system_volume(volumes["file01"])
    assert system.text("SYSTEM", backup, "ObjectName") == r".\svc_backup"
    values = system.data("SYSTEM", backup)
    assert [values[name] for name in ("Type", "Start", "DelayedAutoStart")] == [
        b"\x10\0\0\0",
        b"\2\0\0\0",
        b"\1\0\0\0",
    ]


def test_a_static_and_a_dhcp_adapter(volumes: dict[str, list[Volume]]) -> None:
    system = system_volume(volumes["file01"])
    base = rf"{SET}\Services\Tcpip\Parameters\Interfaces"
    by_dhcp = {}
    for guid in system.keys("SYSTEM", base):
        values = system.data("SYSTEM", rf"{base}\{guid}")
        by_dhcp[values["EnableDHCP"] != bytes(4)] = values
    assert multi(by_dhcp[False]["IPAddress"]) == ["198.51.100.21", "198.51.100.22"]
    assert multi(by_dhcp[False]["DefaultGateway"]) == ["198.51.100.1"]
    assert by_dhcp[False]["NameServer"].decode("utf-16-le") == "198.51.100.2,198.51.100.3\0"
    assert by_dhcp[True]["DhcpIPAddress"].decode("utf-16-le") == "203.0.113.57\0"


def test_software_of_both_views(volumes: dict[str, list[Volume]]) -> None:
    uninstall = r"Microsoft\Windows\CurrentVersion\Uninstall"
    system = system_volume(volumes["file01"])
    assert "ScanRouter" in system.keys("SOFTWARE", rf"Wow6432Node\{uninstall}")
    assert "ScanRouter" not in system.keys("SOFTWARE", uninstall)
    publisher = system.data("SOFTWARE", rf"Wow6432Node\{uninstall}\ScanRouter")["Publisher"]
    assert publisher.decode("utf-16-le") == "Kopierer & Service M\u00fcller\0"
    assert "Wow6432Node" not in system_volume(volumes["app02"]).keys("SOFTWARE", "")


def test_tasks_are_utf_16_xml_in_folders(volumes: dict[str, list[Volume]]) -> None:
    tasks = "/Windows/System32/Tasks"
    old, built = (system_volume(volumes[name]) for name in ("file01", "file01n-built"))
    content = old.file(f"{tasks}/NightlyExport")
    assert content.startswith(b"\xff\xfe")
    command = xml(content.decode("utf-16")).find(".//{*}Command")
    assert command is not None
    assert command.text == r"C:\Scripts\nightly-export.cmd"
    assert {f"{tasks}/NightlyExport", f"{tasks}/Branch/FreeSpaceMail"} <= old.paths()
    assert f"{tasks}/Branch/FreeSpaceMail" in built.paths()
    assert f"{tasks}/NightlyExport" not in built.paths(), "left for parity to find"


@pytest.mark.parametrize("name", SERVERS)
def test_every_task_is_registered_and_can_be_read(system: Volume, name: str) -> None:
    folder = "/Windows/System32/Tasks"
    tree = r"Microsoft\Windows NT\CurrentVersion\Schedule\TaskCache\Tree"
    files = {path for path in system.paths() if path.startswith(f"{folder}/")}
    files -= {path.rpartition("/")[0] for path in files}
    assert files
    for path in files:
        xml(system.file(path).decode("utf-16"))
        assert "Id" in system.data("SOFTWARE", tree + path.removeprefix(folder).replace("/", "\\"))


def test_hosts_file_and_text_have_windows_line_ends(volumes: dict[str, list[Volume]]) -> None:
    hosts = system_volume(volumes["file01"]).file("/Windows/System32/drivers/etc/hosts")
    assert b"198.51.100.10   exports exports.branch.example\r\n" in hosts
    assert hosts.count(b"\n") == hosts.count(b"\r\n")


@pytest.mark.parametrize(
    ("name", "path", "machine"),
    [
        ("file01", "/Windows/System32/cmd.exe", 0x8664),
        ("file01", "/Windows/SysWOW64/cmd.exe", 0x014C),
        ("file01", "/Program Files (x86)/ScanRouter/router.exe", 0x014C),
        ("app02", "/Windows/System32/cmd.exe", 0x014C),
    ],
)
def test_programs_are_of_their_machine(system: Volume, name: str, path: str, machine: int) -> None:
    content = system.file(path)
    assert content[:2] == b"MZ"
    header = struct.unpack_from("<I", content, 60)[0]
    assert struct.unpack_from("<4sH", content, header) == (b"PE\0\0", machine)


def test_data_lies_on_its_own_volume(volumes: dict[str, list[Volume]]) -> None:
    _, data = volumes["file01"]
    assert {"/Projects", "/Groups", "/Scans", "/Projects/2025/protokoll.txt"} <= data.paths()


def test_iis_sites(volumes: dict[str, list[Volume]]) -> None:
    config = system_volume(volumes["app02"]).file("/Windows/System32/inetsrv/config/applicationHost.config")
    sites = {site.get("name") for site in xml(config).iter("site")}
    assert sites == {"Default Web Site", "Branch Orders"}


def test_local_accounts_hold_names_and_members_but_no_password(volumes: dict[str, list[Volume]]) -> None:
    system = system_volume(volumes["file01"])
    account = r"SAM\Domains\Account"
    assert set(system.keys("SAM", rf"{account}\Users\Names")) == {
        "Administrator",
        "Guest",
        "mueller",
        "scanner",
        "svc_backup",
    }
    assert set(system.keys("SAM", rf"{account}\Aliases\Names")) == {"Ablage S\u00fcd", "Projects Team"}
    values = system.data("SAM", rf"{account}\Users\000003EB")
    assert account_cell(values["V"], 1).decode("utf-16-le") == "svc_backup"
    assert {len(account_cell(values["V"], cell)) for cell in (13, 14, 15, 16)} == {4}, (
        "hash cells without a hash"
    )
    assert struct.unpack_from("<I", values["F"], 0x30) == (1003,)
    assert struct.unpack_from("<H", values["F"], 0x38)[0] & 0x0200, "password never expires"
    operators = system.data("SAM", r"SAM\Domains\Builtin\Aliases\00000227")["C"]
    offset, length, count = struct.unpack_from("<III", operators, 4 + 3 * 12)
    assert count == 1
    assert operators[52 + offset : 52 + offset + length][-4:] == struct.pack("<I", 1003)


def account_cell(content: bytes, number: int) -> bytes:
    offset, length = struct.unpack_from("<II", content, 12 * number)
    return content[204 + offset : 204 + offset + length]


def test_an_unchanged_image_is_not_built_again(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in out.iterdir()}
    assert build_images.main(["--out", str(out), "file01", "app02"]) == 0
    assert re.findall(r"^(\w+): unchanged", capsys.readouterr().out, re.MULTILINE) == ["file01", "app02"]
    assert {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in out.iterdir()} == before


def test_digest_is_the_same_in_another_process_and_unlike_any_other() -> None:
    mine = [images.recipe_digest(name) for name in SERVERS]
    assert len(set(mine)) == len(SERVERS)
    code = "from lab import images; print(*map(images.recipe_digest, images.names()))"
    other = subprocess.run(
        [sys.executable, "-c", code], cwd=LAB, check=True, capture_output=True, text=True, timeout=60
    )
    assert other.stdout.split() == mine


def test_two_builds_hold_the_same(volumes: dict[str, list[Volume]], tmp_path: Path) -> None:
    again = system_volume(split(images.build("file01", tmp_path), tmp_path / "parts"))
    first = system_volume(volumes["file01"])
    assert again.paths() == first.paths()
    for hive in recipe.PREFIXES:
        exports = [output("hivexregedit", "--export", volume.hive(hive), "\\") for volume in (first, again)]
        assert exports[0] == exports[1]


@pytest.fixture
def own_recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the recipes that a test may change."""
    copy = tmp_path / "recipes"
    shutil.copytree(recipe.IMAGES, copy)
    monkeypatch.setattr(recipe, "IMAGES", copy)
    return copy


def test_a_changed_recipe_is_built_again(own_recipes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    image = images.build("app02", out)
    reg = own_recipes / "servers" / "app02" / "SYSTEM.reg"
    reg.write_text(reg.read_text().replace('"JAVA_HOME"="C:\\\\Program', '"JAVA_HOME"="D:\\\\Program'))
    assert not images.is_current("app02", out)
    images.build("app02", out)
    system = system_volume(split(image, tmp_path / "parts"))
    environment = rf"{SET}\Control\Session Manager\Environment"
    assert system.text("SYSTEM", environment, "JAVA_HOME") == r"D:\Program Files\Java\jre6"


def test_a_changed_layer_changes_every_server_on_it(own_recipes: Path) -> None:
    before = {name: images.recipe_digest(name) for name in SERVERS}
    (own_recipes / "layers" / "nt10" / "DEFAULT.reg").write_text("; nothing\n")
    changed = {name for name in SERVERS if images.recipe_digest(name) != before[name]}
    assert changed == {"file01n-built", "win2022-golden", "win2025-golden"}


def test_a_failed_build_leaves_the_old_image_and_nothing_half_made(
    own_recipes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    image = images.build("app02", out)
    before = image.read_bytes()
    (own_recipes / "servers" / "app02" / "DEFAULT.reg").write_text("; changed\n")

    def fail(program: str, *args: str | Path) -> None:
        if program == "qemu-img":
            raise programs.LabError("qemu-img failed with exit code 1: No space left on device")
        real(program, *args)

    real = programs.run
    monkeypatch.setattr(programs, "run", fail)
    assert build_images.main(["--out", str(out), "app02"]) == 1
    assert image.read_bytes() == before
    assert sorted(path.name for path in out.iterdir()) == ["app02.qcow2", "app02.recipe.json"]
    monkeypatch.setattr(programs, "run", real)
    assert not images.is_current("app02", out)
    images.build("app02", out)
    assert images.is_current("app02", out)


def test_a_build_stopped_before_its_stamp_leaves_no_false_stamp(
    own_recipes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    images.build("app02", out)
    changed = own_recipes / "servers" / "app02" / "DEFAULT.reg"
    changed.write_text("; changed\n")
    real = Path.replace

    def stop(self: Path, target: Path) -> Path:
        if target.name.endswith(".recipe.json"):
            raise KeyboardInterrupt
        return real(self, target)

    monkeypatch.setattr(Path, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        images.build("app02", out)
    changed.unlink()
    assert not images.is_current("app02", out), "the image is of the other recipe"
    assert [path.name for path in out.iterdir()] == ["app02.qcow2"]


def test_missing_programs_are_named_with_their_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        programs.shutil, "which", lambda program, path: None if program[0] in "mh" else program
    )
    assert build_images.main(["--out", str(tmp_path / "out"), "file01"]) == 1
    words = capsys.readouterr().err
    assert "mkntfs (package ntfs-3g), hivexregedit (package libwin-hivex-perl)" in words
    assert "apt-get install libwin-hivex-perl ntfs-3g" in words
    assert "qemu-img" not in words
    assert not (tmp_path / "out").exists()


def test_an_unknown_name_is_answered_with_the_known_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build_images.main(["--out", str(tmp_path), "file02"]) == 1
    assert "no lab image is called 'file02'; there are: app02, " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "content", "complaint"),
    [
        (
            "SYSTEM.reg",
            '[HKEY_LOCAL_MACHINE\\SYSTEM\\A]\n"x"=dword:12\n',
            "SYSTEM.reg:2: cannot read the value",
        ),
        (
            "SYSTEM.reg",
            "[HKEY_LOCAL_MACHINE\\SOFTWARE\\A]\n",
            "SYSTEM.reg:1: this file may only hold keys below",
        ),
        ("SYSTEM.reg", '"x"="y"\n', "SYSTEM.reg:1: a value stands before any [KEY]"),
        ("SYSTEM.reg", "[HKEY_LOCAL_MACHINE\\SYSTEM\\A]\nx=1\n", "SYSTEM.reg:2: expected [KEY]"),
        (
            "SYSTEM.reg",
            '[HKEY_LOCAL_MACHINE\\SYSTEM\\A]\n"x"=sd:"(X)"\n',
            "SYSTEM.reg:2: not a list of access",
        ),
        (
            "SYSTEM.reg",
            '[HKEY_LOCAL_MACHINE\\SYSTEM\\A]\n"x"=hex:01,\\',
            "SYSTEM.reg:2: the line ends in a back",
        ),
        ("SYSTM.reg", "", "SYSTM.reg: the name must begin with one of SYSTEM, SOFTWARE"),
        ("server.toml", 'about = "x"\nbased_on = "file01"\nsize = 3\n', "server.toml: unknown settings size"),
        ("server.toml", 'about = "x"\nbased_on = "file01"\n', "the setting 'written' is missing"),
        ("server.toml", "about = \n", "server.toml: Invalid value"),
        ("e/x.txt", "x", "'e' is not a partition of this server; it has c"),
        ("c/windows/x.txt", "x", "two spellings of one path: Windows and windows"),
    ],
)
def test_a_bad_recipe_is_refused_with_its_place(
    own_recipes: Path,
    tmp_path: Path,
    file: str,
    content: str,
    complaint: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = own_recipes / "servers" / "app02" / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    assert build_images.main(["--out", str(tmp_path / "out"), "app02"]) == 1
    assert complaint in capsys.readouterr().err
    assert list((tmp_path / "out").glob("*")) == []
