"""The plan that the preview benches observe for."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.model.endpoint import EndpointSettings
from orchestrator.model.plan import ChangeRequest, Expect, PlanFile
from tests.unit.builders import a_host_plan


def sealing_plan(endpoint: EndpointSettings, names: Sequence[str]) -> PlanFile:
    """A plan that seals all of these off, on a network that is made."""
    hosts = [
        a_host_plan(name.upper(), vm=name, expect=Expect(), target=None, parity=None, wave="all")
        for name in names
    ]
    return PlanFile(
        path="plan.yaml",
        sha256="0" * 64,
        name="bench",
        owner="bench",
        change=ChangeRequest(),
        endpoints=(endpoint,),
        hosts=tuple(hosts),
        waves=("all",),
    )
