"""One open libvirt: every role over one connection, or only the reading ones over a connection that libvirtd
keeps from writing."""

from pathlib import Path

from orchestrator.contract.provider import Capability, ResolveSecret
from orchestrator.model.endpoint import EndpointSettings
from providers.kvm.claims import KvmClaims
from providers.kvm.disksource import KvmDiskSource
from providers.kvm.guests import KvmGuests
from providers.kvm.images import Images
from providers.kvm.inventory import KvmInventory
from providers.kvm.isolation import KvmIsolation
from providers.kvm.link import Link
from providers.kvm.power import KvmPower
from providers.kvm.preflight import REMOVABLE_SINCE, KvmPreflight
from providers.kvm.snapshots import KvmSnapshots
from providers.kvm.staging import KvmStaging

_EVERYWHERE = frozenset(
    {
        Capability.INVENTORY,
        Capability.POWER,
        Capability.CLAIMS,
        Capability.SNAPSHOT_CRASH,
        Capability.SNAPSHOT_OFFLINE,
        Capability.ISOLATE_UNPLUGGED,
        Capability.ISOLATE_SEALED,
        Capability.ISOLATE_FILTERED,
        Capability.CREATE_NETWORK,
        Capability.GUEST_CHANNEL,
    }
)
_LOCAL = frozenset({Capability.DISK_SOURCE, Capability.STAGE_OVERLAY, Capability.STAGE_FULL})
"""Need the files of the machine that libvirtd runs on."""


class KvmReader:
    """The contract's Reader. Connects when made; raises ProviderError when that fails."""

    def __init__(self, endpoint: EndpointSettings, *, read_only: bool = True) -> None:
        settings = endpoint.settings
        folder = settings.get("images")
        self._accelerator = str(settings.get("domain_type", ""))
        self._link = Link(endpoint.name, str(settings["uri"]), read_only=read_only)
        self._images = Images(self._link, Path(str(folder)) if folder else None)
        self._inventory = KvmInventory(self._link, self._images)
        self._preflight = KvmPreflight(self._link, self._inventory, self._accelerator)
        self._capabilities = self._declared()

    @property
    def capabilities(self) -> frozenset[Capability]:
        """See the contract."""
        return self._capabilities

    @property
    def inventory(self) -> KvmInventory:
        """See the contract."""
        return self._inventory

    @property
    def preflight(self) -> KvmPreflight:
        """See the contract."""
        return self._preflight

    def close(self) -> None:
        """See the contract."""
        self._link.close()

    def _declared(self) -> frozenset[Capability]:
        version = self._link.read("ask for libvirt's version", lambda: self._link.conn().getLibVersion())
        removal = {Capability.SNAPSHOT_REMOVE} if version >= REMOVABLE_SINCE else set()
        return _EVERYWHERE | removal | (_LOCAL if self._link.local else frozenset())


class KvmAdapter(KvmReader):
    """The contract's Adapter."""

    def __init__(self, endpoint: EndpointSettings, secrets: ResolveSecret) -> None:
        super().__init__(endpoint, read_only=False)
        self._power = KvmPower(self._link, self._inventory)
        self._claims = KvmClaims(self._link)
        self._snapshots = KvmSnapshots(self._link, self._inventory, self._preflight)
        self._isolation = KvmIsolation(self._link, self._inventory)
        self._disks = KvmDiskSource(self._link, self._inventory, self._snapshots, self._images)
        self._staging = KvmStaging(self._link, self._inventory, self._accelerator, secrets)
        self._guests = KvmGuests(self._link)

    @property
    def power(self) -> KvmPower:
        """See the contract."""
        return self._power

    @property
    def claims(self) -> KvmClaims:
        """See the contract."""
        return self._claims

    @property
    def snapshots(self) -> KvmSnapshots:
        """See the contract."""
        return self._snapshots

    @property
    def isolation(self) -> KvmIsolation:
        """See the contract."""
        return self._isolation

    @property
    def disks(self) -> KvmDiskSource:
        """See the contract."""
        return self._disks

    @property
    def staging(self) -> KvmStaging:
        """See the contract."""
        return self._staging

    @property
    def guests(self) -> KvmGuests:
        """See the contract."""
        return self._guests
