"""vSphere through pyvmomi: the provider "vsphere". This module must stay importable without pyvmomi: the
SDK is an extra. The settings of an endpoint are explained in `settings`."""

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.provider import CONTRACT_VERSION, Adapter, Reader, ResolveSecret
from orchestrator.diagnostics import Diagnostic
from orchestrator.model.endpoint import EndpointSettings
from providers.vsphere.settings import problems


class VsphereProvider:
    """The contract's Provider."""

    name = "vsphere"
    contract_version = CONTRACT_VERSION

    def check_settings(self, endpoint: EndpointSettings) -> tuple[Diagnostic, ...]:
        """See the contract."""
        return tuple(problems(endpoint))

    def open_reader(self, endpoint: EndpointSettings, secrets: ResolveSecret) -> Reader:
        """See the contract."""
        self._check(endpoint)
        try:
            from providers.vsphere.adapter import VsphereReader
        except ImportError as error:
            raise _missing(error) from error
        return VsphereReader(endpoint, secrets)

    def open(self, endpoint: EndpointSettings, secrets: ResolveSecret) -> Adapter:
        """See the contract."""
        self._check(endpoint)
        try:
            from providers.vsphere.adapter import VsphereAdapter
        except ImportError as error:
            raise _missing(error) from error
        return VsphereAdapter(endpoint, secrets)

    def _check(self, endpoint: EndpointSettings) -> None:
        wrong = self.check_settings(endpoint)
        if wrong:
            raise ProviderError(ErrorKind.PERMANENT, "; ".join(str(problem) for problem in wrong))


provider = VsphereProvider()


def _missing(error: ImportError) -> ProviderError:
    message = (
        f"provider vsphere needs: pip install ferry6003[vsphere] ({error.name or error} is not installed)"
    )
    return ProviderError(ErrorKind.UNSUPPORTED, message)
