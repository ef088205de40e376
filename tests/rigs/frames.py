"""Ethernet frames made by hand, for what no ordinary socket sends. Pure.

Each is the hex text of what follows the two MAC addresses. Its payload ends with its name, by which the other
end (`probe hear`) knows it.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

_IPV4, _IPV6, _VLAN, _EXPERIMENT = (bytes.fromhex(t) for t in ("0800", "86dd", "8100", "88b5"))
_UDP, _GRE, _ICMPV6 = 17, 47, 58


def frames(sender: str, receiver: str, sender6: str) -> dict[str, str]:
    """Return by name what an isolation must stop although it is neither TCP nor a well-made UDP flow."""
    dhcp = _udp(68, 67, "dhcp")
    solicit = bytes([133, 0, 0, 0, 0, 0, 0, 0]) + _mark("routers")
    return {
        "unknown": (_EXPERIMENT + _mark("unknown")).hex(),
        "tagged": _VLAN.hex() + "000a" + datagram("tagged", sender, receiver),
        "gre": (_IPV4 + _ipv4(_GRE, sender, receiver, _mark("gre"))).hex(),
        "dhcp": (_IPV4 + _ipv4(_UDP, "0.0.0.0", "255.255.255.255", dhcp)).hex(),  # noqa: S104
        "llmnr": (_IPV4 + _ipv4(_UDP, sender, "224.0.0.252", _udp(5355, 5355, "llmnr"))).hex(),
        "routers": (_IPV6 + _ipv6(_ICMPV6, sender6, "ff02::2", solicit)).hex(),
    }


def datagram(name: str, sender: str, receiver: str) -> str:
    """Return a question to `receiver`'s name service; what answers it, or not, does not matter."""
    return (_IPV4 + _ipv4(_UDP, sender, receiver, _udp(4000, 53, name))).hex()


def _mark(name: str) -> bytes:
    return f"ferry6003:{name};".encode()


def _udp(source: int, to: int, name: str) -> bytes:
    body = _mark(name)
    return b"".join(n.to_bytes(2, "big") for n in (source, to, 8 + len(body), 0)) + body


def _ipv4(protocol: int, source: str, to: str, body: bytes) -> bytes:
    head = bytearray(b"\x45\0" + (20 + len(body)).to_bytes(2, "big") + bytes(4) + bytes([64, protocol, 0, 0]))
    head += IPv4Address(source).packed + IPv4Address(to).packed
    total = sum(int.from_bytes(head[i : i + 2], "big") for i in range(0, 20, 2))
    total = (total & 0xFFFF) + (total >> 16)
    head[10:12] = (0xFFFF - (total & 0xFFFF) - (total >> 16)).to_bytes(2, "big")
    return bytes(head) + body


def _ipv6(protocol: int, source: str, to: str, body: bytes) -> bytes:
    head = b"\x60\0\0\0" + len(body).to_bytes(2, "big") + bytes([protocol, 255])
    return head + IPv6Address(source).packed + IPv6Address(to).packed + body
