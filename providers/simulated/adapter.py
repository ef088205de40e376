"""Puts the roles together. A reader has no attribute that could change anything."""

from orchestrator.contract.provider import CONTRACT_VERSION, Adapter, Capability, Reader, ResolveSecret
from orchestrator.diagnostics import Diagnostic, InvalidInput
from orchestrator.model.endpoint import EndpointSettings
from providers.simulated import settings
from providers.simulated.claims import SimClaims
from providers.simulated.guests import SimGuests
from providers.simulated.inventory import SimInventory
from providers.simulated.isolation import SimIsolation
from providers.simulated.power import SimPower
from providers.simulated.preflight import SimPreflight
from providers.simulated.site import Site
from providers.simulated.snapshots import SimDiskSource, SimSnapshots
from providers.simulated.staging import SimStaging
from providers.simulated.store import World


class SimReader:
    """Implements Reader."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.capabilities: frozenset[Capability] = site.capabilities
        self.inventory = SimInventory(site)
        self.preflight = SimPreflight(site)

    def close(self) -> None:
        """Refuse all further calls. Repeatable."""
        self._site.closed = True


class SimAdapter(SimReader):
    """Implements Adapter."""

    def __init__(self, site: Site, secrets: ResolveSecret) -> None:
        super().__init__(site)
        self.power = SimPower(site)
        self.claims = SimClaims(site)
        self.snapshots = SimSnapshots(site)
        self.isolation = SimIsolation(site)
        self.disks = SimDiskSource(site)
        self.staging = SimStaging(site, secrets)
        self.guests = SimGuests(site)


class SimProvider:
    """Implements Provider."""

    name = "simulated"
    contract_version = CONTRACT_VERSION

    def check_settings(self, endpoint: EndpointSettings) -> tuple[Diagnostic, ...]:
        """Say what is wrong with the settings."""
        return settings.check(endpoint)

    def open_reader(self, endpoint: EndpointSettings, secrets: ResolveSecret) -> Reader:  # noqa: ARG002
        """Open the centre's file for reading. Raises ProviderError (NOT_FOUND, PERMANENT), InvalidInput."""
        return SimReader(self._site(endpoint))

    def open(self, endpoint: EndpointSettings, secrets: ResolveSecret) -> Adapter:
        """Open the centre's file. Raises ProviderError (NOT_FOUND, PERMANENT), InvalidInput."""
        return SimAdapter(self._site(endpoint), secrets)

    def _site(self, endpoint: EndpointSettings) -> Site:
        if problems := settings.check(endpoint):
            raise InvalidInput(problems)
        checked = settings.decode(endpoint)
        site = Site(World(checked.world), endpoint.name, checked.latency, checked.capabilities)
        site.read("provider.open")
        return site
