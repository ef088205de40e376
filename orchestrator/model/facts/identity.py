"""Which Windows it is, and what it belongs to."""

from enum import StrEnum

from orchestrator.model.base import Value


class ProductType(StrEnum):
    """ProductOptions\\ProductType / Win32_OperatingSystem.ProductType."""

    WORKSTATION = "workstation"
    DOMAIN_CONTROLLER = "domain-controller"
    SERVER = "server"


class Membership(Value):
    """The Active Directory domain or the workgroup. `name` is the domain's DNS name where it is known."""

    domain: bool
    name: str


class Identity(Value):
    """Which Windows. Fields are as stored, cleaned; None is unknown."""

    version: str | None
    """"6.0", "10.0"."""
    build: int | None
    revision: int | None = None
    """UBR, from Windows 10 on."""
    product_name: str | None
    """As shown to people; it may be edited, so no verdict rests on it."""
    edition: str | None
    product_type: ProductType | None
    arch: str | None
    """x86, x64, ia64, arm64."""
    service_pack: str | None
    installation_type: str | None = None
    hostname: str | None
    sku: int | None = None
    """OperatingSystemSKU, where it is stored or asked for (7 Standard, 13 Standard Core ...)."""
    core: bool | None = None
    """Server Core: no desktop."""
    language: str | None = None
    """Of the installation: "en-US", "de-DE"."""
    membership: Membership | None = None
