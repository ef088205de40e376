"""The connection to one libvirt, and the only two ways in which this package calls it: `read` and `act`.

Both turn libvirt's exceptions into ProviderError. `act` checks the lease first, so that no mutation escapes
it. Nothing is repeated
here: reads are retried by the core, mutations never.
"""

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

import libvirt

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.provider import Effect
from orchestrator.model.machine import MachineRef
from providers.kvm.faults import from_libvirt, from_os, not_found

T = TypeVar("T")

_IDLE = 0.1
"""Seconds without a call after which a connection is asked whether it still answers, before it is used
again."""

# Every error arrives as an exception; libvirt's own copy on stderr would reach the terminal.
libvirt.registerErrorHandler(lambda *_: None, None)


class Link:
    """A connection that is opened when needed and reopened when it died. Shared between threads.

    `read_only` asks libvirtd itself to refuse every write on it.
    """

    def __init__(self, endpoint: str, uri: str, *, read_only: bool) -> None:
        self.endpoint = endpoint
        self.uri = uri
        self.read_only = read_only
        self._lock = threading.Lock()
        self._conn: Any = None
        self._version: int | None = None
        self._used = 0.0

    @property
    def local(self) -> bool:
        """Tell whether libvirtd runs on this machine, so that its files and its /sys are ours. Whatever could
        lead elsewhere (a host, a transport other than a socket) does not count."""
        parts = urlsplit(self.uri)
        return not parts.netloc and parts.scheme.partition("+")[2] in ("", "unix")

    def conn(self) -> Any:
        """Return a live virConnect. Raises ProviderError (TRANSIENT, DENIED)."""
        with self._lock:
            if self._conn is not None and not self._answers(self._conn):
                _close(self._conn)
                self._conn = None
            if self._conn is None:
                self._conn = self._open()
                self._version = None
            self._used = time.monotonic()
            return self._conn

    def version(self) -> int:
        """Return the version of libvirt at the other end; it is asked once on each connection."""
        conn, known = self.conn(), self._version
        if known is None:
            known = self._version = self.read("ask for libvirt's version", conn.getLibVersion)
        return known

    def close(self) -> None:
        """Close the connection. Repeatable."""
        with self._lock:
            if self._conn is not None:
                _close(self._conn)
                self._conn = None

    def domain(self, ref: MachineRef) -> Any:
        """Return the virDomain of this permanent id. Raises ProviderError: NOT_FOUND when it is gone."""
        found = self.find_domain(ref)
        if found is None:
            missing = f"machine {ref.name} ({ref.id}) on {ref.endpoint}"
            raise not_found(missing)
        return found

    def find_domain(self, ref: MachineRef) -> Any | None:
        """Return the virDomain of this permanent id, or None."""
        return self.find(f"look up machine {ref.name}", lambda: self.conn().lookupByUUIDString(ref.id))

    def read(self, what: str, call: Callable[..., T], *args: Any) -> T:
        """Make one reading call."""
        try:
            return call(*args)
        except libvirt.libvirtError as error:
            raise from_libvirt(error, what, mutation=False) from error
        except OSError as error:
            raise from_os(error, what) from error

    def find(self, what: str, call: Callable[..., T], *args: Any) -> T | None:
        """Make one reading call; None when the object is not there."""
        try:
            return self.read(what, call, *args)
        except ProviderError as error:
            if error.kind is ErrorKind.NOT_FOUND:
                return None
            raise

    def _open(self) -> Any:
        opener = libvirt.openReadOnly if self.read_only else libvirt.open
        return self.read(f"reach endpoint {self.endpoint} ({self.uri})", opener, self.uri)

    def _answers(self, conn: Any) -> bool:
        """A dead daemon shows only when it is called, and the call should not be the mutation."""
        try:
            if not conn.isAlive():
                return False
            if time.monotonic() - self._used > _IDLE:
                conn.getLibVersion()
        except libvirt.libvirtError:
            return False
        return True


def act(effect: Effect, what: str, call: Callable[..., T], *args: Any) -> T:
    """Make one mutating call that does `what`, after the lease was checked. Raises ProviderError,
    LeaseLost."""
    effect.before(what)
    try:
        return call(*args)
    except libvirt.libvirtError as error:
        raise from_libvirt(error, what, mutation=True) from error
    except OSError as error:
        raise from_os(error, what) from error


def _close(conn: Any) -> None:
    try:
        conn.close()
    except libvirt.libvirtError:
        return  # it is dead already
