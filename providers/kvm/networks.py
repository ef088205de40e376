"""libvirt networks as XML: which ones ferry makes, whether one fits what a plan wants. Pure.

A network that ferry made bears its token in the metadata element; libvirt keeps that text as it is.
"""

import xml.etree.ElementTree as ET

from orchestrator.contract.ownership import Owner
from orchestrator.model.network import IsolationMode, Network, NetworkSpec
from providers.kvm.cards import parse

_NAMESPACE = "urn:ferry6003:network"
_MARK = f"{{{_NAMESPACE}}}network"
_DETACHABLE = {None, "nat", "route", "open", "bridge"}


def network_xml(spec: NetworkSpec, token: str) -> str:
    """Return the definition of a network that fits `spec`, bearing `token`.

    A bridge and nothing else: no address, no uplink, no spanning tree (which would send frames of the host's
    to the guests). Filtered: no bridge of its own, the uplink bridge that is there already.
    """
    ET.register_namespace("ferry", _NAMESPACE)
    network = ET.Element("network")
    ET.SubElement(network, "name").text = spec.name
    ET.SubElement(ET.SubElement(network, "metadata"), _MARK, token=token)
    if spec.mode is IsolationMode.FILTERED:
        ET.SubElement(network, "forward", mode="bridge")
        ET.SubElement(network, "bridge", name=spec.uplink or "")
    else:
        ET.SubElement(network, "bridge", stp="off", delay="0")
    if spec.mode is IsolationMode.SEALED:
        # Whatever is attached to it later is kept from its neighbours, too.
        ET.SubElement(network, "port", isolated="yes")
    return ET.tostring(network, encoding="unicode")


def owner_of(text: str) -> Owner | None:
    """Return whose a network is that ferry made."""
    mark = parse(text).find(f"metadata/{_MARK}")
    token = None if mark is None else mark.get("token")
    return None if mark is None or token is None else Owner(token, mark.get("former"))


def owned(text: str, owner: Owner) -> str:
    """Return the definition of a network that ferry made, owned by another step."""
    ET.register_namespace("ferry", _NAMESPACE)
    root = parse(text)
    for element in root.iterfind(f"metadata/{_MARK}"):
        element.attrib = {"token": owner.token} | ({} if owner.former is None else {"former": owner.former})
    return ET.tostring(root, encoding="unicode")


def to_network(text: str, *, active: bool) -> Network:
    """Read a network's XML."""
    root = parse(text)
    forward, bridge, mark = root.find("forward"), root.find("bridge"), root.find(f"metadata/{_MARK}")
    name = None if bridge is None else bridge.get("name")
    return Network(
        name=root.findtext("name", ""),
        id=root.findtext("uuid", ""),
        bridge=name,
        uplink=None if forward is None else _uplink(forward, name),
        addresses=tuple(_address(ip) for ip in root.findall("ip")),
        active=active,
        token=None if mark is None else mark.get("token"),
    )


def misfit(network: Network, spec: NetworkSpec) -> str | None:
    """Say why a network that is there is not what `spec` asks for; None when it fits."""
    if spec.mode is IsolationMode.FILTERED:
        wanted = f"bridge:{spec.uplink}"
        # Without a bridge of that name it is macvtap over a device of that name, which no bridge filter sees.
        fits = network.uplink == wanted and network.bridge == spec.uplink
        seen = (
            f"{network.uplink or 'none'}, on {f'bridge {network.bridge}' if network.bridge else 'no bridge'}"
        )
        return None if fits else f"its uplink is {seen}; the plan wants {wanted}"
    if spec.mode is not IsolationMode.SEALED:
        return None
    if network.uplink is not None:
        return f"it has an uplink ({network.uplink}); a sealed network has none"
    if network.addresses:
        return f"the host has an address on it ({', '.join(network.addresses)}); a sealed network has none"
    return None if network.bridge else "it has no bridge of its own"


def detachable(text: str) -> bool:
    """Tell whether a running card can be moved off this network: only where it is a tap on a bridge."""
    root = parse(text)
    forward = root.find("forward")
    mode = None if forward is None else forward.get("mode", "nat")
    return mode in _DETACHABLE and root.find("bridge") is not None


def _uplink(forward: ET.Element, bridge: str | None) -> str:
    mode = forward.get("mode", "nat")
    if mode == "bridge" and bridge is not None:
        return f"bridge:{bridge}"
    interface = forward.find("interface")
    device = forward.get("dev") or (None if interface is None else interface.get("dev"))
    return f"{mode}:{device}" if device else mode


def _address(ip: ET.Element) -> str:
    return f"{ip.get('address', '')}/{ip.get('prefix') or ip.get('netmask') or '?'}"
