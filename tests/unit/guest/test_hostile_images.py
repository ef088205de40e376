"""Images that reach for the host's files or for the network: refused, and nobody was reached.

The secret file is watched by the kernel and the port listens: both speak up in the last tests, so their
silence in the others means something.
"""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.diagnostics import FerryError
from orchestrator.guest.offline import collect_from_image
from tests.rigs.watched import WatchedFile, WatchedPort, watched_file, watched_port

SECRET = "root-only-secret"
DESCRIPTOR = """# Disk DescriptorFile
version=1
CID=fffffffe
parentCID={cid}
createType="{kind}"
{lines}
"""


@dataclass(frozen=True)
class Scene:
    """The folder of the image, and what lies outside it."""

    folder: Path
    secret: WatchedFile
    port: WatchedPort

    def put(self, text: str) -> str:
        """Fill in the names that a hostile image would use."""
        inner = {"driver": "raw", "file": {"driver": "file", "filename": str(self.secret.path)}}
        host = {"type": "inet", "host": "127.0.0.1", "port": str(self.port.port)}
        names = {
            "SECRET": str(self.secret.path),
            "PORT": f"127.0.0.1:{self.port.port}",
            "JSONFILE": "json:" + json.dumps(inner),
            "JSONNBD": "json:" + json.dumps({"driver": "nbd", "server": host}),
        }
        for name, value in names.items():
            text = text.replace(name, value)
        return text

    def refuses(self, image: Path) -> str:
        """Have the image collected from; return the refusal, once nothing was reached."""
        with pytest.raises(FerryError) as caught:
            collect_from_image(image)
        assert not self.secret.opened()
        assert not self.port.visited()
        assert SECRET not in str(caught.value)
        assert image.name in caught.value.message
        return caught.value.message


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    secret = tmp_path / "secret"
    secret.write_bytes(SECRET.encode() * 4096)
    (tmp_path / "job").mkdir()
    with watched_file(secret) as file, watched_port() as port:
        yield Scene(tmp_path / "job", file, port)


BACKINGS = [
    "SECRET",
    "../secret",
    "file:SECRET",
    "nbd://PORT/x",
    "nbd:PORT",
    "http://PORT/disk.img",
    "JSONFILE",
    "JSONNBD",
    "fat:SECRET",
    "host_device:SECRET",
]


@pytest.mark.parametrize("fmt", ["raw", "qcow2"])
@pytest.mark.parametrize("backing", BACKINGS)
def test_a_qcow2_backing(scene: Scene, backing: str, fmt: str) -> None:
    image = scene.folder / "evil.qcow2"
    create = ["qemu-img", "create", "-q", "-f", "qcow2", "-u", "-b", scene.put(backing), "-F", fmt]
    subprocess.run([*create, image, "1M"], check=True, timeout=60)
    assert "it refers to" in scene.refuses(image)


@pytest.mark.parametrize("data", ["SECRET", "nbd://PORT/x", "JSONNBD"])
def test_a_qcow2_data_file(scene: Scene, data: str) -> None:
    image = scene.folder / "evil.qcow2"
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-o", "data_file=data", image.name, "1M"],
        check=True,
        cwd=scene.folder,
        timeout=60,
    )
    content = bytearray(image.read_bytes())
    at = content.index(b"DATA\0\0\0\4data")  # the header extension that names the file
    name = scene.put(data).encode()
    content[at + 4 : at + 8 + len(name)] = len(name).to_bytes(4, "big") + name
    image.write_bytes(content)
    assert "data in another file" in scene.refuses(image)


EXTENTS = ["SECRET", "../secret", "nbd://PORT/x", "JSONFILE", "JSONNBD", "/dev/zero"]


@pytest.mark.parametrize("kind", ["FLAT", "SPARSE", "VMFS"])
@pytest.mark.parametrize("name", EXTENTS)
def test_a_vmdk_extent(scene: Scene, kind: str, name: str) -> None:
    image = scene.folder / "evil.vmdk"
    line = f'RW 128 {kind} "{scene.put(name)}"' + (" 0" if kind == "FLAT" else "")
    create = {"FLAT": "monolithicFlat", "SPARSE": "twoGbMaxExtentSparse", "VMFS": "vmfs"}[kind]
    image.write_text(DESCRIPTOR.format(cid="ffffffff", kind=create, lines=line))
    scene.refuses(image)


@pytest.mark.parametrize("name", EXTENTS)
def test_a_vmdk_parent(scene: Scene, name: str) -> None:
    base, image = scene.folder / "base.vmdk", scene.folder / "evil.vmdk"
    hint = scene.put(name)
    for command in (
        ["qemu-img", "create", "-q", "-f", "vmdk", base, "1M"],
        ["qemu-img", "create", "-q", "-f", "vmdk", "-b", base, "-F", "vmdk", image],
    ):
        subprocess.run(command, check=True, timeout=60)
    content = bytearray(image.read_bytes())
    at = content.index(b"parentFileNameHint=")
    room = content.index(b"\0\0\0\0", at)
    tail = bytes(content[content.index(b"\n", at) : room])
    line = f'parentFileNameHint="{hint}"'.encode()
    content[at : at + len(line + tail)] = line + tail
    image.write_bytes(content)
    base.unlink()
    scene.refuses(image)


def test_an_encrypted_image(scene: Scene) -> None:
    image = scene.folder / "locked.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", image, "1M"], check=True, timeout=60)
    # By hand: qemu-img measures the machine's speed for the key, and gives up on a busy one.
    content = bytearray(image.read_bytes())
    content[32:36] = (1).to_bytes(4, "big")
    image.write_bytes(content)
    assert "encrypted" in scene.refuses(image)


@pytest.mark.parametrize("suffix", ["qcow2", "vmdk", "vhd", "vhdx", "vdi", "img"])
def test_a_link_that_leads_out(scene: Scene, suffix: str) -> None:
    image = scene.folder / f"innocent.{suffix}"
    image.symlink_to(scene.secret.path)
    with pytest.raises(FerryError):
        collect_from_image(image, allowed=[scene.folder])
    assert not scene.secret.opened()


def test_the_watched_file_tells_when_qemu_does_read_it(scene: Scene) -> None:
    subprocess.run(
        ["qemu-img", "convert", "-f", "raw", "-O", "raw", scene.secret.path, scene.folder / "copy"],
        check=True,
        timeout=60,
    )
    assert scene.secret.opened()


def test_the_watched_port_tells_when_qemu_does_connect(scene: Scene) -> None:
    with subprocess.Popen(
        ["qemu-img", "info", f"nbd://127.0.0.1:{scene.port.port}/x"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        scene.port.listener.settimeout(20)
        scene.port.listener.accept()[0].close()
        process.wait(timeout=20)
