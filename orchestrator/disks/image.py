"""Opens a disk image of any format that qemu reads, read-only, as a FrozenDisk.

Must not open anything that `chain` did not pass.

qemu-nbd runs inside the sandbox, sees only the image's folders, and serves one private socket until the
context ends. It is given the chain in full, ending in "backing": null, so that no header is believed.
"""

import json
import queue
import select
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO, Any

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.provider import Extent, FrozenDisk
from orchestrator.disks.chain import ImageInfo, image_info, refused
from orchestrator.disks.nbd import NbdConnection, NbdError
from orchestrator.disks.raw import checked_range, merged
from orchestrator.sandbox import Limits, confined, last_words

_GIB = 1 << 30
_ANSWER_TIMEOUT = 60.0
_START_TIMEOUT = 30.0
_END_TIMEOUT = 30.0
_LIMITS = Limits(memory=2 * _GIB, cpu=None, files=256, file_size=1 << 20)


@contextmanager
def open_image(
    path: Path, fmt: str, *, allowed: Sequence[Path], key: str = "", connections: int = 4
) -> Iterator[FrozenDisk]:
    """Open an image that nobody writes. `allowed`: the folders that it and its chain may lie in.

    Up to `connections` threads read at the same time, more wait. The server lives until the context ends,
    and dies with the thread that opened it. Raises ProviderError (PERMANENT) naming the image and the
    reason.
    """
    info = image_info(path, allowed, fmt)
    with _server(info, allowed, connections) as socket:
        disk = _ImageDisk(info.path, key or str(path), socket, connections)
        try:
            yield disk
        finally:
            disk.close()


class _ImageDisk:
    """A FrozenDisk over a few connections to one server; a broken connection is replaced at the next use."""

    def __init__(self, path: Path, key: str, socket: Path, connections: int) -> None:
        self._path = path
        self._key = key
        self._socket = socket
        self._slots: queue.LifoQueue[NbdConnection | None] = queue.LifoQueue()
        for _ in range(connections):
            self._slots.put(None)
        with self._connection() as connection:
            self._size = connection.size

    @property
    def key(self) -> str:
        return self._key

    @property
    def size(self) -> int:
        return self._size

    def read(self, offset: int, length: int) -> bytes:
        checked_range(self._path, self._size, offset, length)
        with self._connection() as connection:
            return connection.read(offset, length)

    def extents(self) -> Iterator[Extent]:
        return merged(self._raw_extents())

    def close(self) -> None:
        while True:
            try:
                connection = self._slots.get_nowait()
            except queue.Empty:
                return
            if connection:
                connection.close()

    def _raw_extents(self) -> Iterator[Extent]:
        for start in range(0, self._size, _GIB):
            # Fetched in full before the first is handed out: the reader of extents reads bytes in between,
            # and needs the slot.
            with self._connection() as connection:
                part = list(connection.extents(start, min(_GIB, self._size - start)))
            yield from part

    @contextmanager
    def _connection(self) -> Iterator[NbdConnection]:
        connection = self._slots.get()
        try:
            connection = connection or NbdConnection(self._socket, _ANSWER_TIMEOUT)
            yield connection
        except (OSError, NbdError) as fault:
            if connection:
                connection.close()
            connection = None
            message = f"disk image {self._path}: reading failed: {fault}"
            raise ProviderError(ErrorKind.PERMANENT, message) from fault
        finally:
            self._slots.put(connection)


@contextmanager
def _server(info: ImageInfo, allowed: Sequence[Path], connections: int) -> Iterator[Path]:
    """Run qemu-nbd for the checked chain; yield its socket once it answers."""
    with TemporaryDirectory(prefix="ferry-nbd-") as folder, TemporaryFile() as words:
        socket = Path(folder) / "socket"
        command = [
            "qemu-nbd", "--read-only", "--persistent", f"--shared={connections}", f"--socket={socket}",
            "json:" + json.dumps(_node(info)),
        ]  # fmt: skip
        folders = [folder.resolve() for folder in allowed]
        wrapped = confined(command, _LIMITS, read=folders, write=[Path(folder)], any_owner=True)
        with subprocess.Popen(
            wrapped, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=words
        ) as process:
            try:
                _await(process, socket, info.path, words)
                yield socket
            finally:
                process.kill()
                _await_end(process)


def _await_end(process: subprocess.Popen[bytes]) -> None:
    """Wait until qemu-nbd is gone, which dies a moment after the sandbox that was killed: it holds the
    image's lock, and whoever merges a snapshot next would be refused. Its end closes the pipe, on which it
    says nothing."""
    if process.stdout is not None:
        ended = select.poll()
        ended.register(process.stdout, select.POLLIN)
        ended.poll(_END_TIMEOUT * 1000)


def _await(process: subprocess.Popen[bytes], socket: Path, path: Path, words: IO[bytes]) -> None:
    """Connect until it works: the socket can refuse or reset while the server starts."""
    until = time.monotonic() + _START_TIMEOUT
    while time.monotonic() < until:
        if process.poll() is not None:
            why = last_words(words) or f"exit code {process.returncode}"
            hint = (
                "another process has locked it; end that process, or read a snapshot instead"
                if "another process" in why or " lock" in why
                else ""
            )
            raise refused(path, f"qemu-nbd cannot open it: {why}", hint)
        try:
            with NbdConnection(socket, _ANSWER_TIMEOUT):
                return
        except (OSError, NbdError):
            time.sleep(0.005)
    raise refused(path, f"qemu-nbd did not answer within {_START_TIMEOUT:.0f} seconds")


def _node(info: ImageInfo) -> dict[str, Any]:
    """Describe the chain to qemu in full, from the base upwards."""
    below: dict[str, Any] | None = None
    for layer in reversed(info.layers):
        file = {"driver": "file", "filename": str(layer.path), "read-only": True}
        node: dict[str, Any] = {"driver": layer.format, "read-only": True, "file": file}
        if layer.format in ("qcow2", "vmdk"):
            node["backing"] = below
        below = node
    if below is None:
        raise refused(info.path, "it has no layers")
    return below
