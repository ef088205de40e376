"""KVM through libvirt: the provider "kvm". This module must stay importable without libvirt-python: the SDK
is an extra.

Settings of an endpoint: `uri` (required), `images` (folder of the golden images), `domain_type` ("kvm" or
"qemu", for new machines; by
default KVM where libvirt offers it).
"""

import difflib
from collections.abc import Iterator
from urllib.parse import urlsplit

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.provider import CONTRACT_VERSION, Adapter, Reader, ResolveSecret
from orchestrator.diagnostics import Diagnostic
from orchestrator.model.endpoint import EndpointSettings

_KNOWN = ("uri", "images", "domain_type")
_DOMAIN_TYPES = ("kvm", "qemu")
_EXAMPLE = 'write for example uri: "qemu:///system"'


class KvmProvider:
    """The contract's Provider."""

    name = "kvm"
    contract_version = CONTRACT_VERSION

    def check_settings(self, endpoint: EndpointSettings) -> tuple[Diagnostic, ...]:
        """See the contract."""
        return tuple(_problems(endpoint))

    def open_reader(self, endpoint: EndpointSettings, secrets: ResolveSecret) -> Reader:  # noqa: ARG002
        """See the contract."""
        _check(self.check_settings(endpoint))
        try:
            from providers.kvm.adapter import KvmReader
        except ImportError as error:
            raise _missing(error) from error
        return KvmReader(endpoint)

    def open(self, endpoint: EndpointSettings, secrets: ResolveSecret) -> Adapter:
        """See the contract."""
        _check(self.check_settings(endpoint))
        try:
            from providers.kvm.adapter import KvmAdapter
        except ImportError as error:
            raise _missing(error) from error
        return KvmAdapter(endpoint, secrets)


provider = KvmProvider()


def _problems(endpoint: EndpointSettings) -> Iterator[Diagnostic]:
    for key in endpoint.settings:
        if key not in _KNOWN:
            close = difflib.get_close_matches(key, _KNOWN, n=1)
            hint = f"did you mean {close[0]}?" if close else f"known are: {', '.join(_KNOWN)}"
            yield _problem(
                "unknown-key", endpoint, key, f"endpoint {endpoint.name} has no setting {key}", hint
            )
    yield from _uri(endpoint)
    images = endpoint.settings.get("images")
    if images is not None and not (isinstance(images, str) and images.startswith("/")):
        yield _problem(
            "bad-value", endpoint, "images", "images is not an absolute path", "write a path from /"
        )
    kind = endpoint.settings.get("domain_type")
    if kind is not None and kind not in _DOMAIN_TYPES:
        hint = f"write one of: {', '.join(_DOMAIN_TYPES)}"
        yield _problem("bad-value", endpoint, "domain_type", f"{kind} is no domain type of QEMU", hint)


def _uri(endpoint: EndpointSettings) -> Iterator[Diagnostic]:
    uri = endpoint.settings.get("uri")
    if not isinstance(uri, str) or not uri:
        summary = f"endpoint {endpoint.name} has no libvirt URI"
        yield _problem("missing-key", endpoint, "uri", summary, _EXAMPLE)
    elif urlsplit(uri).scheme.partition("+")[0] != "qemu":
        yield _problem("bad-value", endpoint, "uri", f"{uri} is no URI of libvirt's QEMU driver", _EXAMPLE)


def _problem(code: str, endpoint: EndpointSettings, key: str, summary: str, hint: str) -> Diagnostic:
    return Diagnostic(code, summary, hint=hint, path=f"endpoints.{endpoint.name}.{key}")


def _check(problems: tuple[Diagnostic, ...]) -> None:
    if problems:
        message = "; ".join(str(problem) for problem in problems)
        raise ProviderError(ErrorKind.PERMANENT, message)


def _missing(error: ImportError) -> ProviderError:
    message = f"provider kvm needs: pip install ferry6003[kvm] ({error.name or error} is not installed)"
    return ProviderError(ErrorKind.UNSUPPORTED, message)
