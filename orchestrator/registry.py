"""Finds provider adapters by entry point, loads only those that are asked for, and says what is missing.

Names are listed without importing anything, so that one broken plugin does not break the others.
"""

from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points

from orchestrator.contract.provider import CONTRACT_VERSION, Provider
from orchestrator.diagnostics import FerryError

GROUP = "ferry6003.providers"

LATER = frozenset({"vsphere", "azure"})
"""Providers that the plan file knows and this release does not carry yet."""


class ProviderMissing(FerryError):
    """A provider that a plan names cannot be loaded."""

    code = "provider-missing"


def installed() -> Mapping[str, EntryPoint]:
    """Return the entry points by provider name. Raises FerryError when two distributions offer one name."""
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        other = found.get(point.name)
        if other is not None and other.value != point.value:
            message = f"provider {point.name!r} is offered twice: by {_dist(other)} and by {_dist(point)}"
            raise FerryError(message, hint="uninstall one of them", code="provider-twice")
        found[point.name] = point
    return found


def load(name: str) -> Provider:
    """Import one provider. Raises ProviderMissing with what to install."""
    point = installed().get(name)
    if point is None:
        known = ", ".join(sorted(installed())) or "none"
        hint = "it comes with a later release" if name in LATER else f"installed are: {known}"
        message = f"no provider {name!r} is installed"
        raise ProviderMissing(message, hint=hint)
    try:
        provider: Provider = point.load()
    except ImportError as error:
        message = f"provider {name!r} cannot be loaded: {error}"
        raise ProviderMissing(message, hint=f"pip install {_dist(point)}[{name}]") from None
    if provider.contract_version != CONTRACT_VERSION:
        theirs = provider.contract_version
        message = f"provider {name!r} follows contract {theirs}, this ferry {CONTRACT_VERSION}"
        raise ProviderMissing(message, hint=f"install a {_dist(point)} that fits this version")
    return provider


def load_all(names: Iterable[str]) -> dict[str, Provider]:
    """Load each provider named, once."""
    return {name: load(name) for name in sorted(set(names))}


def _dist(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.value
