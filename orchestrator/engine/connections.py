"""The open connections of one process: one to each endpoint, opened when it is first needed."""

import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.provider import Adapter, Provider, ResolveSecret
from orchestrator.diagnostics import FerryError
from orchestrator.model.endpoint import EndpointSettings

DENIED_SECONDS = 60.0
"""How long a login that was refused is not tried again. Each host of a run would try it, and a directory
locks an account after a few: vCenter's own after five in three minutes."""


class Connections:
    """Adapters by endpoint. Shared between threads."""

    def __init__(
        self,
        providers: Mapping[str, Provider],
        secrets: ResolveSecret,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._providers = providers
        self._secrets = secrets
        self._elapsed = elapsed
        self._guard = threading.Lock()
        self._opening: dict[str, threading.Lock] = {}
        self._open: dict[str, Adapter] = {}
        self._forgotten: list[Adapter] = []
        self._denied: dict[str, tuple[float, ProviderError]] = {}

    def to(self, settings: EndpointSettings) -> Adapter:
        """Return the one open connection to an endpoint. Raises ProviderError, FerryError (no such
        provider)."""
        key = _key(settings)
        with self._guard:
            opening = self._opening.setdefault(key, threading.Lock())
        with opening:
            found = self._open.get(key)
            if found is None:
                found = self._opened(key, settings)
                with self._guard:
                    self._open[key] = found
            return found

    def forget(self, settings: EndpointSettings) -> None:
        """Open a new connection next time: this one does not answer. Steps that still use it keep it."""
        with self._guard:
            found = self._open.pop(_key(settings), None)
            if found is not None:
                self._forgotten.append(found)

    def close(self) -> None:
        """Close all. Repeatable."""
        with self._guard:
            found = [*self._forgotten, *self._open.values()]
            self._forgotten, self._open = [], {}
        for adapter in found:
            adapter.close()

    def _opened(self, key: str, settings: EndpointSettings) -> Adapter:
        provider = self._providers.get(settings.provider)
        if provider is None:
            message = f"this worker has no provider {settings.provider!r} for endpoint {settings.name}"
            raise FerryError(
                message, hint="start the worker where the provider is installed", code="provider-missing"
            )
        at, denied = self._denied.get(key, (float("-inf"), None))
        if denied is not None and self._elapsed() - at < DENIED_SECONDS:
            raise ProviderError(denied.kind, denied.message, hint=denied.hint, sdk_code=denied.sdk_code)
        try:
            return provider.open(settings, self._secrets)
        except ProviderError as error:
            if error.kind is ErrorKind.DENIED:
                self._denied[key] = self._elapsed(), error
            raise


def _key(settings: EndpointSettings) -> str:
    values: dict[str, Any] = settings.model_dump(mode="json", include={"name", "provider", "settings"})
    return json.dumps(values, sort_keys=True)
