"""Sections that WMI tells and the registry does not, from the rows of its classes.

An empty class counts as unknown: some providers give nothing, without an error, to those who lack a right.
"""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

from orchestrator.guest.clean import LINE
from orchestrator.guest.collectors.raw import Raw
from orchestrator.guest.collectors.table import Row, Unseen, first, number, rows, text
from orchestrator.model.facts import (
    DiskLayout,
    Driver,
    Hotfix,
    Listener,
    Membership,
    Role,
    Volume,
)

_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
_KB = re.compile(r"KB[0-9]{5,8}", re.IGNORECASE)
_DATE = re.compile(r"([0-9]{1,2})[/.-]([0-9]{1,2})[/.-]([0-9]{4})")
_LOCAL = re.compile(r"(.+):([0-9]{1,5})")
_PRIMARY_LANGUAGE, _ENGLISH = 0x3FF, 0x09
_ROLES = {
    1: "Application-Server",
    2: "Web-Server",
    6: "File-Services",
    9: "ADLDS",
    10: "AD-Domain-Services",
    12: "DHCP",
    13: "DNS",
    100: "FS-DFS",
    101: "FS-DFS-Namespace",
    102: "FS-DFS-Replication",
    104: "FS-Resource-Manager",
    105: "FS-NFS-Services",
    107: "FS-Search-Service",
    255: "FS-FileServer",
}
"""Numbers of Win32_ServerFeature by the names of Get-WindowsFeature, as far as they are documented."""


def membership(raw: Raw) -> Membership | None:
    """Return the domain or workgroup; None where it cannot be told."""
    row = first(raw, "Win32_ComputerSystem")
    joined, name = row.get("PartOfDomain"), text(row, "Domain")
    if not isinstance(joined, bool) or not name:
        return None
    return Membership(domain=joined, name=name)


def sku(raw: Raw) -> int | None:
    """Return the OperatingSystemSKU."""
    row = first(raw, "Win32_OperatingSystem")
    return number(row, "OperatingSystemSKU")


def disks(raw: Raw) -> tuple[DiskLayout, ...]:
    """Return the disks by number. Raises Unseen, also where the words for kinds of partitions are not
    English."""
    system = first(raw, "Win32_OperatingSystem")
    if (number(system, "OSLanguage") or 0) & _PRIMARY_LANGUAGE != _ENGLISH:
        message = "WMI names the kinds of partitions in the guest's own language"
        raise Unseen(message)
    partitions = [(number(row, "DiskIndex"), text(row, "Type")) for row in rows(raw, "Win32_DiskPartition")]
    found = []
    for row in rows(raw, "Win32_DiskDrive"):
        index, size = number(row, "Index"), number(row, "Size")
        if index is None or size is None:
            continue
        kinds = [kind.casefold() for number, kind in partitions if number == index]
        scheme = "gpt" if any("gpt" in kind for kind in kinds) else "mbr" if kinds else "none"
        dynamic = any("logical disk manager" in kind for kind in kinds)
        found.append(DiskLayout(index=index, size=size, scheme=scheme, dynamic=dynamic))
    return tuple(sorted(found, key=lambda disk: disk.index))


def volumes(raw: Raw) -> tuple[Volume, ...]:
    """Return the volumes, those without a letter too where Win32_Volume tells them. Raises Unseen."""
    places = _disk_of_letter(raw)
    try:
        found = [
            _volume(row, "DriveLetter", "Label", "Capacity", places) for row in rows(raw, "Win32_Volume")
        ]
    except Unseen:
        found = [
            _volume(row, "DeviceID", "VolumeName", "Size", places) for row in rows(raw, "Win32_LogicalDisk")
        ]
    kept = (one for one in found if one is not None)
    return tuple(sorted(kept, key=lambda one: (one.letter, one.label, one.size)))


def _volume(row: Row, letter: str, label: str, size: str, places: Mapping[str, int]) -> Volume | None:
    whole, free = number(row, size), number(row, "FreeSpace")
    if whole is None:
        return None
    name = text(row, letter).upper()
    return Volume(
        letter=name,
        label=text(row, label),
        filesystem=text(row, "FileSystem"),
        size=whole,
        used=whole - free if free is not None and free <= whole else None,
        disk=places.get(name),
    )


def _disk_of_letter(raw: Raw) -> dict[str, int]:
    found = {}
    for row in raw.table("Win32_LogicalDiskToPartition").rows:
        disk = re.search(r"Disk #([0-9]{1,4}),", text(row, "Antecedent", LINE))
        letter = re.search(r'"([A-Za-z]:)"', text(row, "Dependent", LINE))
        if disk and letter:
            found[letter[1].upper()] = int(disk[1])
    return found


def hotfixes(raw: Raw) -> tuple[Hotfix, ...]:
    """Return the updates by number, each once. Raises Unseen."""
    found: dict[str, date | None] = {}
    for row in rows(raw, "Win32_QuickFixEngineering"):
        name = text(row, "HotFixID").upper()
        if _KB.fullmatch(name):
            found[name] = _day(text(row, "InstalledOn")) or found.get(name)
    return tuple(
        Hotfix(id=name, installed_on=day)
        for name, day in sorted(found.items(), key=lambda item: int(item[0][2:]))
    )


def _day(said: str) -> date | None:
    """Return the day of a FILETIME in hexadecimal, or of a date that can be read in one way only."""
    try:
        if re.fullmatch("[0-9a-fA-F]{16}", said):
            return (_EPOCH + timedelta(microseconds=int(said, 16) // 10)).date()
        if re.fullmatch("(?:19|20)[0-9]{6}", said):
            return date(int(said[:4]), int(said[4:6]), int(said[6:]))
        if found := _DATE.fullmatch(said):
            first, second, year = int(found[1]), int(found[2]), int(found[3])
            if first > 12 or first == second:
                return date(year, second, first)
            return date(year, first, second) if second > 12 else None
    except (OverflowError, ValueError):
        return None
    return None


def roles(raw: Raw) -> tuple[Role, ...]:
    """Return roles and features. Raises Unseen.

    Role services whose number has no known name are left to the registry's marks: their names are the
    guest's language's.
    """
    found = []
    if raw.collector == "powershell":
        found = [
            Role(id=text(row, "Name"), name=text(row, "DisplayName")) for row in rows(raw, "WindowsFeature")
        ]
    else:
        for row in rows(raw, "Win32_ServerFeature"):
            feature, name = number(row, "ID"), text(row, "Name")
            if feature in _ROLES:
                found.append(Role(id=_ROLES[feature], name=name))
            elif feature is not None and not number(row, "ParentID"):
                found.append(Role(id=f"feature-{feature}", name=name))
    return tuple(sorted(found, key=lambda role: (role.id.casefold(), role.id)))


def drivers(raw: Raw) -> tuple[Driver, ...]:
    """Return the packages from outside Windows that a device uses. Raises Unseen."""
    found = {}
    for row in rows(raw, "Win32_PnPSignedDriver"):
        inf, day = text(row, "InfName").casefold(), text(row, "DriverDate")
        if re.fullmatch(r"oem[0-9]{1,6}\.inf", inf):
            dated = f"{day[4:6]}/{day[6:8]}/{day[:4]} " if re.match("[0-9]{8}", day) else ""
            found[inf] = Driver(
                inf=inf,
                provider=text(row, "DriverProviderName"),
                version=f"{dated}{text(row, 'DriverVersion')}",
                device_class=text(row, "DeviceClass"),
            )
    return tuple(found[inf] for inf in sorted(found))


def listeners(raw: Raw) -> tuple[Listener, ...]:
    """Return the ports on which something listens. Raises Unseen."""
    found = set()
    for row in rows(raw, "Listeners"):
        place = _LOCAL.fullmatch(text(row, "Local"))
        protocol = text(row, "Protocol").casefold()
        if place and protocol in ("tcp", "udp") and int(place[2]) < 65536:
            address = place[1].strip("[]")
            found.add((protocol, address, int(place[2]), text(row, "Process")))
    return tuple(
        Listener(protocol=protocol, address=address, port=port, process=process)
        for protocol, address, port, process in sorted(found)
    )
