"""Files into and out of guests: one HTTPS request to the address that vCenter gave, which holds a token of
its own. That address may be an ESXi host's, with another certificate than vCenter's."""

import http.client
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from orchestrator.contract.errors import ErrorKind, ProviderError
from providers.vsphere.faults import permanent
from providers.vsphere.link import Link

_SECONDS = 120.0
_GOOD = (http.client.OK, http.client.CREATED, http.client.NO_CONTENT)


class Transfer:
    """Requests for one endpoint, verified as its API is."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def put(self, what: str, url: str, content: bytes) -> None:
        """Write a file. Raises ProviderError; OSError and HTTPException where the connection breaks."""
        headers = {"Content-Length": str(len(content)), "Content-Type": "application/octet-stream"}
        with self._asked(what, "PUT", url, content, headers) as reply:
            reply.read(1)

    def get(self, what: str, url: str, limit: int) -> bytes:
        """Return at most `limit` bytes of a file. Raises as `put`."""
        with self._asked(what, "GET", url, None, {}) as reply:
            return reply.read(limit)

    @contextmanager
    def _asked(
        self, what: str, method: str, url: str, body: bytes | None, headers: dict[str, str]
    ) -> Iterator[http.client.HTTPResponse]:
        host, port, path = self._address(what, url)
        session = self._link.session
        connection = http.client.HTTPSConnection(host, port, timeout=_SECONDS, context=session.tls)
        try:
            try:
                connection.connect()
            except ssl.SSLCertVerificationError as error:
                raise _untrusted(what, host, error) from error
            connection.request(method, path, body, headers)
            reply = connection.getresponse()
            if reply.status == http.client.NOT_FOUND:
                message = f"cannot {what}: the file is not there"
                raise ProviderError(ErrorKind.NOT_FOUND, message)
            if reply.status not in _GOOD:
                message = f"cannot {what}: {host} answers {reply.status} {reply.reason}"
                raise permanent(message, "is there room in the guest, and may the account do it?")
            yield reply
        finally:
            connection.close()

    def _address(self, what: str, url: str) -> tuple[str, int, str]:
        """Return host, port and path; `*` is the server that was asked."""
        settings, parts = self._link.settings, urlsplit(url)
        if parts.scheme != "https" or not parts.hostname:
            message = f"cannot {what}: vCenter gives no https address for it"
            raise permanent(message)
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        if parts.hostname == "*":
            return settings.server, parts.port or settings.port, path
        return parts.hostname, parts.port or 443, path


def _untrusted(what: str, host: str, error: ssl.SSLCertVerificationError) -> ProviderError:
    message = f"cannot {what}: the certificate of {host} is not trusted: {error.verify_message}"
    hint = "the files of guests may go by the ESXi hosts: `ca_file` must hold who signed theirs, too"
    return ProviderError(ErrorKind.DENIED, message, hint=hint, sdk_code=type(error).__name__)
