"""A VMDK stream kept as a file for as long as it is read: streams cannot be read at random, FrozenDisks are.

The file must never have a name that outlives this process: it holds a server's disk.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryFile

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.provider import FrozenDisk
from orchestrator.disks.forward import Source
from orchestrator.disks.raw import RawDisk
from orchestrator.disks.vmdk_stream import decode
from orchestrator.model.text import printable


@contextmanager
def spool(
    source: Source, folder: Path, *, key: str, name: str = "VMDK stream", size: int | None = None
) -> Iterator[FrozenDisk]:
    """Decode the whole stream into a sparse file without a name in `folder`, readable by nobody else; yield
    it as the disk `key`.

    Raises as `decode` does, before it yields; and ProviderError (PERMANENT) where the folder takes no more.
    """

    def write(offset: int, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                done = os.pwrite(handle, view, offset)
                view, offset = view[done:], offset + done
        except OSError as fault:  # here, since those of the source pass
            raise _unusable(name, folder, fault) from fault

    with ExitStack() as stack:
        try:
            handle = stack.enter_context(TemporaryFile(dir=folder, buffering=0)).fileno()
        except OSError as fault:
            raise _unusable(name, folder, fault) from fault
        decoded = decode(source, write, name=name, size=size)
        try:
            os.ftruncate(handle, decoded.size)
        except OSError as fault:
            raise _unusable(name, folder, fault) from fault
        yield RawDisk(Path(printable(name)), key, handle)


def _unusable(name: str, folder: Path, fault: OSError) -> ProviderError:
    message = f"{printable(name)}: it cannot be kept in {folder}: {fault.strerror}"
    return ProviderError(ErrorKind.PERMANENT, message, hint="see that there is room for the disk")
