"""Partition tables: MBR or GPT, where each partition lies, and what Windows remembers of that."""

from __future__ import annotations

import struct
import uuid
import zlib
from dataclasses import dataclass

SECTOR = 512
MIB = 1024 * 1024
FIRST_SECTOR = 2048  # where Windows since Vista puts the first partition

_TYPES = {
    "ntfs": (0x07, uuid.UUID("ebd0a0a2-b9e5-4433-87c0-68b6b72699c7")),
    "efi": (0xEF, uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")),
    "reserved": (0x00, uuid.UUID("e3c9e316-0b5c-4db8-817d-f92df00215ae")),
}
_GPT_ENTRIES, _GPT_ENTRY_SIZE = 128, 128
_GPT_SECTORS = 1 + _GPT_ENTRIES * _GPT_ENTRY_SIZE // SECTOR

# What a BIOS runs from the first sector: print the text at 7C20, stop the processor. So a lab VM idles.
_STOP_CODE = bytes.fromhex(
    "fa 31c0 8ed8 8ec0 8ed0 bc007c fb fc"  # cli; zero ds, es, ss; stack below; sti; cld
    "be207c ac 84c0 7406 b40e cd10 ebf5"  # si=text; next: lodsb; test al; jz stop; print; jmp next
    "fa f4 ebfc"  # stop: cli; hlt; again
)
_STOP_TEXT = b"ferry6003 lab disk: Windows data only, it does not boot.\r\n\0"
_TEXT_AT = 0x20


@dataclass(frozen=True)
class Partition:
    """One partition: its folder in a layer, kind (a word of _TYPES), size, drive letter or "", label."""

    name: str
    kind: str
    mib: int
    letter: str = ""
    label: str = ""


@dataclass(frozen=True)
class Disk:
    """A disk's layout. Identities derive from name, so that they are the same at each build."""

    name: str
    table: str  # "mbr" or "gpt"
    format: str  # of the image, as qemu-img names it
    signature: int  # the MBR disk signature; 0 for GPT
    partitions: tuple[Partition, ...]

    def starts(self) -> list[int]:
        """The first sector of each partition."""
        starts, sector = [], FIRST_SECTOR
        for partition in self.partitions:
            starts.append(sector)
            sector += partition.mib * MIB // SECTOR
        return starts

    def check(self) -> None:
        """Raise ValueError for what no such disk can have."""
        known = {
            "table": (self.table, ("mbr", "gpt")),
            "format": (self.format, ("qcow2", "raw", "vpc", "vmdk")),
        }
        for setting, (value, allowed) in known.items():
            if value not in allowed:
                msg = f"disk.{setting} is {value!r}; it must be one of {', '.join(allowed)}"
                raise ValueError(msg)
        for partition in self.partitions:
            if partition.kind not in _TYPES:
                msg = f"partition {partition.name}: kind {partition.kind!r} is none of {', '.join(_TYPES)}"
                raise ValueError(msg)
        if self.table == "mbr" and (
            len(self.partitions) > 4 or any(p.kind == "reserved" for p in self.partitions)
        ):
            msg = "an MBR has at most four partitions and no reserved one"
            raise ValueError(msg)
        if [partition.letter for partition in self.partitions].count("C") != 1:
            msg = "exactly one partition must have the letter C"
            raise ValueError(msg)

    @property
    def sectors(self) -> int:
        """Size of the disk: the partitions with one MiB before and one behind them."""
        return 2 * FIRST_SECTOR + sum(partition.mib for partition in self.partitions) * MIB // SECTOR

    def identity(self, what: str) -> uuid.UUID:
        """The GUID of the disk (what = "disk") or of a partition (its name)."""
        return uuid.uuid5(uuid.NAMESPACE_URL, f"ferry6003-lab:{self.name}:{what}")

    def table_writes(self) -> list[tuple[int, bytes]]:
        """What to write for the partition table: pairs of byte offset and content."""
        if self.table == "mbr":
            return [(0, self._mbr(self._mbr_entries()))]
        return self._gpt()

    def mounted_devices(self) -> dict[str, bytes]:
        """The values of SYSTEM's MountedDevices key: drive letters and volumes of this disk."""
        values = {}
        for partition, start in zip(self.partitions, self.starts(), strict=True):
            if partition.kind != "ntfs":
                continue
            if self.table == "mbr":
                where = struct.pack("<IQ", self.signature, start * SECTOR)
            else:
                where = b"DMIO:ID:" + self.identity(partition.name).bytes_le
            volume = self.identity(f"volume {partition.name}")
            values[rf"\??\Volume{{{volume}}}"] = where
            if partition.letter:
                values[rf"\DosDevices\{partition.letter}:"] = where
        return values

    def _mbr_entries(self) -> bytes:
        entries = b""
        for number, (partition, start) in enumerate(zip(self.partitions, self.starts(), strict=True)):
            active = 0x80 if number == 0 else 0
            size = partition.mib * MIB // SECTOR
            entries += _mbr_entry(active, _TYPES[partition.kind][0], start, size)
        return entries

    def _mbr(self, entries: bytes) -> bytes:
        code = _STOP_CODE.ljust(_TEXT_AT, b"\0") + _STOP_TEXT
        return (
            code.ljust(440, b"\0")
            + struct.pack("<I2x", self.signature)
            + entries.ljust(64, b"\0")
            + b"\x55\xaa"
        )

    def _gpt(self) -> list[tuple[int, bytes]]:
        entries = b"".join(
            _TYPES[partition.kind][1].bytes_le
            + self.identity(partition.name).bytes_le
            + struct.pack("<QQQ", start, start + partition.mib * MIB // SECTOR - 1, 0)
            + _GPT_NAMES[partition.kind].encode("utf-16-le").ljust(72, b"\0")
            for partition, start in zip(self.partitions, self.starts(), strict=True)
        ).ljust(_GPT_ENTRIES * _GPT_ENTRY_SIZE, b"\0")
        last = self.sectors - 1
        backup_entries = last - _GPT_SECTORS + 1
        protective = self._mbr(_mbr_entry(0, 0xEE, 1, min(last, 0xFFFFFFFF)))
        front = protective + self._gpt_header(1, last, 2, entries) + entries
        back = entries + self._gpt_header(last, 1, backup_entries, entries)
        return [(0, front), (backup_entries * SECTOR, back)]

    def _gpt_header(self, here: int, other: int, entries_at: int, entries: bytes) -> bytes:
        first, last = 1 + _GPT_SECTORS, self.sectors - 1 - _GPT_SECTORS
        tail = struct.pack("<4Q", here, other, first, last) + self.identity("disk").bytes_le
        tail += struct.pack("<QIII", entries_at, _GPT_ENTRIES, _GPT_ENTRY_SIZE, zlib.crc32(entries))
        start = struct.pack("<8sII", b"EFI PART", 0x00010000, 92)
        checksum = zlib.crc32(start + bytes(8) + tail)
        return (start + struct.pack("<II", checksum, 0) + tail).ljust(SECTOR, b"\0")


_GPT_NAMES = {
    "ntfs": "Basic data partition",
    "efi": "EFI system partition",
    "reserved": "Microsoft reserved partition",
}


def _mbr_entry(active: int, kind: int, start: int, size: int) -> bytes:
    return struct.pack("<B3sB3sII", active, _chs(start), kind, _chs(start + size - 1), start, size)


def _chs(sector: int) -> bytes:
    """Cylinder, head and sector for 255 heads of 63 sectors; the largest value where it does not fit."""
    cylinder, rest = divmod(sector, 255 * 63)
    if cylinder > 1023:
        return b"\xfe\xff\xff"
    head, number = divmod(rest, 63)
    return bytes([head, (cylinder >> 8) << 6 | (number + 1), cylinder & 0xFF])
