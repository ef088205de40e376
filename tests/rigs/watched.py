"""Things that a hostile image would like to reach, watched: a host file, and a port on loopback.

Control each in the test that uses it: a watch that never speaks proves nothing.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_IN_ACCESS, _IN_OPEN = 0x1, 0x20
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class WatchedFile:
    """A file and the kernel's notices about it, from whatever namespace it is opened."""

    path: Path
    notices: int

    def opened(self) -> bool:
        """Whether anybody opened or read it since the last question."""
        if not select.select([self.notices], [], [], 0)[0]:
            return False
        return bool(os.read(self.notices, 65536))


@contextlib.contextmanager
def watched_file(path: Path) -> Iterator[WatchedFile]:
    """Watch a file until the context ends."""
    notices = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    assert notices >= 0, os.strerror(ctypes.get_errno())
    try:
        added = _libc.inotify_add_watch(notices, os.fsencode(path), _IN_ACCESS | _IN_OPEN)
        assert added >= 0, os.strerror(ctypes.get_errno())
        yield WatchedFile(path, notices)
    finally:
        os.close(notices)


@dataclass(frozen=True)
class WatchedPort:
    """A listening socket on loopback that accepts only to see whether somebody came."""

    listener: socket.socket

    @property
    def port(self) -> int:
        """Its number."""
        return int(self.listener.getsockname()[1])

    def visited(self) -> bool:
        """Whether somebody connected since the last question."""
        if not select.select([self.listener], [], [], 0)[0]:
            return False
        self.listener.accept()[0].close()
        return True


@contextlib.contextmanager
def watched_port() -> Iterator[WatchedPort]:
    """Listen on a free port of loopback until the context ends."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield WatchedPort(listener)
