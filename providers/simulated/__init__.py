"""A simulated data centre: machines, networks, snapshots and disks that exist in files only.

It behaves as a hypervisor does, refuses states that cannot be, and fails on demand, so that examples and
tests run the real program without one. The endpoint's setting `world` names the centre's file; make one with
`World.create(PATH)`, put machines into it with `World.add_machine(...)`, change it as another administrator
would with `with world.edit() as centre:`. Nothing here touches a real machine.
"""

from orchestrator.contract.provider import Provider
from providers.simulated.adapter import SimProvider
from providers.simulated.invariants import ImpossibleState
from providers.simulated.store import World
from providers.simulated.world import Centre, FaultKind, FaultRule

provider: Provider = SimProvider()

__all__ = ["Centre", "FaultKind", "FaultRule", "ImpossibleState", "World", "provider"]
