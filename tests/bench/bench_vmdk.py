"""What decoding a stream-optimised VMDK costs: ours, from a source that only reads forward, against qemu-img.

Ours: `spool`, the call as an export makes it: decoded, checked, kept as a sparse file. The interpreter's
start is left out, since an export is one call among many of a running process. Peer: the whole command
`qemu-img convert -f vmdk -O raw` of the same file, which seeks in it.

The figure is CPU time, user and system, of everything that the work ran in: for ours this process, for the
peer the command with its threads. Each writes a new file on the same file system.

The disks: `mixed` holds files of this machine's own system, holes and incompressible stretches; `text`
compresses to a hundredth; `scattered` has 4 KiB of data in each MiB.
"""

from __future__ import annotations

import random
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from orchestrator.disks import spool
from tests.bench.harness import document, interleaved, main, row, say

MIB = 1 << 20
_SECONDS = 300


def run(smallest: bool) -> dict[str, Any]:
    """Measure each disk; `smallest` is one of 8 MiB, once."""
    makers = {"mixed": _mixed, "text": _text, "scattered": _scattered}
    size = 8 if smallest else 512
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, make in islice(makers.items(), 1 if smallest else None):
            say(f"{name}:")
            stream = _stream(Path(folder), make, size)
            case = f"{name}, {size} MiB"
            rows.append(_row(case, stream, rounds=1 if smallest else 5))
    version = subprocess.run(
        ["qemu-img", "--version"], capture_output=True, text=True, check=True, timeout=60
    )
    return document("vmdk", rows, qemu=version.stdout.splitlines()[0].removeprefix("qemu-img version "))


def _row(case: str, stream: Path, rounds: int) -> dict[str, Any]:
    raw = stream.with_suffix(".raw")

    def ours() -> float:
        before = _cpu(resource.RUSAGE_SELF)
        with stream.open("rb", buffering=0) as source, spool(source, stream.parent, key="disk"):
            return _cpu(resource.RUSAGE_SELF) - before

    def qemu_img() -> float:
        raw.unlink(missing_ok=True)
        before = _cpu(resource.RUSAGE_CHILDREN)
        _qemu_img("convert", "-f", "vmdk", "-O", "raw", stream, raw)
        return _cpu(resource.RUSAGE_CHILDREN) - before

    found = interleaved(ours, qemu_img, rounds=rounds)
    raw.unlink()
    return row(case, *found, "qemu-img", "CPU s")


def _cpu(whose: int) -> float:
    used = resource.getrusage(whose)
    return used.ru_utime + used.ru_stime


def _stream(folder: Path, make: Callable[[int], Iterator[bytes]], size: int) -> Path:
    """Return a stream of a disk of `size` MiB."""
    raw, stream = folder / "disk.raw", folder / "disk.vmdk"
    with raw.open("wb") as file:
        for number, part in enumerate(make(size)):
            file.seek(number * MIB)
            file.write(part)
        file.truncate(size * MIB)
    _qemu_img("convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized", raw, stream)
    raw.unlink()
    return stream


def _qemu_img(*words: object) -> None:
    subprocess.run(["qemu-img", *map(str, words)], check=True, stdout=sys.stderr, timeout=_SECONDS)


def _mixed(size: int) -> Iterator[bytes]:
    chance = random.Random(6003)
    files = _system_files()
    for number in range(size):
        if number % 5 == 4:
            yield b""
        elif number % 17 == 16:
            yield chance.randbytes(MIB)
        else:
            yield next(files, b"")


def _system_files() -> Iterator[bytes]:
    """Yield the system's own programs and data, a MiB at a time."""
    folders = [Path(sys.executable).resolve().parents[1] / "lib", Path("/usr/bin"), Path("/usr/share")]
    held = b""
    for path in (path for folder in folders for path in sorted(folder.rglob("*"))):
        if path.is_file() and not path.is_symlink() and path.stat().st_size < 64 * MIB:
            held += path.read_bytes()
        while len(held) >= MIB:
            yield held[:MIB]
            held = held[MIB:]


def _text(size: int) -> Iterator[bytes]:
    for number in range(size):
        yield b"".join(b"%07d\n" % line for line in range(number, number + MIB // 64)) * 8


def _scattered(size: int) -> Iterator[bytes]:
    chance = random.Random(6003)
    for _ in range(size):
        yield chance.randbytes(4096)


if __name__ == "__main__":
    main(run)
