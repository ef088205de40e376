"""The host side of the packet tests: addresses for a guest to aim at, and kernel settings for a while."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Sequence
from ipaddress import IPv6Address
from pathlib import Path

from tests.rigs.packets import run


class Host:
    """This host, with addresses on a card (a bridge without ports) where no guest is; it notes datagrams."""

    def __init__(self, card: str, *addresses: str) -> None:
        self._card = card
        self._ears: dict[str, socket.socket] = {}
        run("ip", "link", "add", card, "type", "bridge")
        run("ip", "link", "set", card, "up")
        for address in addresses:
            six = ":" in address
            run("ip", "addr", "add", address, "dev", card, *(["nodad"] if six else []))
            ear = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
            ear.setblocking(False)
            ear.bind((address, 0))
            self._ears[address] = ear

    def port(self, address: str) -> int:
        """Return the UDP port that it listens on at this address."""
        return int(self._ears[address].getsockname()[1])

    def heard(self, address: str) -> bool:
        """Tell whether datagrams came in since the last look; a sender need not get an answer for that."""
        found = False
        with contextlib.suppress(BlockingIOError):
            while self._ears[address].recv(64):
                found = True
        return found

    def remove(self) -> None:
        """Close the sockets and delete the card."""
        for ear in self._ears.values():
            ear.close()
        run("ip", "link", "del", self._card, check=False)


def link_local(mac: str) -> str:
    """Return the IPv6 address that a card makes of its MAC address."""
    raw = bytes.fromhex(mac.replace(":", ""))
    return str(IPv6Address(b"\xfe\x80" + bytes(6) + bytes([raw[0] ^ 2]) + raw[1:3] + b"\xff\xfe" + raw[3:]))


@contextlib.contextmanager
def written(paths: Sequence[Path], value: str) -> Iterator[None]:
    """Let those of the kernel's settings that there are have a value for the length of a `with` block."""
    before = {path: path.read_text() for path in paths if path.exists()}
    try:
        for path in before:
            path.write_text(value)
        yield
    finally:
        for path, text in before.items():
            path.write_text(text)
