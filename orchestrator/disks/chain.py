"""Looks at a disk image before anybody opens it: which files is it made of, and may they be read?

An image is hostile: its header can name any file or server as its backing. Every layer is therefore asked
with `qemu-img info` inside the sandbox, one at a time, and refused unless each file that it names is a
plain file inside the allowed folders.
"""

import json
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os import SEEK_END
from pathlib import Path
from typing import Any

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.diagnostics import FerryError
from orchestrator.model.text import printable
from orchestrator.sandbox import Limits, SandboxLevel, run_tool, sandbox_status

FORMATS = frozenset({"raw", "qcow2", "vmdk", "vpc", "vhdx", "vdi"})
MAX_LAYERS = 64
_SUFFIXES = {
    ".qcow2": "qcow2", ".qcow": "qcow2", ".vmdk": "vmdk", ".vhd": "vpc", ".vhdx": "vhdx", ".vdi": "vdi",
}  # fmt: skip
_LIMITS = Limits(cpu=20, wall=30.0, output=4 * 1024 * 1024)
_FIXED_VHD, _DYNAMIC_VHD = 2, 3  # 4 is differencing
_PROTOCOL = re.compile(r"[^/]*:")


@dataclass(frozen=True, slots=True)
class ImageLayer:
    """One image of a chain; `path` has no symbolic links left."""

    path: Path
    format: str


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """A checked image. `layers` go from the image itself down to its base; `virtual_size` is in bytes."""

    layers: tuple[ImageLayer, ...]
    virtual_size: int

    @property
    def path(self) -> Path:
        """The image itself, without symbolic links."""
        return self.layers[0].path

    @property
    def format(self) -> str:
        """The image's own format, in qemu's words ("raw", "qcow2", "vmdk", "vpc", "vhdx", "vdi")."""
        return self.layers[0].format


def image_info(path: Path, allowed: Sequence[Path], fmt: str | None = None) -> ImageInfo:
    """Check an image and its whole chain; every file must lie in (or be) one of the `allowed` folders.

    Without `fmt` the content is probed, and accepted only where the file's name says the same: the guest
    owns the content of a raw disk and could dress it up as a qcow2. Raises ProviderError (PERMANENT) naming
    the image and the reason.
    """
    folders = tuple(folder.resolve() for folder in allowed)
    if Path("/") in folders:
        raise refused(
            path, "the whole file system cannot be allowed", "put the image into a folder of its own"
        )
    first = _permitted(path, folders, path)
    fmt = fmt or _probed(first, folders)
    layers: list[ImageLayer] = []
    size = 0
    at: ImageLayer | None = ImageLayer(first, _known(fmt, path))
    while at is not None:
        if len(layers) == MAX_LAYERS or any(layer.path == at.path for layer in layers):
            raise refused(
                path, f"its chain of backing files is longer than {MAX_LAYERS} or bites its own tail"
            )
        layers.append(at)
        info = _ask(at, folders)
        size = size or _number(info.get("virtual-size"))
        at = _below(at, info, folders)
    return ImageInfo(tuple(layers), size)


def refused(path: Path, why: str, hint: str = "") -> ProviderError:
    """Make the error for an image that will not be opened."""
    return ProviderError(ErrorKind.PERMANENT, f"disk image {printable(str(path))}: {why}", hint=hint)


def _permitted(path: Path, folders: Sequence[Path], image: Path) -> Path:
    try:
        real = path.resolve(strict=True)
        plain = stat.S_ISREG(real.stat().st_mode)
    except (OSError, RuntimeError, ValueError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else "not a usable path"
        raise refused(image, f"{printable(str(path))} cannot be read: {reason}") from fault
    if not any(real.is_relative_to(folder) for folder in folders):
        raise refused(image, f"it refers to {printable(str(path))}, outside the folders that it may use")
    if not plain:
        raise refused(image, f"{printable(str(path))} is not a plain file")
    return real


def _known(fmt: str, image: Path) -> str:
    if fmt not in FORMATS:
        raise refused(
            image,
            f"format {printable(fmt)!r} is not one that ferry reads",
            f"known: {', '.join(sorted(FORMATS))}",
        )
    return fmt


def _probed(path: Path, folders: Sequence[Path]) -> str:
    _without_data_file(path)
    found = str(_info(path, None, folders).get("format"))
    named = _SUFFIXES.get(path.suffix.lower(), "raw")
    if (named, found) == ("vpc", "raw") and _vhd_kinds(path) == {_FIXED_VHD}:
        return named  # qemu does not see a fixed VHD: its only mark is at the end
    if found != named:
        raise refused(
            path,
            f"its name says {named}, its content says {printable(found)}",
            "say which is right with --format; content can be forged by the guest",
        )
    return found


def _ask(layer: ImageLayer, folders: Sequence[Path]) -> dict[str, Any]:
    if layer.format == "vmdk" and sandbox_status().level is SandboxLevel.LIMITS:
        raise refused(layer.path, "VMDK is opened only inside the full sandbox", "see `ferry doctor`")
    if layer.format == "qcow2":
        _without_data_file(layer.path)
    if layer.format == "vpc":
        _without_parent(layer.path)
    return _info(layer.path, layer.format, folders)


def _without_data_file(path: Path) -> None:
    """Refuse a qcow2 that keeps its data in another file: `qemu-img info` itself would open that one."""
    with path.open("rb") as stream:
        header = stream.read(80)
    if len(header) == 80 and header[:4] == b"QFI\xfb" and header[4:8] == b"\0\0\0\3" and header[79] & 4:
        raise refused(
            path, "it keeps its data in another file", "convert it first: qemu-img convert -O qcow2"
        )


def _without_parent(path: Path) -> None:
    """Refuse a differencing VHD: qemu takes it for a whole one, and would give out wrong bytes as the disk's.

    (Of VHDX and VDI it refuses such images itself.)
    """
    if _vhd_kinds(path) - {_FIXED_VHD, _DYNAMIC_VHD}:
        hint = "merge it into its parent first (Hyper-V: Merge-VHD)"
        raise refused(path, "it holds only the changes to a parent VHD", hint)


def _vhd_kinds(path: Path) -> set[int]:
    """Return the kinds of VHD that the image says it is, in its footer and the footer's copy."""
    with path.open("rb") as stream:
        footers = [stream.read(512)]
        stream.seek(max(0, stream.seek(0, SEEK_END) - 512))
        footers.append(stream.read(512))
    return {int.from_bytes(footer[60:64], "big") for footer in footers if footer[:8] == b"conectix"}


def _info(path: Path, fmt: str | None, folders: Sequence[Path]) -> dict[str, Any]:
    given = ["-f", fmt] if fmt else []
    try:
        command = ["qemu-img", "info", "-U", "--output=json", *given, "--", str(path)]
        text = run_tool(command, _LIMITS, read=folders, any_owner=True)
        info = json.loads(text)
    except (FerryError, ValueError, RecursionError) as fault:
        why = fault.message if isinstance(fault, FerryError) else "qemu-img's answer makes no sense"
        hint = "it must be whole, and every file that it names must lie inside the folders that it may use"
        raise refused(path, f"it cannot be read as {fmt or 'an image'}: {why}", hint) from fault
    if not isinstance(info, dict):
        raise refused(path, "qemu-img's answer makes no sense")
    if info.get("encrypted"):
        raise refused(path, "it is encrypted")
    return info


def _below(layer: ImageLayer, info: dict[str, Any], folders: Sequence[Path]) -> ImageLayer | None:
    for name in _extents(info):
        _named(layer.path, name, folders)
    stored = info.get("backing-filename")
    if not stored:
        return None
    backing = _named(layer.path, str(stored), folders)
    # A VMDK delta cannot say what its parent is: it is always a VMDK.
    fmt = "vmdk" if layer.format == "vmdk" else info.get("backing-filename-format")
    if not fmt:
        hint = f"record it: qemu-img rebase -u -F FORMAT -b {printable(str(stored))}"
        raise refused(
            layer.path, "it does not say which format its backing file has, and guessing is not safe", hint
        )
    return ImageLayer(backing, _known(str(fmt), layer.path))


def _extents(info: dict[str, Any]) -> Iterator[str]:
    data = (info.get("format-specific") or {}).get("data") or {}
    if data.get("data-file"):
        yield str(data["data-file"])
    for extent in data.get("extents") or ():
        yield str(extent.get("filename", ""))


def _named(image: Path, name: str, folders: Sequence[Path]) -> Path:
    """Resolve a name found inside `image`, as qemu would; a protocol ("nbd:", "json:") is refused."""
    if _PROTOCOL.match(name):
        raise refused(image, f"it refers to {printable(name)}, which is not a file")
    return _permitted(image.parent / name, folders, image)


def _number(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0
