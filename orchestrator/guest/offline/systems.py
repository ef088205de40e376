"""Finds the Windows installation on a set of disks.

It refuses rather than guesses where there are several or none.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from orchestrator.diagnostics import FerryError
from orchestrator.disks.partitions import Partition, Scheme, partition_table
from orchestrator.guest.clean import clean
from orchestrator.guest.offline.blocks import RemoteDisk, Window
from orchestrator.guest.offline.ntfs import DamagedVolume, Volume

_DYNAMIC = frozenset({"42", "af9b60a0-1431-4f62-bc68-3311714a69ad", "5808c8aa-7e8f-42e0-85d2-e1e90434cfb3"})
_MAX_TOP_FOLDERS = 200


class NoSystem(FerryError):
    """There is not exactly one Windows to read."""

    code = "no-single-system"


@dataclass(frozen=True, slots=True)
class System:
    """One installation: its volume and its folder ("\\\\Windows")."""

    volume: Volume
    folder: str

    def path(self, below: str) -> str:
        """Return the path of something below the System32 folder."""
        return f"{self.folder}\\System32\\{below}"


def the_system(disks: Sequence[RemoteDisk]) -> System:
    """Return the one installation there is. Raises NoSystem, saying what was seen instead."""
    seen: list[str] = []
    found: list[tuple[str, System]] = []
    for disk in disks:
        for number, part in enumerate(_parts(disk), start=1):
            where = f"disk {disk.index + 1}, partition {number}"
            try:
                systems = list(_systems(disk, part))
                seen.append(f"{where}: {_kind(disk, part)}")
            except DamagedVolume as fault:
                seen.append(f"{where}: {fault.message}")
                continue
            found += [(f"{where}, {system.folder}", system) for system in systems]
    if len(found) == 1:
        return found[0][1]
    if found:
        message = "there are several Windows installations: " + "; ".join(where for where, _ in found)
        raise NoSystem(message, hint="take the disk of the one that starts, alone")
    message = "no Windows installation was found (" + ("; ".join(seen) or "no partitions") + ")"
    raise NoSystem(message, hint="give all disks of the machine, decrypted")


def _parts(disk: RemoteDisk) -> Sequence[Partition]:
    table = partition_table(disk)
    return table.partitions if table.scheme is not Scheme.NONE else (Partition(0, disk.size, "", False),)


def _kind(disk: RemoteDisk, part: Partition) -> str:
    mark = disk.read(part.offset, 11)[3:11]
    if mark == b"-FVE-FS-":
        return "encrypted with BitLocker"
    if part.type in _DYNAMIC:
        return "a dynamic disk, which is not read"
    return "NTFS without Windows" if mark == b"NTFS    " else "another file system"


def _systems(disk: RemoteDisk, part: Partition) -> Iterator[System]:
    if disk.read(part.offset, 11)[3:11] != b"NTFS    ":
        return
    volume = Volume(Window(disk, part.offset, part.length))
    for index, name in enumerate(volume.folders("")):
        folder = f"\\{name}"
        if index < _MAX_TOP_FOLDERS and volume.find(rf"{folder}\System32\config\SYSTEM") is not None:
            yield System(volume, clean(folder))
