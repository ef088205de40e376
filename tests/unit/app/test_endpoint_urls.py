"""Endpoints named by URL: what they become, and that a password in one is refused and not shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.app.endpoint_urls import Asked, parse_urls
from orchestrator.diagnostics import InvalidInput
from orchestrator.model.secret import SecretRef

VCENTER = "vsphere://CORP%5Cops@vc-berlin.example.net"


def one(url: str) -> Asked:
    (asked,) = parse_urls([url])
    return asked


def problems(*urls: str) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        parse_urls(urls)
    return [str(d) for d in caught.value.diagnostics]


@pytest.mark.parametrize("uri", ["qemu:///system", "qemu+ssh://root@kvm7.example.net/system?no_tty=1"])
def test_a_libvirt_uri_is_taken_as_it_is(uri: str) -> None:
    asked = one(uri)
    assert (asked.settings.provider, asked.settings.settings) == ("kvm", {"uri": uri})


def test_a_vcenter_with_everything() -> None:
    asked = one(f"{VCENTER}:8443/DC%201/Branch/Old?ca_file=ca.pem&password_env=VC_PASSWORD")
    assert asked.settings.name == "vc-berlin"
    assert asked.settings.settings == {
        "server": "vc-berlin.example.net",
        "port": 8443,
        "username": "CORP\\ops",
        "password": SecretRef(env="VC_PASSWORD"),
        "ca_file": str(Path("ca.pem").absolute()),
        "datacenter": "DC 1",
    }
    assert asked.folder == ("Branch", "Old")


@pytest.mark.parametrize(
    ("query", "password"),
    [
        ("password_keyring=ferry/ops", SecretRef(keyring="ferry/ops")),
        ("password_file=/run/secrets/vc", SecretRef(file="/run/secrets/vc")),
    ],
)
def test_other_places_for_the_password(query: str, password: SecretRef) -> None:
    assert one(f"{VCENTER}?{query}").settings.settings["password"] == password


def test_a_user_with_a_domain_needs_no_escapes() -> None:
    asked = one("vsphere://administrator@vsphere.local@vc.example.net?password_env=P&fingerprint=aa:bb")
    assert asked.settings.settings["username"] == "administrator@vsphere.local"
    assert asked.settings.settings["fingerprint"] == "aa:bb"


def test_names_differ_where_first_words_do_not() -> None:
    first, second, third = parse_urls(
        ["qemu+ssh://lab.a.example/system", "qemu+ssh://lab.b.example/system", "simulated:///x/lab.json"]
    )
    assert [a.settings.name for a in (first, second, third)] == ["lab", "lab-2", "lab-3"]
    assert len(parse_urls(["qemu:///system", "qemu:///system"])) == 1
    assert parse_urls(["qemu:///system"], taken={"kvm"})[0].settings.name == "kvm-2"


@pytest.mark.parametrize(
    "url",
    [
        "vsphere://ops:Hunter2hunter@vc.example.net/DC?password_env=P",
        "vsphere://ops@vc.example.net?password=Hunter2hunter",
        "vsphere://ops@vc.example.net?Passwd=Hunter2hunter",
        "qemu+tls://ops:Hunter2hunter@kvm7/system",
        "https://ops:Hunter2hunter@vc.example.net/sdk",
    ],
)
def test_a_password_is_refused_with_a_hint_and_never_shown(url: str) -> None:
    (said,) = problems(url)
    assert "must not hold a password" in said
    assert "password_env=VC_PASSWORD" in said
    assert "Hunter2" not in said


def test_every_wrong_url_is_told_at_once() -> None:
    told = problems(
        "https://vc.example.net",
        "vsphere://vc.example.net?password_env=P",
        f"{VCENTER}",
        f"{VCENTER}?password_env=P&password_file=x",
        f"{VCENTER}?password_env=P&cafile=x",
        f"{VCENTER}?password_env=P&tls_verify=maybe",
        "vsphere://ops@?password_env=P",
        "vsphere://ops@vc:99999?password_env=P",
        "simulated://x/world.json",
        "azure://sub",
        "file01\x1b[31m",
        "",
    )
    assert [said.split(": ", 1)[1].partition(";")[0] for said in told] == [
        "https:// leads to nothing that is searched",
        "it names nobody who logs in",
        "no password is referred to",
        "two passwords are referred to",
        "cafile is not known here",
        "tls_verify is neither true nor false",
        "no vCenter is named",
        "it is no URL",
        "it names no file",
        "azure:// leads to nothing that is searched",
        "it is no URL of an endpoint",
        "it is no URL of an endpoint",
    ]
    assert told[0].startswith("URL 1: ")
