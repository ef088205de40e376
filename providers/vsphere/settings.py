"""The settings of a vSphere endpoint: checked without connecting, then read.

`server`, `username`, `password` are needed. `port` (443). `ca_file` or `fingerprint` (SHA-256 of the
server's certificate) say what is trusted, else the system's authorities; `tls_verify: false` trusts
everybody. `datacenter` narrows the view to one. `disk_access` (auto, datastore, lease): how frozen disks
are read. `guest_username`, `guest_password`: the account for VMware Tools' guest operations.
"""

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.provider import ResolveSecret
from orchestrator.diagnostics import Diagnostic, FerryError
from orchestrator.model.endpoint import EndpointSettings
from orchestrator.model.secret import SecretRef

KNOWN = (
    "server",
    "port",
    "username",
    "password",
    "ca_file",
    "fingerprint",
    "tls_verify",
    "datacenter",
    "disk_access",
    "guest_username",
    "guest_password",
)
DISK_ACCESS = ("auto", "datastore", "lease")
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Settings:
    """Checked settings with their references still closed: a secret is resolved when it is used."""

    server: str
    port: int
    username: str | SecretRef
    password: SecretRef
    ca_file: Path | None
    fingerprint: str | None
    """64 hexadecimal digits in lower case."""
    tls_verify: bool
    datacenter: str | None
    disk_access: str
    guest_username: str | SecretRef | None
    guest_password: SecretRef | None


def problems(endpoint: EndpointSettings) -> Iterator[Diagnostic]:
    """Say what is wrong with the settings."""
    given = endpoint.settings
    for key in sorted(given.keys() - set(KNOWN)):
        near = difflib.get_close_matches(key, KNOWN, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are: {', '.join(KNOWN)}"
        yield _problem("unknown-key", endpoint, key, f"endpoint {endpoint.name} has no setting {key}", hint)
    server = given.get("server")
    if not isinstance(server, str) or not server:
        yield _problem(
            "missing-key", endpoint, "server", "no vCenter is named", "server: vcenter.example.net"
        )
    if not given.get("username"):
        yield _problem("missing-key", endpoint, "username", "nobody logs in", "username: {env: VC_USER}")
    if not isinstance(given.get("password"), SecretRef):
        summary = "the password is not a reference"
        yield _problem("missing-key", endpoint, "password", summary, "password: {env: VC_PASSWORD}")
    yield from _tls(endpoint)
    if given.get("disk_access", "auto") not in DISK_ACCESS:
        hint = f"write one of: {', '.join(DISK_ACCESS)}"
        yield _problem("bad-value", endpoint, "disk_access", "no way of reading disks", hint)
    if bool(given.get("guest_username")) is not isinstance(given.get("guest_password"), SecretRef):
        hint = "write both guest_username and guest_password (a reference), or neither"
        yield _problem("missing-key", endpoint, "guest_username", "half a guest account is given", hint)


def _tls(endpoint: EndpointSettings) -> Iterator[Diagnostic]:
    given = endpoint.settings
    pin = given.get("fingerprint")
    if pin is not None and not _FINGERPRINT.fullmatch(_plain(str(pin))):
        hint = "write its 64 hexadecimal digits: openssl x509 -noout -fingerprint -sha256"
        yield _problem("bad-value", endpoint, "fingerprint", "this is no SHA-256 fingerprint", hint)
    ways = [key for key in ("ca_file", "fingerprint") if given.get(key) is not None]
    if given.get("tls_verify", True) is False and ways:
        summary = f"tls_verify is off, so {ways[0]} would mean nothing"
        yield _problem("bad-value", endpoint, "tls_verify", summary, "remove one of the two")
    elif len(ways) > 1:
        summary = "both ca_file and fingerprint are given"
        yield _problem(
            "bad-value", endpoint, "fingerprint", summary, "keep one: what is pinned needs no authority"
        )


def decode(endpoint: EndpointSettings) -> Settings:
    """Return the settings of an endpoint that `problems` finds nothing wrong with."""
    given = endpoint.settings
    ca_file, pin, port = given.get("ca_file"), given.get("fingerprint"), given.get("port", 443)
    password, guest = given["password"], given.get("guest_password")
    assert isinstance(password, SecretRef)  # noqa: S101  # `problems` has refused the others
    return Settings(
        server=str(given["server"]),
        port=port if isinstance(port, int) else 443,
        username=_account(given["username"]),
        password=password,
        ca_file=Path(str(ca_file)) if ca_file else None,
        fingerprint=_plain(str(pin)) if pin else None,
        tls_verify=given.get("tls_verify", True) is not False,
        datacenter=str(given["datacenter"]) if given.get("datacenter") else None,
        disk_access=str(given.get("disk_access", "auto")),
        guest_username=_account(given["guest_username"]) if given.get("guest_username") else None,
        guest_password=guest if isinstance(guest, SecretRef) else None,
    )


def opened(value: str | SecretRef, secrets: ResolveSecret) -> str:
    """Return the value of a text or a reference. Raises ProviderError that names the reference, never the
    value."""
    try:
        return secrets(value) if isinstance(value, SecretRef) else value
    except ProviderError:
        raise
    except FerryError as error:
        raise ProviderError(ErrorKind.PERMANENT, error.message, hint=error.hint) from None


def _account(value: object) -> str | SecretRef:
    return value if isinstance(value, SecretRef) else str(value)


def _plain(fingerprint: str) -> str:
    return fingerprint.replace(":", "").strip().lower()


def _problem(code: str, endpoint: EndpointSettings, key: str, summary: str, hint: str) -> Diagnostic:
    return Diagnostic(code, summary, hint=hint, path=f"endpoints.{endpoint.name}.{key}")
