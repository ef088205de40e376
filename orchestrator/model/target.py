"""The staged 2022/2025 replacement and the golden image it comes from."""

from datetime import timedelta
from enum import StrEnum

from pydantic import Field

from orchestrator.model.base import Material, Value
from orchestrator.model.machine import Firmware
from orchestrator.model.network import NetworkSpec
from orchestrator.model.secret import SecretRef


class CopyMode(StrEnum):
    """How the target's disk comes from the golden image."""

    OVERLAY = "overlay"
    FULL = "full"


class StaticAddress(Value):
    """A fixed address of the target: `ip` in CIDR form."""

    ip: str
    gateway: str | None = None
    dns: tuple[str, ...] = ()


class Placement(Value):
    """Where a target is put (vSphere): names or inventory paths; None is left to the endpoint where only one
    is possible."""

    datacenter: str | None = None
    cluster: str | None = None
    pool: str | None = None
    folder: str | None = None
    datastore: str | None = None


class DomainJoin(Value):
    """The domain that a target joins at its first boot, and who may let it in."""

    name: str
    username: str | SecretRef
    password: SecretRef


class TargetSpec(Value):
    """What is staged. `vm` is the new machine's name; nothing of that name may exist. `address` None is
    DHCP."""

    endpoint: str
    release: int
    """2022 or 2025."""
    image: str
    copy_mode: CopyMode = CopyMode.OVERLAY
    vm: str
    cpus: int = Field(default=2, ge=1)
    memory_bytes: int = Field(default=4 * 1024**3, gt=0)
    network: NetworkSpec
    computer_name: str
    admin_password: SecretRef
    address: StaticAddress | None = None
    placement: Placement = Placement()
    workgroup: str | None = None
    domain: DomainJoin | None = None
    time_zone: str | None = None
    """By its Windows name ("W. Europe Standard Time")."""
    first_boot_limit: timedelta = timedelta(minutes=15)
    """How long the first boot may take until the guest agent confirms the computer name; an answer medium
    stays in the machine no longer."""


class GoldenImage(Value):
    """A golden image that the provider can stage from. `firmware` None: it could not be told from the
    image."""

    name: Material[str]
    id: Material[str]
    """The provider's identity of it (a path, a template's moref, an image urn)."""
    size_bytes: Material[int]
    format: str
    firmware: Firmware | None = None


class StagedTarget(Value):
    """What staging gave: the machine's permanent id, our token on it, and a fingerprint of its definition
    for the undo check."""

    endpoint: str
    id: str
    name: str
    token: str
    fingerprint: str
    disks: tuple[str, ...]
    medium: str | None
    """The answer medium while it is in the machine; None where the hypervisor needs none."""
    customizes: bool = False
    """Without a medium: whether the hypervisor itself gives the answers at the first boot, which is waited
    for."""
