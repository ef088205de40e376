"""Endpoints: one vCenter, one libvirt URI, one Azure subscription with its resource group."""

from collections.abc import Mapping

from orchestrator.model.base import Value
from orchestrator.model.secret import SecretRef

SettingValue = str | bool | int | SecretRef


class EndpointSettings(Value):
    """One endpoint of the plan: `settings` holds what its provider needs ("uri", "server", ...), secrets as
    references."""

    name: str
    provider: str
    max_parallel: int = 2
    settings: Mapping[str, SettingValue] = {}


class EndpointInfo(Value):
    """What an endpoint says of itself. `identity` is stable and the same for whoever connects; `notes` are
    for `ferry doctor`."""

    identity: str
    product: str
    version: str
    notes: tuple[str, ...] = ()
