"""One open vCenter: every role over one session, or only the reading ones."""

from orchestrator.contract.provider import Capability, ResolveSecret
from orchestrator.model.endpoint import EndpointSettings
from providers.vsphere.claims import VsphereClaims
from providers.vsphere.disksource import VsphereDiskSource
from providers.vsphere.guests import VsphereGuests
from providers.vsphere.inventory import VsphereInventory
from providers.vsphere.isolation import VsphereIsolation
from providers.vsphere.link import Link
from providers.vsphere.power import VspherePower
from providers.vsphere.preflight import VspherePreflight
from providers.vsphere.snapshots import VsphereSnapshots
from providers.vsphere.staging import VsphereStaging

CAPABILITIES = frozenset(Capability) - {Capability.ISOLATE_FILTERED, Capability.STAGE_OVERLAY}
"""No packet filter of ours: a distributed filter is NSX's, a standard portgroup has none. No linked clones: a
target that needs its template's disk for ever is none to rely on."""


class VsphereReader:
    """The contract's Reader. Connects when made; raises ProviderError when that fails."""

    def __init__(self, endpoint: EndpointSettings, secrets: ResolveSecret) -> None:
        self._link = Link(endpoint, secrets)
        self._link.open()
        self._inventory = VsphereInventory(self._link)
        self._preflight = VspherePreflight(self._link, self._inventory)
        guests = self._link.settings.guest_username is not None
        self._capabilities = CAPABILITIES if guests else CAPABILITIES - {Capability.GUEST_CHANNEL}

    @property
    def capabilities(self) -> frozenset[Capability]:
        """See the contract."""
        return self._capabilities

    @property
    def inventory(self) -> VsphereInventory:
        """See the contract."""
        return self._inventory

    @property
    def preflight(self) -> VspherePreflight:
        """See the contract."""
        return self._preflight

    def close(self) -> None:
        """See the contract."""
        self._link.close()


class VsphereAdapter(VsphereReader):
    """The contract's Adapter."""

    def __init__(self, endpoint: EndpointSettings, secrets: ResolveSecret) -> None:
        super().__init__(endpoint, secrets)
        self._power = VspherePower(self._link, self._inventory)
        self._claims = VsphereClaims(self._link, self._inventory)
        self._snapshots = VsphereSnapshots(self._link, self._inventory, self._preflight)
        self._isolation = VsphereIsolation(self._link, self._inventory)
        self._disks = VsphereDiskSource(self._link, self._inventory)
        self._staging = VsphereStaging(self._link, self._inventory)
        self._guests = VsphereGuests(self._link, self._inventory)

    @property
    def power(self) -> VspherePower:
        """See the contract."""
        return self._power

    @property
    def claims(self) -> VsphereClaims:
        """See the contract."""
        return self._claims

    @property
    def snapshots(self) -> VsphereSnapshots:
        """See the contract."""
        return self._snapshots

    @property
    def isolation(self) -> VsphereIsolation:
        """See the contract."""
        return self._isolation

    @property
    def disks(self) -> VsphereDiskSource:
        """See the contract."""
        return self._disks

    @property
    def staging(self) -> VsphereStaging:
        """See the contract."""
        return self._staging

    @property
    def guests(self) -> VsphereGuests:
        """See the contract."""
        return self._guests
