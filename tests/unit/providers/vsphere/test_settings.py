"""Settings of a vSphere endpoint: what is wrong is named, what is right is read."""

from __future__ import annotations

import pytest

from orchestrator.model.endpoint import EndpointSettings, SettingValue
from orchestrator.model.secret import SecretRef
from providers.vsphere import provider
from providers.vsphere.settings import decode

SOUND: dict[str, SettingValue] = {
    "server": "vc.example.net",
    "username": SecretRef(env="VC_USER"),
    "password": SecretRef(env="VC_PASSWORD"),
}


def endpoint(**changes: SettingValue | None) -> EndpointSettings:
    settings = {key: value for key, value in (SOUND | changes).items() if value is not None}
    return EndpointSettings(name="vc", provider="vsphere", settings=settings)


def test_sound_settings_have_no_problem_and_sensible_defaults():
    assert provider.check_settings(endpoint()) == ()
    read = decode(endpoint())
    assert (read.port, read.tls_verify, read.disk_access, read.fingerprint) == (443, True, "auto", None)


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"server": None}, "server"),
        ({"username": None}, "username"),
        ({"password": None}, "password"),
        ({"password": "plain"}, "password"),
        ({"servre": "x"}, "servre"),
        ({"fingerprint": "ab:cd"}, "fingerprint"),
        ({"ca_file": "/ca.pem", "fingerprint": "ab" * 32}, "fingerprint"),
        ({"tls_verify": False, "ca_file": "/ca.pem"}, "tls_verify"),
        ({"disk_access": "guess"}, "disk_access"),
        ({"guest_username": "x"}, "guest_username"),
        ({"guest_password": SecretRef(env="X")}, "guest_username"),
    ],
)
def test_each_fault_is_named_where_it_is(changes, path):
    found = provider.check_settings(endpoint(**changes))
    assert [problem.path for problem in found] == [f"endpoints.vc.{path}"]
    assert found[0].hint


def test_plain_password_is_not_repeated():
    found = provider.check_settings(endpoint(password="Pl4in"))
    assert "Pl4in" not in str(found)


def test_fingerprint_is_read_however_it_is_written():
    written = ":".join(["AB"] * 32)
    assert decode(endpoint(fingerprint=written)).fingerprint == "ab" * 32
