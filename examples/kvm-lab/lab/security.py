"""Windows security identifiers and descriptors as bytes, as far as shares, accounts and hives need them.

Written from the public format description ([MS-DTYP] 2.4): revision 1, little endian, self-relative.
"""

from __future__ import annotations

import re
import struct

ADMINISTRATORS = "S-1-5-32-544"
SYSTEM = "S-1-5-18"
EVERYONE = "S-1-1-0"

_ACE = re.compile(r"\((?P<kind>[AD]);(?P<flags>0x[0-9a-f]+)?;(?P<mask>0x[0-9a-f]+);;;(?P<sid>S-1-[0-9-]+)\)")
_DACL_PRESENT_SELF_RELATIVE = 0x8004
_HEADER = 20


def sid(text: str) -> bytes:
    """The binary form of "S-1-5-32-544" and the like; ValueError for any other text."""
    parts = text.split("-")
    if len(parts) < 4 or parts[:2] != ["S", "1"] or not all(part.isdecimal() for part in parts[2:]):
        msg = f"not a security identifier: {text!r}; write it like {ADMINISTRATORS}"
        raise ValueError(msg)
    authority, *sub = (int(part) for part in parts[2:])
    return bytes([1, len(sub)]) + authority.to_bytes(6, "big") + struct.pack(f"<{len(sub)}I", *sub)


def descriptor(aces: str, owner: str = ADMINISTRATORS, group: str = SYSTEM) -> bytes:
    """A self-relative descriptor from entries like "(A;;0x001f01ff;;;S-1-5-32-544)", in that order.

    Kind A allows, D denies; flags (inheritance) and mask are hexadecimal; ValueError for anything else.
    """
    if _ACE.sub("", aces):
        msg = f"not a list of access entries: {aces!r}; write each like (A;;0x001f01ff;;;{ADMINISTRATORS})"
        raise ValueError(msg)
    entries = [_ace(match) for match in _ACE.finditer(aces)]
    body = b"".join(entries)
    acl = struct.pack("<BBHHH", 2, 0, 8 + len(body), len(entries), 0) + body
    owner_sid, group_sid = sid(owner), sid(group)
    offsets = (_HEADER + len(acl), _HEADER + len(acl) + len(owner_sid), 0, _HEADER)
    return struct.pack("<BBH4I", 1, 0, _DACL_PRESENT_SELF_RELATIVE, *offsets) + acl + owner_sid + group_sid


def _ace(match: re.Match[str]) -> bytes:
    who = sid(match["sid"])
    kind = 0 if match["kind"] == "A" else 1
    flags = int(match["flags"] or "0", 16)
    return struct.pack("<BBHI", kind, flags, 8 + len(who), int(match["mask"], 16)) + who
