"""Mutated disks and images end in facts or in a clear error, within the sandbox's limits."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable

import pytest

from orchestrator.diagnostics import FerryError
from orchestrator.guest.offline import collect_offline
from orchestrator.sandbox import Limits
from tests.fuzz.cases import End, Material, PatchedDisk, ended, material, run_all
from tests.rigs.peak import Peak

SAMPLE = 150
SOAK = 2000
BATCH = 200
LIMIT_MIB = Limits().memory / 1024**2


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return material(tmp_path_factory.mktemp("material"))


def told(ends: Iterable[End], peak: Peak) -> str:
    ends = list(ends)
    counts = ", ".join(f"{how} {count}" for how, count in Counter(end.how for end in ends).most_common())
    slowest = max(ends, key=lambda end: end.seconds)
    return (
        f"{len(ends)} cases: {counts}; slowest {slowest.seconds:.1f} s ({slowest.case}); "
        f"peak {peak.one:.0f} MiB"
    )


def wrong(ends: Iterable[End]) -> list[str]:
    return [f"{end.case}: {end.wrong}" for end in ends if end.wrong]


def test_unmutated_material_gives_facts(one: Material) -> None:
    """Else all cases would end in the same error, and prove nothing."""
    found = [collect_offline([PatchedDisk(land.data, [], len(land.data))]) for land in one.disks]
    assert [facts.identity.build for facts in found] == [6002, 26100, 6002]
    assert [facts.identity.product_type is not None for facts in found] == [True] * 3
    assert sum("log entr" in warning for warning in found[2].warnings) == 2
    assert "Newest" in {service.name for service in found[2].services or ()}


def test_the_harness_tells_bad_ends_from_good_ones() -> None:
    def fails(fault: Exception) -> str:
        def call() -> None:
            raise fault

        return ended(call)[1]

    assert fails(FerryError("the disk is cut short", code="damaged-volume")) == ""
    assert "ValueError" in fails(ValueError("x"))
    assert "did not mean to" in fails(FerryError("it failed: TypeError at ntfs.py:118", code="sandbox-crash"))
    assert "not fit" in fails(FerryError("", code="damaged-volume"))
    assert ended(lambda: None) == ("facts", "no facts")


def test_the_memory_watch_sees_a_child() -> None:
    hungry = "import sys; kept = b'x' * (90 << 20); sys.stdin.read()"
    with (
        Peak() as peak,
        subprocess.Popen([sys.executable, "-c", hungry], stdin=subprocess.PIPE) as child,
    ):
        until = time.monotonic() + 30
        while peak.one < 90 and time.monotonic() < until:
            time.sleep(0.01)
        child.communicate()
    assert 90 <= peak.one < 200


@pytest.mark.timeout(600)
def test_a_fixed_sample_of_mutations_ends_well(one: Material) -> None:
    with Peak() as peak:
        ends = run_all(one, range(SAMPLE))
    print(told(ends, peak))
    assert wrong(ends) == []
    assert peak.one < LIMIT_MIB
    kinds = {end.how for end in ends}
    assert {"facts", "no-single-system"} < kinds, "the mutations are too weak or too strong to prove much"


@pytest.mark.soak
def test_two_thousand_mutations_and_more_end_well(one: Material) -> None:
    seed = int(os.environ.get("FERRY_SOAK_SEED", "0"))
    until = time.monotonic() + 60 * float(os.environ.get("FERRY_SOAK_MINUTES", "10"))
    first = 1_000_000 * (seed + 1)
    ends: list[End] = []
    with Peak() as peak:
        while len(ends) < SOAK or time.monotonic() < until:
            ends += run_all(one, range(first + len(ends), first + len(ends) + BATCH))
            assert wrong(ends) == [], f"FERRY_SOAK_SEED={seed}: {told(ends, peak)}"
    print(f"FERRY_SOAK_SEED={seed}: {told(ends, peak)}")
    assert peak.one < LIMIT_MIB
