"""The fixtures that the suites ask for; each rests on the fixture `rig` of the provider's own test file."""

from collections.abc import Iterator

import pytest

from orchestrator.contract.conformance.effect import Ledger
from orchestrator.contract.conformance.rig import Rig
from orchestrator.contract.conformance.support import with_planted_password
from orchestrator.contract.provider import Adapter, Reader


@pytest.fixture
def adapter(rig: Rig) -> Iterator[Adapter]:
    """Open the rig's endpoint for writing."""
    opened = rig.provider.open(rig.endpoint, with_planted_password(rig.secrets))
    yield opened
    opened.close()


@pytest.fixture
def reader(rig: Rig) -> Iterator[Reader]:
    """Open the rig's endpoint for reading."""
    opened = rig.provider.open_reader(rig.endpoint, rig.secrets)
    yield opened
    opened.close()


@pytest.fixture
def ledger() -> Ledger:
    """Return the ledger of one state."""
    return Ledger()
