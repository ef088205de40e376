"""The answer file and its medium: escaped, complete, private."""

from __future__ import annotations

import base64
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from orchestrator.model.target import StaticAddress
from providers.kvm.medium import answer_file, write_medium

N = "{urn:schemas-microsoft-com:unattend}"
V4 = StaticAddress(ip="198.51.100.20/24", gateway="198.51.100.1", dns=("198.51.100.2",))
V6 = StaticAddress(ip="2001:db8::20/64", gateway="2001:db8::1", dns=("2001:db8::2",))
PASSWORD = "pw"
MAC = "52:54:00:0a:0b:0c"


def answers(
    address: StaticAddress | None = None, name: str = "NEW01", *, secret: str = PASSWORD
) -> ET.Element:
    return ET.fromstring(answer_file(name, secret, address, MAC))  # noqa: S314  # our own


@pytest.mark.parametrize("password", ["<&>\"'", "пароль", "x" * 100, "]]>"])
def test_password_is_encoded_as_windows_expects(password: str) -> None:
    value = answers(secret=password).findtext(f".//{N}AdministratorPassword/{N}Value")
    assert base64.b64decode(value).decode("utf-16-le") == password + "AdministratorPassword"
    assert password.encode() not in answer_file("N", password, None, MAC)


def test_computer_name_is_escaped() -> None:
    assert answers(name="<A&B>").findtext(f".//{N}ComputerName") == "<A&B>"


def test_dhcp_writes_no_address() -> None:
    assert answers().find(f".//{N}Interface") is None


@pytest.mark.parametrize(
    ("address", "family", "prefix"),
    [
        (V4, "Ipv4Settings", "0.0.0.0/0"),
        (V6, "Ipv6Settings", "::/0"),
    ],
)
def test_static_address_is_given_to_the_one_card(address: StaticAddress, family: str, prefix: str) -> None:
    root = answers(address)
    identifiers = {e.text for e in root.iterfind(f".//{N}Interface/{N}Identifier")}
    assert identifiers == {"52-54-00-0A-0B-0C"}
    assert root.findtext(f".//{N}{family}/{N}DhcpEnabled") == "false"
    assert root.findtext(f".//{N}UnicastIpAddresses/{N}IpAddress") == address.ip
    assert root.findtext(f".//{N}Route/{N}Prefix") == prefix
    assert root.findtext(f".//{N}Route/{N}NextHopAddress") == address.gateway
    assert root.findtext(f".//{N}DNSServerSearchOrder/{N}IpAddress") == address.dns[0]


def test_medium_is_private_and_never_overwrites(tmp_path: Path) -> None:
    medium = tmp_path / "a.iso"
    write_medium(medium, b"content")
    assert medium.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        write_medium(medium, b"other")
