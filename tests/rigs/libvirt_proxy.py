"""A proxy in front of a libvirtd's socket that can lose the reply to a mutation: the call takes effect, its
answer never comes."""

from __future__ import annotations

import contextlib
import shutil
import socket
import struct
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

REMOTE_PROGRAM = 0x20008086
CREATE, SNAPSHOT_CREATE, SECRET_DEFINE = 9, 185, 142
"""Procedure numbers of libvirt's wire protocol, which never change: start a domain, snapshot it, define a
secret."""
_HEADER = struct.Struct(">IIIIiIi")
_CALL = 0


class LibvirtProxy:
    """Listens on a socket of its own and forwards to `target`. Close it at the end."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._folder = Path(tempfile.mkdtemp(prefix="ferry-px-"))
        self._lost = threading.Event()
        self._armed = False
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._folder / "sock"))
        self._listener.listen()
        self._accepter = threading.Thread(target=self._accept, daemon=True)
        self._accepter.start()

    @property
    def uri(self) -> str:
        return f"qemu+unix:///system?socket={self._folder}/sock"

    @contextlib.contextmanager
    def losing_a_reply(self) -> Iterator[None]:
        """Lose the reply to the first mutation inside the block; fail if there was none."""
        self._lost.clear()
        self._armed = True
        yield
        self._armed = False
        assert self._lost.is_set(), "no mutation passed, so no reply was lost"

    def close(self) -> None:
        # Closing alone does not wake an accept that is under way.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepter.join(5)
        shutil.rmtree(self._folder)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_UNIX)
        with client, server, contextlib.suppress(OSError, EOFError):
            server.connect(str(self._target))
            doomed: set[int] = set()
            back = threading.Thread(target=self._answer, args=(server, client, doomed), daemon=True)
            back.start()
            while True:
                message = _receive(client)
                _, program, _, procedure, kind, serial, _ = _HEADER.unpack_from(message)
                mutates = procedure in (CREATE, SNAPSHOT_CREATE, SECRET_DEFINE)
                if self._armed and mutates and (program, kind) == (REMOTE_PROGRAM, _CALL):
                    self._armed = False
                    doomed.add(serial)
                server.sendall(message)

    def _answer(self, server: socket.socket, client: socket.socket, doomed: set[int]) -> None:
        with contextlib.suppress(OSError, EOFError):
            while True:
                message = _receive(server)
                if _HEADER.unpack_from(message)[5] in doomed:
                    self._lost.set()
                    break
                client.sendall(message)
        for end in (client, server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def _receive(source: socket.socket) -> bytes:
    """Receive one whole message, its length word included."""
    head = _exactly(source, 4)
    return head + _exactly(source, int.from_bytes(head, "big") - 4)


def _exactly(source: socket.socket, length: int) -> bytes:
    parts = bytearray()
    while len(parts) < length:
        part = source.recv(length - len(parts))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)
