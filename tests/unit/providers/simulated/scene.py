"""A small centre and an open adapter on it, for the tests beside this file."""

from __future__ import annotations

from pathlib import Path

from orchestrator.contract.conformance.support import PASSWORD
from orchestrator.contract.provider import Adapter
from orchestrator.model.endpoint import EndpointSettings
from providers.simulated import World, provider


def connect(world: World, **settings: str | int) -> Adapter:
    endpoint = EndpointSettings(
        name="sim", provider="simulated", settings={"world": str(world.path)} | settings
    )
    return provider.open(endpoint, lambda ref: PASSWORD)


def make(folder: Path) -> World:
    return World.create(folder / "centre.json")
