"""What is trusted, against a real TLS server: the right authority, the pinned certificate, and nothing else;
also at the second attempt, where pyvmomi's own pin gives in."""

from __future__ import annotations

import hashlib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.model.endpoint import EndpointSettings, SettingValue
from orchestrator.model.secret import SecretRef
from providers.vsphere import session, tls
from providers.vsphere.link import Link
from providers.vsphere.settings import decode
from tests.rigs.certificates import Authority


@dataclass
class Server:
    port: int
    authority: Path
    fingerprint: str


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """A TLS server that greets whoever gets through the handshake."""
    authority = Authority(folder)
    chain, key = authority.server("127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            with plain:
                try:
                    with context.wrap_socket(plain, server_side=True) as secured:
                        secured.sendall(b"hello")
                except OSError:
                    continue  # the client did not trust us

    thread = threading.Thread(target=serve)
    thread.start()
    leaf = ssl.PEM_cert_to_DER_cert(
        chain.read_text().partition("-----END")[0] + "-----END CERTIFICATE-----\n"
    )
    try:
        yield Server(listener.getsockname()[1], authority.file, hashlib.sha256(leaf).hexdigest())
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("tls")) as made:
        yield made


def endpoint(server: Server, **more: SettingValue) -> EndpointSettings:
    settings: dict[str, SettingValue] = {
        "server": "127.0.0.1",
        "port": server.port,
        "username": "u",
        "password": SecretRef(env="P"),
    }
    return EndpointSettings(name="vc", provider="vsphere", settings=settings | more)


def greeting(server: Server, **more: SettingValue) -> bytes:
    context = tls.context(decode(endpoint(server, **more)))
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as secured,
    ):
        return secured.recv(5)


def test_authority_that_signed_it_is_enough(server):
    assert greeting(server, ca_file=str(server.authority)) == b"hello"


def test_without_it_the_certificate_is_refused(server):
    with pytest.raises(ssl.SSLCertVerificationError):
        greeting(server)


def test_another_authority_is_refused(server, tmp_path):
    with pytest.raises(ssl.SSLCertVerificationError):
        greeting(server, ca_file=str(Authority(tmp_path).file))


def test_pinned_certificate_is_trusted_alone(server):
    assert greeting(server, fingerprint=server.fingerprint) == b"hello"


def test_wrong_pin_is_refused_each_time(server):
    for _ in range(3):
        with pytest.raises(ProviderError) as refused:
            greeting(server, fingerprint="ab" * 32)
        assert refused.value.kind is ErrorKind.DENIED
        assert server.fingerprint in str(refused.value)


def test_pin_does_not_fit_another_server(server, tmp_path):
    """A pin is compared with the very certificate that is used: another of the same authority fails."""
    context = tls.context(decode(endpoint(server, fingerprint=server.fingerprint)))
    with (
        serving(tmp_path) as other,
        socket.create_connection(("127.0.0.1", other.port), timeout=10) as plain,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        context.wrap_socket(plain, server_hostname="127.0.0.1")


def test_verifying_is_turned_off_only_when_it_is_said(server):
    assert greeting(server, tls_verify=False) == b"hello"


def test_authority_file_that_is_none_is_named(server, tmp_path):
    with pytest.raises(ProviderError) as refused:
        greeting(server, ca_file=str(tmp_path / "none.pem"))
    assert "none.pem" in str(refused.value)


def test_server_that_is_no_vcenter_is_told_so(server):
    with pytest.raises(ProviderError):
        Link(endpoint(server, ca_file=str(server.authority)), lambda _: "p").open()


def test_server_that_never_answers_ends_in_time(monkeypatch):
    monkeypatch.setattr(session, "CONNECT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        made = Server(silent.getsockname()[1], Path(), "")
        with pytest.raises(ProviderError) as lost:
            Link(endpoint(made), lambda _: "p").open()
    assert lost.value.kind is ErrorKind.TRANSIENT
