"""The answer medium: an ISO image with an answer file for Windows set-up: computer name, address,
administrator password.

Nothing here is logged, and no error carries content: the password is in it, encoded as Windows does, which
hides nothing.
"""

import base64
import io
import ipaddress
import os
import xml.etree.ElementTree as ET
from pathlib import Path

import pycdlib

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.model.target import StaticAddress

_UNATTEND = "urn:schemas-microsoft-com:unattend"
_WCM = "http://schemas.microsoft.com/WMIConfig/2002/State"
_NAMES = ("Autounattend.xml", "Unattend.xml")
"""Set-up looks for the first, the specialise pass of an image that was generalised for the second."""
_PASSWORD_SALT = "AdministratorPassword"  # noqa: S105  # a constant of the format


def answer_file(computer_name: str, password: str, address: StaticAddress | None, mac: str) -> bytes:
    """Return the answer file; `address` None is DHCP, `mac` names the card that a static address is for."""
    ET.register_namespace("", _UNATTEND)
    ET.register_namespace("wcm", _WCM)
    root = ET.Element(_tag("unattend"))
    specialize = ET.SubElement(root, _tag("settings"), {"pass": "specialize"})
    _leaf(_component(specialize, "Microsoft-Windows-Shell-Setup"), "ComputerName", computer_name)
    if address is not None:
        _static(specialize, address, mac.replace(":", "-").upper())
    oobe = ET.SubElement(root, _tag("settings"), {"pass": "oobeSystem"})
    shell = _component(oobe, "Microsoft-Windows-Shell-Setup")
    accounts = ET.SubElement(shell, _tag("UserAccounts"))
    secret = ET.SubElement(accounts, _tag("AdministratorPassword"))
    encoded = base64.b64encode((password + _PASSWORD_SALT).encode("utf-16-le")).decode()
    _leaf(secret, "Value", encoded)
    _leaf(secret, "PlainText", "false")
    welcome = ET.SubElement(shell, _tag("OOBE"))
    for question in ("HideEULAPage", "HideLocalAccountScreen", "HideOnlineAccountScreens"):
        _leaf(welcome, question, "true")
    _leaf(welcome, "ProtectYourPC", "3")
    return b'<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode").encode()


def write_medium(path: Path, content: bytes) -> None:
    """Write an ISO image that holds the answer file. The file is 0600 from its first byte on, and must not
    exist yet."""
    image = pycdlib.PyCdlib()
    image.new(interchange_level=3, joliet=3, vol_ident="FERRY")
    for number, name in enumerate(_NAMES):
        image.add_fp(io.BytesIO(content), len(content), f"/ANSWER{number}.XML;1", joliet_path=f"/{name}")
    whole = io.BytesIO()
    try:
        image.write_fp(whole)
    except pycdlib.pycdlibexception.PyCdlibException:
        message = f"the answer medium {path} cannot be made"
        raise ProviderError(ErrorKind.PERMANENT, message) from None
    finally:
        image.close()
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(handle, "wb") as file:  # noqa: PTH123  # a descriptor, opened with its mode
        file.write(whole.getbuffer())


def _static(settings: ET.Element, address: StaticAddress, card: str) -> None:
    own = ipaddress.ip_interface(address.ip)
    stack = ET.SubElement(_component(settings, "Microsoft-Windows-TCPIP"), _tag("Interfaces"))
    interface = _item(stack, "Interface")
    _leaf(interface, "Identifier", card)
    family = ET.SubElement(interface, _tag(f"Ipv{own.version}Settings"))
    _leaf(family, "DhcpEnabled", "false")
    _key_value(ET.SubElement(interface, _tag("UnicastIpAddresses")), "IpAddress", "1", str(own))
    if address.gateway is not None:
        route = _item(ET.SubElement(interface, _tag("Routes")), "Route")
        _leaf(route, "Identifier", "0")
        _leaf(route, "Prefix", "0.0.0.0/0" if own.version == 4 else "::/0")
        _leaf(route, "NextHopAddress", address.gateway)
    if address.dns:
        _servers(settings, address.dns, card)


def _servers(settings: ET.Element, servers: tuple[str, ...], card: str) -> None:
    client = ET.SubElement(_component(settings, "Microsoft-Windows-DNS-Client"), _tag("Interfaces"))
    interface = _item(client, "Interface")
    _leaf(interface, "Identifier", card)
    order = ET.SubElement(interface, _tag("DNSServerSearchOrder"))
    for number, server in enumerate(servers, start=1):
        _key_value(order, "IpAddress", str(number), server)


def _component(settings: ET.Element, name: str) -> ET.Element:
    return ET.SubElement(
        settings,
        _tag("component"),
        name=name,
        processorArchitecture="amd64",
        publicKeyToken="31bf3856ad364e35",
        language="neutral",
        versionScope="nonSxS",
    )


def _item(parent: ET.Element, name: str) -> ET.Element:
    return ET.SubElement(parent, _tag(name), {f"{{{_WCM}}}action": "add"})


def _key_value(parent: ET.Element, name: str, key: str, value: str) -> None:
    attributes = {f"{{{_WCM}}}action": "add", f"{{{_WCM}}}keyValue": key}
    ET.SubElement(parent, _tag(name), attributes).text = value


def _leaf(parent: ET.Element, name: str, text: str) -> None:
    ET.SubElement(parent, _tag(name)).text = text


def _tag(name: str) -> str:
    return f"{{{_UNATTEND}}}{name}"
