"""Images of every format against qemu-img's own bytes; hostile images are refused before a byte is served."""

import fcntl
import json
import os
import random
import socket
import struct
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.disks import image_info, open_image, open_raw
from orchestrator.sandbox import confine

SIZE = 3 * 1024 * 1024 + 512 * 7
SECRET = b"root-only-secret-" * 64
FORMATS = [
    ("raw", "img"),
    ("qcow2", "qcow2"),
    ("vmdk", "vmdk"),
    ("vhdx", "vhdx"),
    ("vdi", "vdi"),
    ("vpc", "vhd"),
]


def qemu_img(*words: object) -> None:
    subprocess.run(["qemu-img", *map(str, words)], check=True, stdout=subprocess.DEVNULL, timeout=60)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A disk with data at both ends and a hole between."""
    random.seed(1)
    path = tmp_path / "disk.img"
    with path.open("wb") as stream:
        stream.write(random.randbytes(700_000))
        stream.seek(SIZE - 9000)
        stream.write(random.randbytes(9000))
    return path


def locked(path: Path) -> bool:
    """Tell whether another process holds a lock on a part of the file, as QEMU does on an open image."""
    with path.open("r+b") as stream:
        asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        found = struct.unpack("hhqqi4x", fcntl.fcntl(stream, fcntl.F_OFD_GETLK, asked))
    return found[0] != fcntl.F_UNLCK


def test_nobody_holds_the_image_any_more_when_its_context_has_ended(raw: Path) -> None:
    for _ in range(20):
        with open_image(raw, "raw", allowed=[raw.parent]) as disk:
            disk.read(0, 512)
            assert locked(raw)
        assert not locked(raw)


@pytest.mark.parametrize(("fmt", "suffix"), FORMATS)
def test_reads_what_qemu_img_converts(raw: Path, fmt: str, suffix: str) -> None:
    image, back = raw.with_suffix(f".x.{suffix}"), raw.with_suffix(".back")
    qemu_img("convert", "-f", "raw", "-O", fmt, raw, image)
    qemu_img("convert", "-f", fmt, "-O", "raw", image, back)
    want = back.read_bytes()
    with open_image(image, fmt, allowed=[raw.parent], key="sda") as disk:
        assert (disk.key, disk.size) == ("sda", len(want))
        assert disk.read(0, disk.size) == want
        assert disk.read(4095, 70_001) == want[4095:74_096]
        extents = list(disk.extents())
    at = 0
    for extent in extents:
        assert extent.offset == at
        if extent.zero:
            assert not want[at : at + extent.length].strip(b"\0")
        at += extent.length
    assert at == len(want)


def test_reads_the_bytes_below_an_overlay_and_of_it(raw: Path) -> None:
    base, overlay = raw.with_suffix(".qcow2"), raw.with_name("overlay.qcow2")
    qemu_img("convert", "-f", "raw", "-O", "qcow2", raw, base)
    qemu_img("create", "-f", "qcow2", "-b", base, "-F", "qcow2", overlay)
    subprocess.run(
        ["qemu-io", "-f", "qcow2", "-c", "write -P 7 4096 4096", overlay],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    want = bytearray(raw.read_bytes())
    with open_image(base, "qcow2", allowed=[raw.parent]) as disk:
        assert disk.read(0, SIZE) == want
    want[4096:8192] = b"\7" * 4096
    with open_image(overlay, "qcow2", allowed=[raw.parent]) as disk:
        assert disk.read(0, SIZE) == want
    info = image_info(overlay, [raw.parent])
    assert [(layer.path, layer.format) for layer in info.layers] == [(overlay, "qcow2"), (base, "qcow2")]
    assert info.virtual_size == SIZE


def test_raw_file_gives_the_same_bytes_and_its_holes(raw: Path) -> None:
    with open_raw(raw) as disk:
        assert disk.read(0, SIZE) == raw.read_bytes()
        extents = list(disk.extents())
    assert sum(extent.length for extent in extents) == SIZE
    assert any(extent.zero for extent in extents)


def test_many_threads_read_the_same_disk(raw: Path) -> None:
    want = raw.read_bytes()
    offsets = [n * 20_011 for n in range(60)]
    with open_image(raw, "raw", allowed=[raw.parent], connections=3) as disk, ThreadPoolExecutor(8) as pool:
        parts = list(pool.map(lambda at: disk.read(at, 5000), offsets))
    assert parts == [want[at : at + 5000] for at in offsets]


@pytest.mark.parametrize(("offset", "length"), [(-1, 1), (0, SIZE + 1), (SIZE, 1)])
def test_a_read_outside_the_disk_is_refused(raw: Path, offset: int, length: int) -> None:
    with (
        open_image(raw, "raw", allowed=[raw.parent]) as disk,
        pytest.raises(ProviderError, match="outside") as caught,
    ):
        disk.read(offset, length)
    assert caught.value.kind is ErrorKind.PERMANENT


def test_the_server_is_gone_afterwards_also_after_an_error(raw: Path) -> None:
    def of_this_disk() -> list[str]:
        found = subprocess.run(
            ["pgrep", "-f", f"qemu-nbd.*{raw}"], capture_output=True, text=True, check=False
        )
        return found.stdout.split()

    def fail_inside() -> None:
        with open_image(raw, "raw", allowed=[raw.parent]):
            assert of_this_disk()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_inside()
    assert not of_this_disk()


def test_root_reads_the_hypervisors_own_images(raw: Path) -> None:
    raw.chmod(0o600)
    if os.geteuid() == 0:
        os.chown(raw, 64055, 64055)
    with open_image(raw, "raw", allowed=[raw.parent]) as disk:
        assert disk.read(0, 16) == raw.read_bytes()[:16]


def test_an_image_that_a_running_machine_writes_is_refused(raw: Path) -> None:
    image, held = raw.with_suffix(".qcow2"), raw.with_name("held")
    qemu_img("convert", "-f", "raw", "-O", "qcow2", raw, image)
    command = [
        "qemu-nbd",
        "--format=qcow2",
        "--persistent",
        f"--socket={held}",
        f"--pid-file={held}.pid",
        image,
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as writer:
        try:
            while writer.poll() is None and not Path(f"{held}.pid").exists():
                time.sleep(0.01)
            with pytest.raises(ProviderError, match="read a snapshot instead"):
                open_image(image, "qcow2", allowed=[raw.parent]).__enter__()
        finally:
            writer.terminate()


# Hostile images.


@pytest.fixture
def jobs(tmp_path: Path) -> Path:
    """The allowed folder; beside it lies what must not be read."""
    (tmp_path / "secret").write_bytes(SECRET)
    folder = tmp_path / "job"
    folder.mkdir()
    return folder


def refusal(image: Path, fmt: str, folder: Path) -> str:
    with pytest.raises(ProviderError) as caught, open_image(image, fmt, allowed=[folder]) as disk:
        assert SECRET[:16] not in disk.read(0, disk.size)
    assert caught.value.kind is ErrorKind.PERMANENT
    assert str(folder) in caught.value.message
    assert SECRET[:16].decode() not in str(caught.value)
    return str(caught.value)


def qcow2_over(folder: Path, backing: str, fmt: str = "raw") -> Path:
    image = folder / "evil.qcow2"
    qemu_img("create", "-f", "qcow2", "-u", "-b", backing, "-F", fmt, image, "1M")
    return image


def test_refuses_an_absolute_backing_file_outside(jobs: Path) -> None:
    image = qcow2_over(jobs, str(jobs.parent / "secret"))
    assert "outside the folders" in refusal(image, "qcow2", jobs)


def test_refuses_a_backing_file_that_climbs_out(jobs: Path) -> None:
    assert "outside the folders" in refusal(qcow2_over(jobs, "../secret"), "qcow2", jobs)


def test_refuses_a_symbolic_link_that_leads_out(jobs: Path) -> None:
    (jobs / "innocent").symlink_to(jobs.parent / "secret")
    assert "outside the folders" in refusal(qcow2_over(jobs, "innocent"), "qcow2", jobs)
    assert "outside the folders" in refusal(jobs / "innocent", "raw", jobs)


def test_refuses_a_hostile_file_further_down_the_chain(jobs: Path) -> None:
    qcow2_over(jobs, "../secret").rename(jobs / "middle.qcow2")
    assert "outside the folders" in refusal(qcow2_over(jobs, "middle.qcow2", "qcow2"), "qcow2", jobs)


def test_refuses_a_backing_file_of_unknown_format(jobs: Path) -> None:
    image = qcow2_over(jobs, "base.img")
    (jobs / "base.img").write_bytes(bytes(1 << 20))
    data = image.read_bytes()
    at = data.index(b"\xe2\x79\x2a\xca")  # the header extension that names the backing format
    image.write_bytes(data[:at] + b"\0\0\0\0" + data[at + 4 :])
    assert "which format" in refusal(image, "qcow2", jobs)


@pytest.mark.parametrize("scheme", ["nbd:unix:{}", "nbd+unix:///?socket={}"])
def test_refuses_a_network_backing_and_connects_nowhere(jobs: Path, scheme: str) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(jobs / "nbd"))
        listener.listen()
        listener.settimeout(0.3)
        assert "not a file" in refusal(qcow2_over(jobs, scheme.format(jobs / "nbd")), "qcow2", jobs)
        with pytest.raises(TimeoutError):
            listener.accept()


def test_refuses_a_json_backing(jobs: Path) -> None:
    hidden = json.dumps(
        {"driver": "raw", "file": {"driver": "file", "filename": str(jobs.parent / "secret")}}
    )
    assert "not a file" in refusal(qcow2_over(jobs, f"json:{hidden}"), "qcow2", jobs)


def test_refuses_a_data_file(jobs: Path) -> None:
    image = jobs / "evil.qcow2"
    qemu_img("create", "-f", "qcow2", "-o", f"data_file={jobs / 'data'},data_file_raw=on", image, "1M")
    assert "data in another file" in refusal(image, "qcow2", jobs)


@pytest.mark.parametrize("extent", ["{}/secret", "../secret", "/etc/passwd", "nbd://127.0.0.1:1/x"])
def test_refuses_a_vmdk_extent_outside(jobs: Path, extent: str) -> None:
    image = jobs / "evil.vmdk"
    image.write_text(
        "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\n"
        f'createType="monolithicFlat"\nRW 8 FLAT "{extent.format(jobs.parent)}" 0\n'
    )
    assert "it may use" in refusal(image, "vmdk", jobs)


def test_refuses_a_vmdk_extent_that_the_sandbox_itself_shows(jobs: Path) -> None:
    image = jobs / "evil.vmdk"
    image.write_text(
        "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\n"
        'createType="monolithicFlat"\nRW 8 FLAT "/usr/bin/qemu-img" 0\n'
    )
    assert "outside the folders" in refusal(image, "vmdk", jobs)


def test_refuses_a_vmdk_without_the_full_sandbox(jobs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status = confine.SandboxStatus(confine.SandboxLevel.LIMITS, "as if namespaces were off")
    monkeypatch.setattr("orchestrator.disks.chain.sandbox_status", lambda: status)
    qemu_img("create", "-f", "vmdk", jobs / "good.vmdk", "1M")
    assert "full sandbox" in refusal(jobs / "good.vmdk", "vmdk", jobs)


def test_refuses_to_allow_the_whole_file_system(jobs: Path) -> None:
    with pytest.raises(ProviderError, match="whole file system"):
        image_info(jobs / "x.img", [Path("/")])


def test_refuses_a_chain_that_bites_its_tail(jobs: Path) -> None:
    image = qcow2_over(jobs, "evil.qcow2", "qcow2")
    assert "tail" in refusal(image, "qcow2", jobs)


def test_refuses_what_is_not_there_not_a_file_or_not_a_known_format(jobs: Path) -> None:
    assert "cannot be read" in refusal(jobs / "none.img", "raw", jobs)
    (jobs / "folder").mkdir()
    assert "not a plain file" in refusal(jobs / "folder", "raw", jobs)
    (jobs / "x.img").write_bytes(bytes(512))
    assert "not one that ferry reads" in refusal(jobs / "x.img", "nbd", jobs)
    assert "cannot be read as qcow2" in refusal(jobs / "x.img", "qcow2", jobs)


def test_probing_does_not_believe_a_guest_that_forges_a_header(jobs: Path) -> None:
    forged = qcow2_over(jobs, "/etc/passwd").rename(jobs / "disk.img")
    with pytest.raises(ProviderError, match="its name says raw, its content says qcow2"):
        image_info(forged, [jobs])
    assert image_info(forged, [jobs], "raw").format == "raw"
