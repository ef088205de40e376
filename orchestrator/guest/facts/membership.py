"""The domain or workgroup that a machine belongs to.

The SECURITY hive decides: PolPrDmS holds the primary domain's identifier, and none in a workgroup. The shape
of PolPrDmN and PolDnDDN (a counted string: lengths, offset, text) is assumed from public tools that read
them. Nothing else of that hive is looked at: secrets are in it.
"""

import struct

from orchestrator.guest.clean import NAME, clean
from orchestrator.guest.facts.sids import sid_at
from orchestrator.guest.registry import RegistryKey, binary, text, utf16
from orchestrator.model.facts import Membership

_HEADER = 8


def membership(
    security: RegistryKey | None, control: RegistryKey | None, software: RegistryKey | None
) -> Membership | None:
    """Return the membership; None where it is unknown. A DNS suffix alone is no proof of a domain."""
    parameters = control.subkey(r"Services\Tcpip\Parameters") if control else None
    suffix = clean(text(parameters, "Domain") or text(parameters, "NV Domain") or "", NAME)
    policy = security.subkey("Policy") if security else None
    if policy is not None:
        short, dns = _counted(policy.subkey("PolPrDmN")), _counted(policy.subkey("PolDnDDN"))
        if sid_at(binary(policy.subkey("PolPrDmS"), "")):
            return Membership(domain=True, name=dns or suffix or short)
        return Membership(domain=False, name=short) if short else None
    history = r"Microsoft\Windows\CurrentVersion\Group Policy\History"
    domain = clean(text(software.subkey(history), "MachineDomain") or "", NAME) if software else ""
    return Membership(domain=True, name=domain) if domain else None


def _counted(key: RegistryKey | None) -> str:
    data = binary(key, "")
    if len(data) < _HEADER:
        return ""
    length, _, offset = struct.unpack_from("<HHI", data)
    return clean(utf16(data[offset : offset + length]), NAME) if offset + length <= len(data) else ""
