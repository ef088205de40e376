"""Partition tables as sfdisk and sgdisk write them, and damaged ones."""

import random
import subprocess
from pathlib import Path

import pytest

from orchestrator.disks import PartitionTable, Scheme, open_raw, partition_table

MIB = 1024 * 1024
NTFS_GPT = "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7"


def read(path: Path) -> PartitionTable:
    with open_raw(path) as disk:
        return partition_table(disk)


def disk(tmp_path: Path, script: str = "") -> Path:
    path = tmp_path / "disk.img"
    with path.open("wb") as stream:
        stream.truncate(64 * MIB)
    if script:
        subprocess.run(["sfdisk", "-q", path], input=script, text=True, check=True, stderr=subprocess.DEVNULL)
    return path


def test_mbr_with_logical_partitions(tmp_path: Path) -> None:
    script = (
        "label: dos\nstart=2048,size=20480,type=7\nstart=22528,size=60000,type=f\n"
        "start=24576,size=2048,type=7\nsize=4096,type=7\n"
    )
    table = read(disk(tmp_path, script))
    assert table.scheme is Scheme.MBR
    assert [(p.offset // 512, p.length // 512, p.type) for p in table.partitions][:2] == [
        (2048, 20480, "07"),
        (24576, 2048, "07"),
    ]
    assert len(table.partitions) == 3
    assert not table.has_esp


def test_gpt_with_an_efi_system_partition(tmp_path: Path) -> None:
    path = disk(tmp_path)
    subprocess.run(
        ["sgdisk", "-n", "1:2048:+8M", "-t", "1:EF00", "-n", "2::+16M", "-t", "2:0700", path],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    table = read(path)
    assert table.scheme is Scheme.GPT
    assert table.has_esp
    assert [(p.offset, p.length) for p in table.partitions] == [(MIB, 8 * MIB), (9 * MIB, 16 * MIB)]
    assert table.partitions[1].type == NTFS_GPT


def test_an_empty_disk_and_a_bare_file_system_have_none(tmp_path: Path) -> None:
    path = disk(tmp_path)
    assert read(path).scheme is Scheme.NONE
    subprocess.run(["mkntfs", "-F", "-Q", "-q", path], check=True, stdout=subprocess.DEVNULL)
    assert read(path).scheme is Scheme.NONE


def test_an_mbr_efi_partition_counts(tmp_path: Path) -> None:
    assert read(disk(tmp_path, "label: dos\nstart=2048,size=2048,type=ef\n")).has_esp


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One disk of each kind, the MBR one with an extended partition."""
    rest = {"gpt": ",,L", "dos": ",,E"}
    return {
        label: disk(tmp_path_factory.mktemp(label), f"label: {label}\nstart=2048,size=20480\n{rest[label]}\n")
        for label in rest
    }


@pytest.mark.parametrize("seed", range(30))
def test_a_damaged_table_ends_and_stays_inside_the_disk(tables: dict[str, Path], seed: int) -> None:
    path = tables["gpt" if seed % 2 else "dos"]
    chance = random.Random(seed)
    with path.open("r+b") as stream:
        whole = stream.read(4096)
        for _ in range(20):
            stream.seek(chance.choice([446, 512, 1024]) + chance.randrange(96))
            stream.write(chance.randbytes(1))
        stream.seek(510)
        stream.write(b"\x55\xaa")
    for partition in read(path).partitions:
        assert 0 < partition.offset < partition.offset + partition.length <= 64 * MIB
    with path.open("r+b") as stream:
        stream.write(whole)
