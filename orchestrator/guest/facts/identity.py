"""Which Windows it is. Only reports what is stored; the verdict is `lifecycle.verdict`'s."""

import re

from orchestrator.guest.clean import NAME, clean
from orchestrator.guest.facts.editions import core, language_tag, sku
from orchestrator.guest.facts.membership import membership
from orchestrator.guest.registry import RegistryKey, number, text
from orchestrator.model.facts import Identity, ProductType

_PRODUCT_TYPES = {
    "winnt": ProductType.WORKSTATION,
    "servernt": ProductType.SERVER,
    "lanmannt": ProductType.DOMAIN_CONTROLLER,
}
_ARCHITECTURES = {"x86": "x86", "amd64": "x64", "ia64": "ia64", "arm64": "arm64"}


def control_set(system: RegistryKey) -> RegistryKey | None:
    """Return the control set in use, as Select\\Current says; None where it does not. Never a guess."""
    current = number(system.subkey("Select"), "Current")
    return system.subkey(f"ControlSet{current:03d}") if current else None


def identity(
    software: RegistryKey | None,
    control: RegistryKey | None,
    kernel_arch: str | None = None,
    *,
    security: RegistryKey | None = None,
    explorer: bool | None = None,
) -> tuple[Identity, tuple[str, ...]]:
    """Return the identity and what is odd about it.

    `software`: root of SOFTWARE; `control`: the control set in use; `kernel_arch`: the kernel file's own;
    `security`: root of SECURITY; `explorer`: whether the desktop's program is there.
    """
    warnings: list[str] = []
    windows = software.subkey(r"Microsoft\Windows NT\CurrentVersion") if software else None
    product = text(control.subkey(r"Control\ProductOptions"), "ProductType") if control else None
    names = control.subkey(r"Control\ComputerName\ComputerName") if control else None
    language = text(control.subkey(r"Control\Nls\Language"), "InstallLanguage") if control else None
    edition, installation = _line(windows, "EditionID"), _line(windows, "InstallationType")
    found = Identity(
        version=_version(windows),
        build=_build(windows, warnings),
        revision=number(windows, "UBR"),
        product_name=_line(windows, "ProductName"),
        edition=edition,
        product_type=_PRODUCT_TYPES.get((product or "").lower()),
        arch=_arch(control, kernel_arch, warnings),
        service_pack=_line(windows, "CSDVersion"),
        installation_type=installation,
        hostname=_line(names, "ComputerName"),
        sku=sku(edition),
        core=core(installation, edition, explorer),
        language=language_tag(language),
        membership=membership(security, control, software),
    )
    return found, tuple(warnings)


def _line(key: RegistryKey | None, name: str) -> str | None:
    return clean(text(key, name) or "", NAME) or None


def _version(windows: RegistryKey | None) -> str | None:
    """CurrentVersion stays at "6.3" from Windows 10 on, where two numbers tell the truth."""
    major, minor = number(windows, "CurrentMajorVersionNumber"), number(windows, "CurrentMinorVersionNumber")
    if major is not None and minor is not None:
        return f"{major}.{minor}"
    stored = _line(windows, "CurrentVersion")
    return stored if stored and re.fullmatch(r"[0-9]{1,3}\.[0-9]{1,3}", stored) else None


def _build(windows: RegistryKey | None, warnings: list[str]) -> int | None:
    stored = [_line(windows, name) for name in ("CurrentBuildNumber", "CurrentBuild")]
    builds = [int(value) for value in stored if value and re.fullmatch(r"[0-9]{1,6}", value)]
    if len(set(builds)) > 1:
        warnings.append(
            f"CurrentBuildNumber says {builds[0]}, CurrentBuild says {builds[1]}: the first is taken"
        )
    return builds[0] if builds else None


def _arch(control: RegistryKey | None, kernel: str | None, warnings: list[str]) -> str | None:
    environment = control.subkey(r"Control\Session Manager\Environment") if control else None
    stored = _ARCHITECTURES.get((text(environment, "PROCESSOR_ARCHITECTURE") or "").lower())
    if kernel and stored and kernel != stored:
        warnings.append(f"the registry says {stored}, the kernel file is {kernel}: the kernel is taken")
    return kernel or stored
