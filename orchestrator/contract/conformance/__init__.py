"""The shared conformance suite of the provider contract: what every adapter has to pass. Plain pytest,
nothing else.

An adapter's own test file gives one fixture, `rig` (see `rig.Rig`), and imports the suite:

    import pytest
    from orchestrator.contract.conformance import *

    @pytest.fixture
    def rig(tmp_path):
        with MyRig(tmp_path) as rig:
            yield rig

That is all: the classes `Test...` are collected where they are imported, and the fixtures `adapter`, `reader`
and `ledger` come along. A slow adapter may give `rig` a wider scope, as long as `Rig.name` never repeats a
name.

A capability that the adapter declares is tested; for one that it does not declare the same tests assert
UNSUPPORTED. Nothing is skipped.
"""

from pathlib import Path

import pytest

# Before the modules are imported: without it a failing assert in them says nothing but "AssertionError".
pytest.register_assert_rewrite(
    *(f"{__name__}.{path.stem}" for path in Path(__file__).parent.glob("*.py") if path.stem != "__init__")
)

from orchestrator.contract.conformance.capabilities import TestCapabilities  # noqa: E402
from orchestrator.contract.conformance.claims import TestClaims  # noqa: E402
from orchestrator.contract.conformance.disksource import TestDiskSource  # noqa: E402
from orchestrator.contract.conformance.errors import TestErrors  # noqa: E402
from orchestrator.contract.conformance.fixtures import adapter, ledger, reader  # noqa: E402
from orchestrator.contract.conformance.guests import TestGuestChannel  # noqa: E402
from orchestrator.contract.conformance.inventory import TestInventory  # noqa: E402
from orchestrator.contract.conformance.isolation import TestIsolation  # noqa: E402
from orchestrator.contract.conformance.networks import TestNetworks  # noqa: E402
from orchestrator.contract.conformance.power import TestPower  # noqa: E402
from orchestrator.contract.conformance.snapshot_removal import TestSnapshotRemoval  # noqa: E402
from orchestrator.contract.conformance.snapshots import TestSnapshots  # noqa: E402
from orchestrator.contract.conformance.staging import TestStaging  # noqa: E402
from orchestrator.contract.conformance.staging_removal import TestStagingRemoval  # noqa: E402

__all__ = [
    "TestCapabilities",
    "TestClaims",
    "TestDiskSource",
    "TestErrors",
    "TestGuestChannel",
    "TestInventory",
    "TestIsolation",
    "TestNetworks",
    "TestPower",
    "TestSnapshotRemoval",
    "TestSnapshots",
    "TestStaging",
    "TestStagingRemoval",
    "adapter",
    "ledger",
    "reader",
]
