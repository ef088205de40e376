"""`ferry`, with one thing left out: what the guest's disks hold is not read, a constant stands for it.

Called as `python -m tests.bench.apply_without_identity PROVIDER plan apply CS.json`. Reading the identity is
left out whole: the snapshot's base is not opened and no parser is started, since these disks are empty.
Everything else is the real command.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import orchestrator.cli.main
from orchestrator.app import runs
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


def collect(_disks: Sequence[FrozenDisk]) -> ServerFacts:
    """Return the constant."""
    return FACTS


@contextmanager
def open_nothing(*_: object) -> Iterator[tuple[FrozenDisk, ...]]:
    """Stand in for the frozen disks."""
    yield ()


if __name__ == "__main__":
    runs.collect_offline = collect
    named = sys.argv.pop(1)
    # Only the SDK of the provider that is measured is imported: the command has to do that anyway.
    source = importlib.import_module(f"providers.{named}.disksource")
    getattr(source, f"{named.capitalize()}DiskSource").open_frozen = open_nothing
    orchestrator.cli.main.main()
