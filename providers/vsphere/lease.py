"""Disks of a snapshot, or of a stopped machine, by an export lease: each comes as a stream-optimised VMDK and
is decoded as it arrives.

A lease must always be ended: completed when every stream was whole, aborted on everything else. Never is a
disk given out of which a byte is missing.
"""

import http.client
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from pyVmomi import vim

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.provider import FrozenDisk
from orchestrator.disks import spool
from orchestrator.model.text import printable
from providers.vsphere.batch import Props, of
from providers.vsphere.faults import BROKEN, from_fault, permanent
from providers.vsphere.link import Link
from providers.vsphere.tls import vouched

READY_SECONDS = 300.0
_LOOK_SECONDS = 0.5
_STREAM_SECONDS = 120.0
"""How long a stream may stand still."""
_ALIVE_SECONDS = 30.0
_JOIN_SECONDS = 5.0
_STATE = ("state", "error", "info")
_BY_KEY = re.compile(r"VirtualDisk:(\d{1,9})")
_BY_ADDRESS = re.compile(r"([A-Za-z]+)(\d{1,4}):(\d{1,4})")


def fetch_disks(
    link: Link,
    what: str,
    start: Callable[[], Any],
    devices: Sequence[Any],
    wanted: Sequence[Any],
    stack: ExitStack,
) -> dict[int, FrozenDisk]:
    """Fetch the `wanted` disks among a machine's `devices` with the lease that `start` gives, to do `what`
    ("export file01"). Return them by device key, spooled, alive until `stack` ends; the lease is over.

    Raises ProviderError: TRANSIENT where a connection broke, PERMANENT for a stream that is not whole.
    """
    lease = link.read(what, start)
    try:
        info = _ready(link, what, lease)
        urls = _matched(what, info.deviceUrl or (), devices, wanted)
        found: dict[int, FrozenDisk] = {}
        with _kept_alive(link, what, lease, info.leaseTimeout) as progress:
            for disk in wanted:
                progress(100 * len(found) // len(wanted))
                found[disk.key] = _fetch(link, what, urls[disk.key], disk, stack)
        link.read(what, lease.HttpNfcLeaseComplete)
    except BaseException:
        with suppress(ProviderError):
            link.read(what, lease.HttpNfcLeaseAbort)
        raise
    return found


def disk_size(disk: Any) -> int:
    """Return the bytes of a disk device."""
    return int(disk.capacityInBytes or (disk.capacityInKB or 0) * 1024)


def _ready(link: Link, what: str, lease: Any) -> Any:
    """Wait until the lease is ready; return its info. Raises ProviderError."""
    until = time.monotonic() + READY_SECONDS
    while True:
        seen = link.fetch(what, of(vim.HttpNfcLease, [lease], _STATE)).get(lease._moId)
        props: Props = {} if seen is None else seen.props
        state = str(props.get("state", "gone"))
        if state == "ready" and props.get("info") is not None:
            return props["info"]
        if state != "initializing":
            raise _failed(what, state, props.get("error"))
        if time.monotonic() > until:
            message = f"cannot {what}: the export is not ready after {READY_SECONDS:g} seconds"
            raise ProviderError(ErrorKind.TIMEOUT, message, hint="is the datastore busy? then try again")
        time.sleep(_LOOK_SECONDS)


def _failed(what: str, state: str, error: Any) -> ProviderError:
    if error is not None:
        return from_fault(error, what, mutation=False)
    return permanent(f"cannot {what}: its export lease is {state}", "try again")


def _matched(
    what: str, offered: Sequence[Any], devices: Sequence[Any], wanted: Sequence[Any]
) -> dict[int, Any]:
    """Return the one offered URL of each wanted disk, by device key. Raises ProviderError: never guessed."""
    controllers = {one.key: one for one in devices}
    addresses = {_address(disk, controllers): disk.key for disk in wanted}
    keys = {str(disk.key): disk.key for disk in wanted}
    found: dict[int, Any] = {}
    for url in offered:
        last = str(url.key or "").rpartition("/")[2]
        by_key = _BY_KEY.fullmatch(last)
        key = keys.get(by_key[1]) if by_key else addresses.get(last)
        if key is None:
            continue
        if key in found:
            message = f"cannot {what}: two streams are offered for disk {key}"
            raise permanent(message)
        found[key] = url
    if missing := sorted(set(keys.values()) - set(found)):
        offers = ", ".join(printable(str(url.key), 200) for url in offered) or "none"
        message = f"cannot {what}: no stream is offered for disk {missing[0]}; offered are: {offers}"
        raise permanent(message)
    return found


def _address(disk: Any, controllers: dict[int, Any]) -> str:
    """Return how vSphere names a disk in a lease by the place where it is attached."""
    controller = controllers.get(disk.controllerKey)
    if controller is None:
        return ""
    kind = type(controller).__name__.rpartition(".")[2]
    return f"{kind}{controller.busNumber}:{disk.unitNumber}"


@contextmanager
def _kept_alive(link: Link, what: str, lease: Any, timeout: float) -> Iterator[Callable[[int], None]]:
    """Report progress well inside the lease's time-out, from a thread of its own; yield how to set it."""
    over = threading.Event()
    percent = 0

    def stay() -> None:
        while not over.wait(min(timeout / 5, _ALIVE_SECONDS)):
            # One that fails is followed by others. If the lease is lost, its streams break.
            with suppress(ProviderError):
                link.read(what, lambda: lease.HttpNfcLeaseProgress(percent))

    def progress(now: int) -> None:
        nonlocal percent
        percent = now

    thread = threading.Thread(target=stay, name=f"lease {lease._moId}", daemon=True)
    thread.start()
    try:
        yield progress
    finally:
        over.set()
        thread.join(_JOIN_SECONDS)  # a report that hangs must not keep the lease from being ended


def _fetch(link: Link, what: str, url: Any, disk: Any, stack: ExitStack) -> FrozenDisk:
    """Download and decode one disk."""
    name = f"disk {disk.key}, {what}"
    folder = Path(tempfile.gettempdir())
    with _stream(link, what, url) as source:
        kept = spool(source, folder, key=str(disk.key), name=name, size=disk_size(disk))
        return stack.enter_context(kept)


class _Body:
    """The body of an answer, whose faults are ProviderErrors."""

    def __init__(self, answer: http.client.HTTPResponse, what: str) -> None:
        self._answer = answer
        self._what = what

    def read(self, size: int, /) -> bytes:
        try:
            return self._answer.read(size)
        except BROKEN as error:
            raise from_fault(error, self._what, mutation=False) from error


@contextmanager
def _stream(link: Link, what: str, url: Any) -> Iterator[_Body]:
    """Ask for a stream. The URL itself is the permission: the session's cookie is not shown to a host."""
    where = urlsplit(str(url.url))
    connection = None
    try:
        connection = _connection(link, what, where, url.sslThumbprint or "")
        connection.request("GET", f"{where.path}?{where.query}" if where.query else where.path)
        answer = connection.getresponse()
        if answer.status != http.client.OK:
            message = f"cannot {what}: the stream's server answers {answer.status}"
            raise permanent(message, "try again")
        yield _Body(answer, what)
    except BROKEN as error:
        raise from_fault(error, what, mutation=False) from error
    finally:
        if connection is not None:
            connection.close()


def _connection(link: Link, what: str, where: SplitResult, thumbprint: str) -> http.client.HTTPSConnection:
    settings = link.settings
    host, port = where.hostname or "", where.port
    if where.scheme != "https" or not host:
        message = f"cannot {what}: its stream is not offered over https"
        raise permanent(message)
    if host == "*":  # what a host writes that does not know by which name it was called
        host, port = settings.server, port or settings.port
    port = port or 443
    own = (host, port) == (settings.server, settings.port)
    if own or not thumbprint or not settings.tls_verify:
        trusted = link.session.tls
    else:
        trusted = vouched(host, port, thumbprint)
    return http.client.HTTPSConnection(host, port, timeout=_STREAM_SECONDS, context=trusted)
