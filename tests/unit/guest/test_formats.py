"""One server in every container that qemu reads, with either partition table: always the same facts."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.contract.errors import ProviderError
from orchestrator.disks import Scheme, open_image, partition_table
from orchestrator.guest.offline import collect_from_image
from orchestrator.model.facts import ServerFacts

FORMATS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "raw": ("raw", "img", ()),
    "qcow2": ("qcow2", "qcow2", ()),
    "qcow2 version 2": ("qcow2", "qcow2", ("-o", "compat=0.10")),
    "qcow2 compressed by zlib": ("qcow2", "qcow2", ("-c",)),
    "qcow2 compressed by zstd": ("qcow2", "qcow2", ("-c", "-o", "compression_type=zstd")),
    "qcow2 with subclusters": ("qcow2", "qcow2", ("-o", "extended_l2=on")),
    "VMDK monolithicSparse": ("vmdk", "vmdk", ("-o", "subformat=monolithicSparse")),
    "VMDK monolithicFlat": ("vmdk", "vmdk", ("-o", "subformat=monolithicFlat")),
    "VMDK twoGbMaxExtentSparse": ("vmdk", "vmdk", ("-o", "subformat=twoGbMaxExtentSparse")),
    "VMDK twoGbMaxExtentFlat": ("vmdk", "vmdk", ("-o", "subformat=twoGbMaxExtentFlat")),
    "VMDK streamOptimized": ("vmdk", "vmdk", ("-o", "subformat=streamOptimized")),
    "VHD dynamic": ("vpc", "vhd", ("-o", "subformat=dynamic")),
    "VHD fixed": ("vpc", "vhd", ("-o", "subformat=fixed")),
    "VHDX dynamic": ("vhdx", "vhdx", ("-o", "subformat=dynamic")),
    "VHDX fixed": ("vhdx", "vhdx", ("-o", "subformat=fixed")),
    "VDI": ("vdi", "vdi", ()),
}
SERVERS = {"mbr": "app02", "gpt": "win2025-golden"}
LARGER = 2200 * 1024 * 1024
"""More than one extent of a split VMDK."""


def qemu_img(*words: object) -> None:
    subprocess.run(["qemu-img", *map(str, words)], check=True, stdout=subprocess.DEVNULL, timeout=60)


def comparable(found: ServerFacts) -> ServerFacts:
    """Without the disk's own size: VHD rounds it up to whole cylinders."""
    return found.model_copy(update={"disks": None})


@pytest.fixture(scope="module")
def raws(lab_image: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("raw")
    found = {table: folder / f"{table}.img" for table in SERVERS}
    for table, name in SERVERS.items():
        qemu_img("convert", "-f", "qcow2", "-O", "raw", lab_image(name), found[table])
    return found


@pytest.fixture(scope="module")
def wanted(raws: dict[str, Path]) -> dict[str, ServerFacts]:
    return {table: comparable(collect_from_image(raw)) for table, raw in raws.items()}


@pytest.mark.parametrize("table", SERVERS)
def test_the_lab_has_both_partition_tables(raws: dict[str, Path], table: str) -> None:
    with open_image(raws[table], "raw", allowed=[raws[table].parent]) as disk:
        assert partition_table(disk).scheme is Scheme(table)


@pytest.mark.parametrize("table", SERVERS)
@pytest.mark.parametrize("case", FORMATS)
def test_every_container_gives_the_same_facts(
    raws: dict[str, Path], wanted: dict[str, ServerFacts], tmp_path: Path, case: str, table: str
) -> None:
    fmt, suffix, options = FORMATS[case]
    source, image = raws[table], tmp_path / f"disk.{suffix}"
    if "twoGb" in case:
        source = tmp_path / "larger.img"
        qemu_img("convert", "-f", "raw", "-O", "raw", raws[table], source)
        with source.open("r+b") as stream:
            stream.truncate(LARGER)
    qemu_img("convert", "-f", "raw", "-O", fmt, *options, source, image)
    if "twoGb" in case:
        assert len(list(tmp_path.glob("disk-*00[12].vmdk"))) == 2
    assert comparable(collect_from_image(image)) == wanted[table]


@pytest.mark.parametrize(("fmt", "suffix"), [("qcow2", "qcow2"), ("vmdk", "vmdk")])
def test_a_chain_gives_the_facts_of_its_top(
    raws: dict[str, Path], wanted: dict[str, ServerFacts], tmp_path: Path, fmt: str, suffix: str
) -> None:
    base, middle, top = (tmp_path / f"{name}.{suffix}" for name in ("base", "middle", "top"))
    # The partition table is missing in the base and comes in the middle: the base alone holds no Windows.
    qemu_img("convert", "-f", "raw", "-O", fmt, raws["mbr"], base)
    qemu_io(base, fmt, "write -z 0 512")
    qemu_img("create", "-q", "-f", fmt, "-b", base.name, "-F", fmt, middle)
    qemu_io(middle, fmt, f"write -s {raws['mbr']} 0 512")
    qemu_img("create", "-q", "-f", fmt, "-b", middle.name, "-F", fmt, top)
    assert comparable(collect_from_image(top)) == wanted["mbr"]


def qemu_io(image: Path, fmt: str, command: str) -> None:
    subprocess.run(
        ["qemu-io", "-f", fmt, "-c", command, image], check=True, stdout=subprocess.DEVNULL, timeout=60
    )


def test_a_differencing_vhd_is_refused_rather_than_read_as_a_whole_one(
    raws: dict[str, Path], tmp_path: Path
) -> None:
    image = tmp_path / "snapshot.vhd"
    qemu_img("convert", "-f", "raw", "-O", "vpc", raws["mbr"], image)
    data = bytearray(image.read_bytes())
    for at in (0, len(data) - 512):
        data[at + 60 : at + 68] = (4).to_bytes(4, "big") + bytes(4)
        data[at + 64 : at + 68] = (~sum(data[at : at + 512]) & 0xFFFFFFFF).to_bytes(4, "big")
    image.write_bytes(data)
    with pytest.raises(ProviderError, match="only the changes to a parent"):
        collect_from_image(image)


def test_a_raw_disk_with_the_name_of_a_vhd_is_refused(raws: dict[str, Path], tmp_path: Path) -> None:
    image = tmp_path / "disk.vhd"
    image.hardlink_to(raws["mbr"])
    with pytest.raises(ProviderError, match="its name says vpc, its content says raw"):
        collect_from_image(image)
