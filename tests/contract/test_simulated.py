"""The simulated provider passes the shared suite: complete, and with as little declared as can be."""

import pytest

from orchestrator.contract.conformance import *  # noqa: F403
from orchestrator.contract.provider import Capability
from providers.simulated.settings import MODELLED
from tests.rigs.simulated_rig import SimulatedRig

BARE = ",".join(sorted(MODELLED - {Capability.INVENTORY}))


@pytest.fixture(params=["", BARE], ids=["complete", "bare"])
def rig(request, tmp_path):
    return SimulatedRig(tmp_path, without=request.param)
