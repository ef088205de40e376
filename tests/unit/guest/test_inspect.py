"""The inspection in this process, where a crash shows as itself: damaged registries, cut walks, speed."""

import random
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.diagnostics import FerryError
from orchestrator.guest.offline import programs
from orchestrator.guest.offline.blocks import REQUEST, RemoteDisk
from orchestrator.guest.offline.inspect import inspect
from orchestrator.guest.offline.sections import Sections
from orchestrator.guest.offline.systems import all_places
from orchestrator.model.facts import ServerFacts

DOS = b"MZ" + bytes(200)


def asker(data: bytes | bytearray) -> Callable[[bytes], bytes]:
    def ask(request: bytes) -> bytes:
        _, offset, length = REQUEST.unpack(request)
        return bytes(data[offset : offset + length])

    return ask


def facts_of(data: bytes | bytearray) -> ServerFacts:
    return ServerFacts.model_validate(inspect([len(data)], asker(data)))


@pytest.fixture(scope="module")
def server(lab_image: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> bytes:
    raw = tmp_path_factory.mktemp("raw") / "app02"
    command = ["qemu-img", "convert", "-O", "raw", str(lab_image("app02")), str(raw)]
    subprocess.run(command, check=True, timeout=60)
    return raw.read_bytes()


@pytest.fixture(scope="module")
def hive_pages(server: bytes) -> list[int]:
    """Where the pages of hives lie in the image: from each "hbin" to the end of its first 4096 bytes."""
    return [at for at in range(0, len(server), 512) if server[at : at + 4] == b"hbin"]


@pytest.mark.parametrize("seed", range(16))
def test_a_damaged_registry_gives_facts_or_a_clear_error(
    server: bytes, hive_pages: list[int], seed: int
) -> None:
    chance, data = random.Random(seed), bytearray(server)
    for _ in range(chance.choice([5, 50, 500])):
        data[chance.choice(hive_pages) + chance.randrange(32, 4096)] = chance.randrange(256)
    try:
        found = facts_of(data)
    except FerryError as fault:
        assert fault.message  # noqa: PT017
    else:
        assert all(reason for _, reason in found.unknown)


def test_the_same_disk_gives_the_same_facts(server: bytes) -> None:
    assert facts_of(server) == facts_of(server)


def test_a_large_folder_of_data_does_not_use_up_what_programs_need(
    make_disk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {f"Data/f{n:03}.txt": b"x" for n in range(120)} | {
        "Program Files/App/a.exe": DOS,
        "Windows/SYSVOL/s.cmd": b"if %build%==6002 exit",
        "Zebra/z.cmd": b"if %build%==6002 exit",
    }
    disk = make_disk(files)
    remote = RemoteDisk(0, disk.size, asker(disk.read(0, disk.size)))
    volume = all_places([remote])[1][0].volume
    assert volume is not None
    whole = programs.walk_volumes([("C:", volume)], volume, "\\Windows")
    assert (list(whole.programs), len(whole.tests), whole.cut) == ([r"c:\program files\app\a.exe"], 2, "")
    monkeypatch.setattr(programs, "_MAX_ENTRIES", 60)
    cut = programs.walk_volumes([("C:", volume)], volume, "\\Windows")
    assert list(cut.programs) == [r"c:\program files\app\a.exe"]
    assert [test.path for test in cut.tests] == [r"C:\Windows\SYSVOL\s.cmd"]
    assert "more entries below C:" in cut.cut


def test_one_broken_section_is_unknown_and_no_more() -> None:
    notes = Sections()

    def broken() -> int:
        raise IndexError

    assert notes.read("a", "here", broken, "absent") is None
    assert notes.read("b", "there", lambda: 3, "absent") == 3
    assert notes.read("c", "there", lambda: None, "not there") is None
    assert notes.of_key("d", None, "there", lambda key: key, "absent") is None
    assert notes.unknown == [
        ("a", "it makes no sense (IndexError)"),
        ("c", "not there"),
        ("d", "the part of the registry that holds it cannot be read"),
    ]
    assert notes.sources == [("b", "there")]


def test_a_flood_of_warnings_is_cut_and_says_so() -> None:
    notes = Sections()
    for number in range(80):
        notes.warn(f"w{number}\x07")
    assert len(notes.warnings) == 51
    assert notes.warnings[0] == "w0\ufffd"
    assert notes.warnings[-1] == "30 more warnings are left out"


def test_a_real_large_registry_is_read_in_a_moment(make_disk: Any, real_hive: Callable[[str], bytes]) -> None:
    config = "Windows/System32/config"
    names = {
        "SYSTEM": "SYSTEM_B",
        "SYSTEM.LOG1": "SYSTEM_B.LOG1",
        "SYSTEM.LOG2": "SYSTEM_B.LOG2",
        "SAM": "SAM",
    }
    disk = make_disk({f"{config}/{to}": real_hive(name) for to, name in names.items()})
    data = disk.read(0, disk.size)
    start = time.process_time()
    found = facts_of(data)
    spent = time.process_time() - start
    assert found.users is not None
    assert found.firewall is not None
    assert len(found.firewall.rules) > 400
    assert spent < 3  # 0.6 on an idle machine; a reader that walks too much would take ten times that
