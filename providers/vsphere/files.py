"""Files of a datastore over HTTPS: vCenter serves them below /folder to whoever has the session's cookie.

Reads only; a read is repeated once where a kept connection was closed, or where the session had ended.
"""

import http.client
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote, urlencode

from pyVmomi import vim

from orchestrator.contract.errors import ErrorKind, ProviderError
from providers.vsphere.faults import BROKEN, permanent
from providers.vsphere.link import Link

T = TypeVar("T")

_ANSWER_SECONDS = 60.0
_PLACE = re.compile(r"\[([^\]]+)\] ?(.+)")
_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})")
_KINDS = {
    http.client.NOT_FOUND: ErrorKind.NOT_FOUND,
    http.client.FORBIDDEN: ErrorKind.DENIED,
}


@dataclass(frozen=True, slots=True)
class Place:
    """A file in a datastore of a datacenter; `datacenter` is its inventory path ("Europe/DC0")."""

    datacenter: str
    datastore: str
    path: str

    @classmethod
    def of(cls, datacenter: str, name: str) -> "Place | None":
        """Read "[datastore] folder/file"; None where it is not of that form."""
        found = _PLACE.fullmatch(name)
        return cls(datacenter, found[1], found[2]) if found else None

    def beside(self, name: str) -> "Place":
        """Return another file in the same folder."""
        folder, slash, _ = self.path.rpartition("/")
        return Place(self.datacenter, self.datastore, f"{folder}{slash}{name}")

    @property
    def url(self) -> str:
        """Return the path of vCenter's file service."""
        query = urlencode({"dcPath": self.datacenter, "dsName": self.datastore}, quote_via=quote, safe="/")
        return f"/folder/{quote(self.path)}?{query}"

    def __str__(self) -> str:
        return f"[{self.datastore}] {self.path}"


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes of a file; `total` is its length, `mark` changes when it is written."""

    data: bytes
    total: int
    mark: tuple[str | None, str | None]


class Files:
    """One connection to vCenter's file service; not for several threads at once."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._connection: http.client.HTTPSConnection | None = None

    def close(self) -> None:
        """Close it; the next question opens it again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def whole(self, place: Place, limit: int) -> bytes:
        """Return a small file. Raises ProviderError, also where it is longer than `limit` bytes."""

        def ask() -> bytes:
            answer = self._ask(place, {})
            self._check(place, answer, http.client.OK)
            return answer.read(limit + 1)

        data = self._link.read(f"read {place}", lambda: self._twice(ask))
        if len(data) > limit:
            self.close()
            message = f"{place} has more than {limit} bytes"
            raise ProviderError(ErrorKind.UNSUPPORTED, message, hint="say `disk_access: lease`")
        return data

    def part(self, place: Place, first: int, length: int) -> Part:
        """Return exactly these bytes of a file. Raises ProviderError."""
        wanted = {"Range": f"bytes={first}-{first + length - 1}"}

        def ask() -> Part:
            answer = self._ask(place, wanted)
            self._check(place, answer, http.client.PARTIAL_CONTENT)
            told = _RANGE.fullmatch(answer.getheader("Content-Range", ""))
            if told is None or (int(told[1]), int(told[2])) != (first, first + length - 1):
                self.close()
                message = f"vCenter gives other bytes of {place} than were asked for"
                raise permanent(message, "say `disk_access: lease`")
            data = answer.read(length)
            answer.read()  # the end of the answer, so that the connection can be used again
            if len(data) < length:
                raise http.client.IncompleteRead(data, length - len(data))
            return Part(data, int(told[3]), (answer.getheader("ETag"), answer.getheader("Last-Modified")))

        return self._link.read(f"read {place}", lambda: self._twice(ask))

    def _twice(self, ask: Callable[[], T]) -> T:
        """Ask again where a connection that was kept has been closed meanwhile."""
        kept = self._connection is not None
        try:
            return ask()
        except BROKEN:
            self.close()
            if not kept:
                raise
        try:
            return ask()
        except BROKEN:
            self.close()
            raise

    def _ask(self, place: Place, headers: dict[str, str]) -> http.client.HTTPResponse:
        settings, session = self._link.settings, self._link.session
        if self._connection is None:
            self._connection = http.client.HTTPSConnection(
                settings.server, settings.port, timeout=_ANSWER_SECONDS, context=session.tls
            )
        self._connection.request("GET", place.url, headers={"Cookie": session.cookie, **headers})
        return self._connection.getresponse()

    def _check(self, place: Place, answer: http.client.HTTPResponse, wanted: int) -> None:
        """Raise ProviderError unless the answer is what was asked for; NotAuthenticated for `Link.read`."""
        if answer.status == wanted:
            return
        self.close()
        if answer.status == http.client.UNAUTHORIZED:
            raise vim.fault.NotAuthenticated
        if answer.status >= http.client.INTERNAL_SERVER_ERROR:
            kind = ErrorKind.TRANSIENT
        else:
            kind = _KINDS.get(answer.status, ErrorKind.UNSUPPORTED)
        message = f"cannot read {place}: vCenter's file service answers {answer.status} instead of {wanted}"
        hint = "the account needs Datastore.Browse on that datastore; or say `disk_access: lease`"
        raise ProviderError(kind, message, hint=hint, sdk_code=str(answer.status))
