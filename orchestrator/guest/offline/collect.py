"""Collects ServerFacts from disks that nobody writes, without a login.

The parent's side: it only serves bytes.
"""

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from orchestrator.contract.provider import FrozenDisk
from orchestrator.diagnostics import FerryError
from orchestrator.disks import image_info, open_image
from orchestrator.guest.offline.blocks import BLOCK, REQUEST
from orchestrator.model.facts import ServerFacts
from orchestrator.sandbox import Limits, run_in_sandbox

_LIMITS = Limits(output=32 * 1024 * 1024)
_MAX_DISKS = 64
_MAX_BYTES = 8 * 1024**3


def collect_offline(disks: Sequence[FrozenDisk], *, limits: Limits | None = None) -> ServerFacts:
    """Read the facts of the one Windows on `disks` (all disks of the machine, any order).

    The parser runs in a confined child that has no file and no network; it asks here for blocks. Sections
    that cannot be read are unknown, with reasons. Raises FerryError: no single installation
    ("no-single-system"), nothing readable ("damaged-hive", "sandbox-..."), and what `disks` raise.
    """
    if len(disks) > _MAX_DISKS:
        message = f"{len(disks)} disks are more than {_MAX_DISKS}"
        raise FerryError(message)
    served = 0

    def answer(request: bytes) -> bytes:
        nonlocal served
        index, offset, length = REQUEST.unpack(request)
        served += length
        if length > BLOCK or served > _MAX_BYTES:
            message = "the parser asked for more of the disks than it needs"
            raise FerryError(message, code="sandbox-output")
        data: bytes = disks[index].read(offset, length)
        return data

    sizes = [disk.size for disk in disks]
    spec = "orchestrator.guest.offline.inspect:inspect"
    found = run_in_sandbox(spec, sizes, limits=limits or _LIMITS, answer=answer)
    try:
        return ServerFacts.model_validate(found)
    except ValidationError as fault:
        message = "the parser's result is not a set of facts"
        raise FerryError(message, code="sandbox-crash") from fault


def collect_from_image(path: Path, fmt: str | None = None, *, allowed: Sequence[Path] = ()) -> ServerFacts:
    """Read the facts from one disk image; `allowed` folders default to its own.

    Without `fmt` the content is probed, and believed only where the file's name says the same. Raises
    FerryError.
    """
    folders = tuple(allowed) or (path.resolve().parent,)
    info = image_info(path, folders, fmt)
    with open_image(path, info.format, allowed=folders) as disk:
        return collect_offline([disk])
