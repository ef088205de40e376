"""Security identifiers and access control lists from their binary forms ([MS-DTYP] 2.4).

Names: those of Windows itself in English, whatever the guest's language; local accounts by their bare names;
all others stay identifiers, since no directory is asked.
"""

import struct
from collections.abc import Mapping

from orchestrator.model.facts import Permission

_WELL_KNOWN = {
    "S-1-1-0": "Everyone",
    "S-1-3-0": "CREATOR OWNER",
    "S-1-3-1": "CREATOR GROUP",
    "S-1-5-2": r"NT AUTHORITY\NETWORK",
    "S-1-5-3": r"NT AUTHORITY\BATCH",
    "S-1-5-4": r"NT AUTHORITY\INTERACTIVE",
    "S-1-5-6": r"NT AUTHORITY\SERVICE",
    "S-1-5-7": r"NT AUTHORITY\ANONYMOUS LOGON",
    "S-1-5-9": r"NT AUTHORITY\ENTERPRISE DOMAIN CONTROLLERS",
    "S-1-5-11": r"NT AUTHORITY\Authenticated Users",
    "S-1-5-13": r"NT AUTHORITY\TERMINAL SERVER USER",
    "S-1-5-14": r"NT AUTHORITY\REMOTE INTERACTIVE LOGON",
    "S-1-5-15": r"NT AUTHORITY\This Organization",
    "S-1-5-17": r"NT AUTHORITY\IUSR",
    "S-1-5-18": r"NT AUTHORITY\SYSTEM",
    "S-1-5-19": r"NT AUTHORITY\LOCAL SERVICE",
    "S-1-5-20": r"NT AUTHORITY\NETWORK SERVICE",
} | {
    f"S-1-5-32-{rid}": rf"BUILTIN\{name}"
    for rid, name in {
        544: "Administrators",
        545: "Users",
        546: "Guests",
        547: "Power Users",
        548: "Account Operators",
        549: "Server Operators",
        550: "Print Operators",
        551: "Backup Operators",
        552: "Replicator",
        555: "Remote Desktop Users",
        556: "Network Configuration Operators",
        558: "Performance Monitor Users",
        559: "Performance Log Users",
        562: "Distributed COM Users",
        568: "IIS_IUSRS",
        569: "Cryptographic Operators",
        573: "Event Log Readers",
        574: "Certificate Service DCOM Access",
        578: "Hyper-V Administrators",
        580: "Remote Management Users",
    }.items()
}
_MAX_SUB_AUTHORITIES = 15
_MAX_ENTRIES = 1000
_DACL_PRESENT = 0x0004
_ALLOWED, _DENIED = 0, 1
_GENERIC_ALL, _GENERIC_WRITE, _GENERIC_READ = 0x10000000, 0x40000000, 0x80000000
_RIGHTS = {0x001F01FF: "full", 0x001301BF: "change", 0x001200A9: "read"}


def sid_at(data: bytes, at: int = 0) -> str | None:
    """Return the identifier ("S-1-5-18") that starts at `at`; None if it is none or cut short."""
    if at < 0 or at + 8 > len(data) or data[at] != 1:
        return None
    count = data[at + 1]
    if count > _MAX_SUB_AUTHORITIES or at + 8 + 4 * count > len(data):
        return None
    authority = int.from_bytes(data[at + 2 : at + 8], "big")
    parts = struct.unpack_from(f"<{count}I", data, at + 8)
    return "-".join(["S", "1", str(authority), *map(str, parts)])


def account_name(sid: str, local: Mapping[str, str]) -> str:
    """Return the account's name; `local` has the names of the machine's own accounts by identifier."""
    return local.get(sid) or _WELL_KNOWN.get(sid, sid)


def permissions(descriptor: bytes, local: Mapping[str, str]) -> tuple[Permission, ...] | None:
    """Return the access list of a self-relative security descriptor in its own order; None if it makes no
    sense. No list at all means that everyone may do everything.
    """
    if len(descriptor) < 20 or descriptor[0] != 1:
        return None
    control, where = struct.unpack_from("<H12xI", descriptor, 2)
    if not control & _DACL_PRESENT or not where:
        return (Permission(account="Everyone", right="full"),)
    if where + 8 > len(descriptor):
        return None
    count = struct.unpack_from("<H", descriptor, where + 4)[0]
    return _entries(descriptor, where + 8, min(count, _MAX_ENTRIES), local)


def _entries(data: bytes, at: int, count: int, local: Mapping[str, str]) -> tuple[Permission, ...] | None:
    found = []
    for _ in range(count):
        if at + 8 > len(data):
            return None
        kind, _, size, mask = struct.unpack_from("<BBHI", data, at)
        sid = sid_at(data, at + 8)
        if size < 8 or at + size > len(data):
            return None
        if kind in (_ALLOWED, _DENIED):
            if sid is None:
                return None
            found.append(
                Permission(account=account_name(sid, local), right=_right(mask), allow=kind == _ALLOWED)
            )
        at += size
    return tuple(found)


def _right(mask: int) -> str:
    if mask & _GENERIC_ALL:
        return "full"
    if mask & _GENERIC_READ:
        return "change" if mask & _GENERIC_WRITE else "read"
    return _RIGHTS.get(mask, f"0x{mask:08x}")
