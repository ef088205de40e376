"""What vCenter is told for a target's first boot: sysprep's answers, addresses; and how the end of it reads.
Pure.

The specification holds passwords in clear, and pyvmomi shows them in its repr: it is made right before the
call that takes it, handed to nothing else, and never kept.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pyVmomi import vim

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.provider import ResolveSecret
from orchestrator.model.target import StaticAddress, TargetSpec
from orchestrator.model.time_zones import DEFAULT, TIME_ZONES
from providers.vsphere.faults import permanent
from providers.vsphere.settings import opened

_c = vim.vm.customization

WORKGROUP = "WORKGROUP"
"""For a target that names neither a workgroup nor a domain: Windows' own default."""
_OWNER = "Windows User"
"""Whom Windows is registered to: sysprep wants some words there."""
_LOGS = r"%WINDIR%\System32\Sysprep\Panther and %WINDIR%\Temp\vmware-imc"
_ENDS = (
    "CustomizationSucceeded",
    "CustomizationFailed",
    "CustomizationSysprepFailed",
    "CustomizationNetworkSetupFailed",
    "CustomizationLinuxIdentityFailed",
    "CustomizationUnknownFailure",
)
EVENT_TYPES = tuple(f"{prefix}{name}" for name in _ENDS for prefix in ("", "vim.event."))
"""Names, short and whole, of the events that end a customization."""


@dataclass(frozen=True, slots=True)
class Opened:
    """Secrets of a target in clear. Not in its repr."""

    admin_password: str = field(repr=False)
    domain_username: str = field(default="", repr=False)
    domain_password: str = field(default="", repr=False)


def open_secrets(spec: TargetSpec, secrets: ResolveSecret) -> Opened:
    """Look the secrets up. Raises ProviderError that names the reference, never the value."""
    admin, domain = opened(spec.admin_password, secrets), spec.domain
    if domain is None:
        return Opened(admin)
    return Opened(admin, opened(domain.username, secrets), opened(domain.password, secrets))


def specification(spec: TargetSpec, secrets: Opened) -> Any:
    """Return the customization of a target with one network card."""
    return _c.Specification(
        options=_c.WinOptions(changeSID=True, deleteAccounts=False, reboot="reboot"),
        identity=_c.Sysprep(
            userData=_c.UserData(
                computerName=_c.FixedName(name=spec.computer_name),
                fullName=_OWNER,
                orgName=spec.domain.name if spec.domain else spec.workgroup or WORKGROUP,
                productId="",
            ),
            guiUnattended=_c.GuiUnattended(
                password=_clear(secrets.admin_password),
                timeZone=zone_index(spec.time_zone),
                autoLogon=False,
                autoLogonCount=0,
            ),
            identification=_membership(spec, secrets),
        ),
        globalIPSettings=_c.GlobalIPSettings(),
        nicSettingMap=[_c.AdapterMapping(adapter=_addresses(spec.address))],
    )


def zone_index(name: str | None) -> int:
    """Return a zone's index. Raises ProviderError (PERMANENT) for one that has none."""
    wanted = name or DEFAULT
    if wanted not in TIME_ZONES:
        message = f"time zone {wanted} has no index that sysprep takes"
        raise permanent(message, f"use one that has, such as {DEFAULT}")
    return TIME_ZONES[wanted]


def succeeded(machine: str, events: Iterable[Any]) -> bool:
    """Tell whether the last of these events is a success; False where there is none yet. Raises ProviderError
    (PERMANENT) where it is a failure."""
    ends = [
        e for e in events if isinstance(e, (vim.event.CustomizationSucceeded, vim.event.CustomizationFailed))
    ]
    if not ends:
        return False
    last = max(ends, key=lambda event: int(event.key))
    if isinstance(last, vim.event.CustomizationFailed):
        raise _failed(machine, last)
    return True


def _failed(machine: str, event: Any) -> ProviderError:
    name = type(event).__name__.rpartition(".")[2]
    words = _one_line(event.fullFormattedMessage) or _one_line(getattr(event, "reason", None))
    message = f"the customization of {machine} failed: {name}{f' ({words})' if words else ''}"
    where = _one_line(getattr(event, "logLocation", None))
    hint = f"its logs lie in the guest: {_LOGS}{f'; vCenter names {where}' if where else ''}"
    return ProviderError(ErrorKind.PERMANENT, message, hint=hint, sdk_code=name)


def _one_line(text: Any) -> str:
    return " ".join(str(text or "").split())[:300]


def _clear(password: str) -> Any:
    return _c.Password(value=password, plainText=True)


def _membership(spec: TargetSpec, secrets: Opened) -> Any:
    if spec.domain is None:
        return _c.Identification(joinWorkgroup=spec.workgroup or WORKGROUP)
    return _c.Identification(
        joinDomain=spec.domain.name,
        domainAdmin=secrets.domain_username,
        domainAdminPassword=_clear(secrets.domain_password),
    )


def _addresses(address: StaticAddress | None) -> Any:
    if address is None:
        return _c.IPSettings(ip=_c.DhcpIpGenerator())
    own = ipaddress.ip_interface(address.ip)
    gateway = [address.gateway] if address.gateway else []
    names = list(address.dns)
    if isinstance(own, ipaddress.IPv6Interface):
        fixed = _c.FixedIpV6(ipAddress=str(own.ip), subnetMask=own.network.prefixlen)
        v6 = _c.IPSettings.IpV6AddressSpec(ip=[fixed], gateway=gateway)
        return _c.IPSettings(ip=_c.DhcpIpGenerator(), ipV6Spec=v6, dnsServerList=names)
    return _c.IPSettings(
        ip=_c.FixedIp(ipAddress=str(own.ip)),
        subnetMask=str(own.netmask),
        gateway=gateway,
        dnsServerList=names,
    )
