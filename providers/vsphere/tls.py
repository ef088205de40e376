"""What is trusted: an authority, or exactly one certificate.

pyvmomi's own `thumbprint` and `serverPemCert` pin nothing (measured: facts on vSphere, 3.1), so the pin is
made of the certificate itself: it is fetched, compared with the fingerprint, and is then the only trust
anchor.
"""

import hashlib
import socket
import ssl

from orchestrator.contract.errors import ErrorKind, ProviderError
from providers.vsphere.settings import Settings

CONNECT_SECONDS = 15.0
"""How long a server may take to accept a connection or to answer a small question."""


def context(settings: Settings) -> ssl.SSLContext:
    """Return the context for every connection to this endpoint. Raises ProviderError."""
    if settings.fingerprint is not None:
        leaf = _leaf(settings.server, settings.port)
        return pinned(leaf, settings.fingerprint, f"{settings.server}:{settings.port}")
    if not settings.tls_verify:
        return _trusting()
    if settings.ca_file is None:
        return ssl.create_default_context()
    try:
        return ssl.create_default_context(cafile=str(settings.ca_file))
    except (OSError, ssl.SSLError) as error:
        message = f"the authority's file {settings.ca_file} cannot be used: {error.strerror or error}"
        raise ProviderError(ErrorKind.PERMANENT, message, hint="give a PEM file: `ca_file`") from error


def pinned(leaf: bytes, fingerprint: str, where: str) -> ssl.SSLContext:
    """Return a context that trusts this certificate (DER) alone, if it has this SHA-256 fingerprint."""
    seen = hashlib.sha256(leaf).hexdigest()
    if seen != fingerprint:
        message = f"{where} shows another certificate than the pinned one: its SHA-256 is {seen}"
        hint = "if it was renewed, compare at the server and change `fingerprint`; else somebody is between"
        raise ProviderError(ErrorKind.DENIED, message, hint=hint)
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False  # this certificate whatever name it bears
    made.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the leaf itself is the anchor
    made.load_verify_locations(cadata=ssl.DER_cert_to_PEM_cert(leaf))
    return made


def vouched(host: str, port: int, thumbprint: str) -> ssl.SSLContext:
    """Return a context that trusts a host's certificate alone, if it is the one that vCenter vouches for.

    `thumbprint` is its SHA-1 (or SHA-256) as vSphere writes it. Raises ProviderError: DENIED; OSError.
    """
    leaf = _leaf(host, port)
    wanted = thumbprint.replace(":", "").lower()
    # SHA-1 is vSphere's choice. To find another certificate for a given one is not possible with it, either.
    seen = hashlib.sha1(leaf, usedforsecurity=False).hexdigest()
    sha256 = hashlib.sha256(leaf).hexdigest()
    if wanted not in (seen, sha256):
        message = f"{host}:{port} shows another certificate than vCenter says it has: its SHA-1 is {seen}"
        raise ProviderError(
            ErrorKind.DENIED, message, hint="somebody may be between; ask the network's admin"
        )
    return pinned(leaf, sha256, f"{host}:{port}")


def _leaf(host: str, port: int) -> bytes:
    """Fetch the server's certificate; nothing is sent over this connection."""
    with (
        socket.create_connection((host, port), timeout=CONNECT_SECONDS) as plain,
        _trusting().wrap_socket(plain, server_hostname=host) as secured,
    ):
        return secured.getpeercert(binary_form=True) or b""


def _trusting() -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    return made
