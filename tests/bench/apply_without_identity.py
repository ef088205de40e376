"""`ferry`, with one thing left out: what the guest's disks hold is not read, a constant stands for it.

Called as `python -m tests.bench.apply_without_identity plan apply CS.json`. The snapshot's frozen base is
still opened and guarded as in a real run; only the parser that would look for a Windows on it is not
started, since these disks are empty. Everything else is the real command.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.app import runs
from orchestrator.cli.main import main
from orchestrator.contract.provider import FrozenDisk
from orchestrator.model.facts import Identity, Origin, ProductType, ServerFacts

FACTS = ServerFacts(
    origin=Origin.OFFLINE,
    identity=Identity(
        version="6.0",
        build=6003,
        product_name="Windows Server (R) 2008 Standard",
        edition="ServerStandard",
        product_type=ProductType.SERVER,
        arch="x64",
        service_pack="Service Pack 2",
        hostname=None,
    ),
)


def collect(disks: Sequence[FrozenDisk]) -> ServerFacts:
    """Return the constant. Raises AssertionError where a real run would have had no disk to read."""
    assert disks
    return FACTS


if __name__ == "__main__":
    runs.collect_offline = collect
    main()
