"""One login to one vCenter: the stub, the version that both sides speak, the session kept alive.

The plain SoapStubAdapter and never the session-oriented one: that sends any call again after an error,
mutations too (measured: one request, four snapshots). The version is asked for here, because pyvmomi's own
question has no time-out.
"""

import http.client
import ssl
import threading
import xml.etree.ElementTree as ET
from typing import Any

from pyVmomi import SoapAdapter, VmomiSupport, vim, vmodl

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.provider import ResolveSecret
from providers.vsphere.faults import BROKEN, from_fault
from providers.vsphere.settings import Settings, opened
from providers.vsphere.tls import CONNECT_SECONDS, context

CALL_SECONDS = 120.0
"""How long one call may take. Longer work is a task, which is waited for in shorter calls."""
_ALIVE_SECONDS = 240.0
"""vCenter ends a session that is idle for half an hour."""
_IDLE_SOCKET = 20.0
"""A socket unused for longer is opened anew: one that the server has closed would fail a mutation."""
_VERSIONS_LIMIT = 1024 * 1024


class Session:
    """A logged-in stub. Shared between threads."""

    def __init__(self, settings: Settings, secrets: ResolveSecret, parallel: int) -> None:
        """Connect and log in. Raises ProviderError: TRANSIENT, DENIED."""
        self.where = f"{settings.server}:{settings.port}"
        self._settings = settings
        self._secrets = secrets
        what = f"reach vCenter {self.where}"
        self.stub: Any = None
        try:
            self.tls = context(settings)
            self.stub = self._stub(parallel)
            self.content: Any = vim.ServiceInstance("ServiceInstance", self.stub).RetrieveContent()
            self.login()
        except (vmodl.MethodFault, *BROKEN) as error:
            if self.stub is not None:
                self.stub.DropConnections()
            raise from_fault(error, what, mutation=False) from error
        self._over = threading.Event()
        threading.Thread(target=self._stay, name=f"keep-alive {self.where}", daemon=True).start()

    def login(self) -> None:
        """Log in, for the first time or again. Raises pyvmomi's faults."""
        username = opened(self._settings.username, self._secrets)
        self.content.sessionManager.Login(username, opened(self._settings.password, self._secrets))

    @property
    def cookie(self) -> str:
        """The session's cookie, for downloads beside the API."""
        return str(self.stub.cookie or "").partition(";")[0]

    def close(self) -> None:
        """Log out and close. Repeatable."""
        if self._over.is_set():
            return
        self._over.set()
        try:
            self.content.sessionManager.Logout()
        except (vmodl.MethodFault, *BROKEN):
            pass  # it ends by itself
        finally:
            self.stub.DropConnections()

    def _stub(self, parallel: int) -> Any:
        settings = self._settings
        return SoapAdapter.SoapStubAdapter(
            host=settings.server,
            port=settings.port,
            path="/sdk",
            version=_spoken(settings, self.tls),
            sslContext=self.tls,
            poolSize=parallel + 2,
            connectionPoolTimeout=_IDLE_SOCKET,
            httpConnectionTimeout=CALL_SECONDS,
        )

    def _stay(self) -> None:
        """Ask for the time now and then. An ended session is found, and mended, by the next read."""
        while not self._over.wait(_ALIVE_SECONDS):
            try:
                vim.ServiceInstance("ServiceInstance", self.stub).CurrentTime()
            except (vmodl.MethodFault, *BROKEN):
                continue


def _spoken(settings: Settings, tls: ssl.SSLContext) -> str:
    """Return the newest API version that the server and pyvmomi both know."""
    connection = http.client.HTTPSConnection(
        settings.server, settings.port, timeout=CONNECT_SECONDS, context=tls
    )
    try:
        connection.request("GET", "/sdk/vimServiceVersions.xml")
        answer = connection.getresponse()
        body = answer.read(_VERSIONS_LIMIT)
    finally:
        connection.close()
    offered = _offered(body) if answer.status == http.client.OK else set()
    for version in VmomiSupport.GetServiceVersions("vim25"):
        if VmomiSupport.versionIdMap[version] in offered:
            return str(version)
    message = f"{settings.server}:{settings.port} answers, but not as a vCenter that pyvmomi can speak with"
    raise ProviderError(
        ErrorKind.PERMANENT, message, hint="check `server` and `port`; vCenter 6.5 or later is needed"
    )


def _offered(body: bytes) -> set[str]:
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        return set()
    try:
        root = ET.fromstring(body)  # noqa: S314  # no entities, and short
    except ET.ParseError:
        return set()
    spaces = [one for one in root.iter("namespace") if (one.findtext("name") or "").endswith("vim25")]
    return {(version.text or "").strip() for space in spaces for version in space.iter("version")}
