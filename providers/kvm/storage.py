"""Room on the storage that images lie on, and local image files: made whole or not at all, and only ours
removed."""

import os
import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import libvirt

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.provider import Effect, ObjectKind
from orchestrator.model.network import Finding
from providers.kvm.cards import parse
from providers.kvm.faults import conflict, permanent
from providers.kvm.link import Link, act

MIB = 1024**2
_TOOL_SECONDS = 4 * 3600
"""Limit of one qemu-img: a full copy of a large image takes long, a hang takes for ever."""


def room(link: Link, folder: str, needed: int, what: str) -> Finding:
    """Say whether `folder` has `needed` bytes free for `what`; where that cannot be told, it is a
    hindrance."""
    check = f"space in {folder}"
    free = _free(link, folder)
    if free is None:
        elsewhere = "libvirtd is on another machine; define a storage pool over that folder"
        detail = f"cannot be told: {'it is not there' if link.local else elsewhere}"
        return Finding(check=check, ok=False, detail=detail)
    words = f"{free // MIB} MiB free, {needed // MIB} MiB needed for {what}"
    return Finding(check=check, ok=free >= needed, detail=words)


def tell_pools(link: Link, paths: Iterable[str], *, there: bool, effect: Effect) -> None:
    """Let libvirt's storage pools look again where they do not know that these images are there, or gone.

    Only for a libvirtd on another machine: what lies below an image is learned from its volume there.
    """
    for path in () if link.local else paths:
        volume = link.find("look up a volume", lambda p=path: link.conn().storageVolLookupByPath(p))
        if (volume is not None) is there:
            continue
        for pool in _pools_over(link, str(Path(path).parent)):
            act(effect, f"refresh the storage pool over {Path(path).parent}", pool.refresh)


def ensure_file(
    kind: ObjectKind, path: Path, make: Callable[[Path], None], what: str, effect: Effect
) -> None:
    """Make a local file whose name bears our token, unless it is there: beside its place by `make`, then
    linked into it.

    A link never overwrites. What a crash left half-made is made anew. A file that the ledger does not know:
    CONFLICT.
    """
    part = path.with_name(path.name + ".part")
    if not path.exists():
        effect.intend(kind, str(path), what)
        act(effect, f"make {what} {path}", lambda: _make_anew(part, make))
        act(effect, f"put {what} in its place: {path}", os.link, part, path)
    elif not effect.owns(kind, str(path)):
        message = f"{path} exists, and the ledger of this state does not know it"
        raise conflict(message, "nothing that exists is overwritten; move it away")
    if part.exists():
        act(effect, f"remove the second name of {what} {path}", part.unlink)
    effect.made(kind, str(path))


def _make_anew(part: Path, make: Callable[[Path], None]) -> None:
    part.unlink(missing_ok=True)
    make(part)


def remove_ours(kind: ObjectKind, path: str, mark: str, what: str, effect: Effect) -> None:
    """Remove a local file that the ledger says is ours and whose name bears `mark`, and a half-made one
    beside it.

    Not there: fine. Not ours: CONFLICT.
    """
    place = Path(path)
    part = place.with_name(place.name + ".part")
    if not effect.owns(kind, path) or mark not in place.name:
        if place.exists():
            message = f"{what} {path} is not in the ledger of this state: it is not removed"
            raise conflict(message, "remove it by hand if nothing needs it")
        return
    for file in (part, place):
        if file.exists():
            act(effect, f"remove {what} {file}", lambda f=file: f.unlink(missing_ok=True))
    effect.removed(kind, path)


def qemu_img(arguments: Iterable[str]) -> None:
    """Run qemu-img under a time limit. Raises ProviderError with its last words."""
    command = ["qemu-img", *arguments]
    try:
        subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=_TOOL_SECONDS, errors="replace"
        )
    except FileNotFoundError as error:
        message = "qemu-img is not installed"
        raise permanent(message, "on Debian: apt install qemu-utils") from error
    except subprocess.TimeoutExpired as error:
        message = f"qemu-img {command[1]} did not end within {_TOOL_SECONDS // 3600} hours"
        raise ProviderError(ErrorKind.TIMEOUT, message) from error
    except subprocess.CalledProcessError as error:
        message = f"qemu-img {command[1]} failed: {error.stderr.strip()[-300:]}"
        raise permanent(message) from error


def _free(link: Link, folder: str) -> int | None:
    if link.local:
        seen = link.find(f"look at {folder}", os.statvfs, folder)
        return None if seen is None else seen.f_bavail * seen.f_frsize
    for pool in _pools_over(link, folder):
        return int(link.read("read a storage pool", pool.info)[3])
    return None


def _pools_over(link: Link, folder: str) -> Iterator[Any]:
    active = libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE
    for pool in link.read("list the storage pools", lambda: link.conn().listAllStoragePools(active)):
        text = link.find("read a storage pool", pool.XMLDesc)
        if text is not None and parse(text).findtext("target/path") == folder:
            yield pool
