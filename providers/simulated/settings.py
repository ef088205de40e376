"""The endpoint's settings: `world` (path of the centre's file), `latency_ms` (per call), `without`
(capabilities not to declare)."""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.contract.provider import Capability
from orchestrator.diagnostics import Diagnostic
from orchestrator.model.endpoint import EndpointSettings

KNOWN = ("world", "latency_ms", "without")

MODELLED = frozenset(Capability) - {
    Capability.SNAPSHOT_FILESYSTEM,
    Capability.SNAPSHOT_APPLICATION,
    Capability.SNAPSHOT_MEMORY,
    Capability.ISOLATE_SITE_FILTERED,
}
"""What the simulation models truthfully: no guest writes buffers out, no RAM is saved, no site
owns a filter."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Checked settings. `latency` is seconds."""

    world: Path
    latency: float
    capabilities: frozenset[Capability]


def check(endpoint: EndpointSettings) -> tuple[Diagnostic, ...]:
    """Say everything that is wrong; the file itself is not looked at."""
    return tuple(_problems(endpoint))


def _problems(endpoint: EndpointSettings) -> Iterator[Diagnostic]:
    for key in sorted(endpoint.settings.keys() - set(KNOWN)):
        near = difflib.get_close_matches(key, KNOWN, 1)
        hint = f"did you mean {near[0]}?" if near else f"known are: {', '.join(KNOWN)}"
        yield Diagnostic("unknown-key", f"{key} is not a setting of a simulated endpoint", hint, path=key)
    world = endpoint.settings.get("world")
    if not isinstance(world, str) or not world:
        yield Diagnostic(
            "missing", "a simulated endpoint needs its centre's file", "world: PATH", path="world"
        )
    latency = endpoint.settings.get("latency_ms", 0)
    if isinstance(latency, bool) or not isinstance(latency, int) or latency < 0:
        yield Diagnostic(
            "bad-value", "latency_ms is not a number of milliseconds", "latency_ms: 20", path="latency_ms"
        )
    for name in sorted(_without(endpoint) - {capability.value for capability in MODELLED}):
        hint = f"known are: {', '.join(sorted(MODELLED))}"
        yield Diagnostic(
            "bad-value", f"without: {name} is not a capability modelled here", hint, path="without"
        )


def _without(endpoint: EndpointSettings) -> set[str]:
    listed = endpoint.settings.get("without", "")
    return {name.strip() for name in str(listed).split(",") if name.strip()}


def decode(endpoint: EndpointSettings) -> Settings:
    """Return the settings of an endpoint that `check` finds nothing wrong with."""
    latency = endpoint.settings.get("latency_ms", 0)
    return Settings(
        world=Path(str(endpoint.settings["world"])),
        latency=(latency if isinstance(latency, int) else 0) / 1000,
        capabilities=MODELLED - {Capability(name) for name in _without(endpoint)},
    )
