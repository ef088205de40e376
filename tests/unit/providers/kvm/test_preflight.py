"""Which disks a snapshot can hold, judged on an observed machine."""

from __future__ import annotations

import pytest

from orchestrator.model.machine import Consistency, Disk, PowerState
from providers.kvm.overlays import overlay_path, token_mark
from providers.kvm.preflight import _consistency, _disk, snapshot_disks
from tests.unit import builders


def disk(**changes: object) -> Disk:
    plain = Disk(
        key="hda", bus="ide", base="/img/a.qcow2", format="qcow2", source="/img/a.qcow2",
        chain=("/img/a.qcow2",), size_bytes=1,
    )  # fmt: skip
    return plain.model_copy(update=changes)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"raw_passthrough": True}, "passed through raw"),
        ({"shared": True}, "shared with another machine"),
        ({"source": "rbd:pool/a"}, "no image file"),
        ({"source": ""}, "nothing is no image file"),
        ({"chain": ("/o",) * 8 + ("/img/a",)}, "8 is the limit"),
    ],
)
def test_disk_that_cannot_be_snapshotted_says_why(changes: dict[str, object], part: str) -> None:
    (finding,) = _disk(disk(**changes))
    assert not finding.ok
    assert part in finding.detail


@pytest.mark.parametrize("changes", [{}, {"format": "raw"}, {"chain": ("/o",) * 7 + ("/img/a",)}])
def test_ordinary_disk_is_fine(changes: dict[str, object]) -> None:
    (finding,) = _disk(disk(**changes))
    assert finding.ok


def test_what_the_guest_cannot_write_is_left_out() -> None:
    writable = disk()
    machine = builders.a_machine().model_copy(
        update={"disks": (writable, disk(key="hdc", cdrom=True), disk(key="hdd", read_only=True))}
    )
    assert snapshot_disks(machine) == (writable,)


@pytest.mark.parametrize(
    ("consistency", "power", "ok"),
    [
        (Consistency.CRASH, PowerState.ON, True),
        (Consistency.CRASH, PowerState.OFF, True),
        (Consistency.OFFLINE, PowerState.OFF, True),
        (Consistency.OFFLINE, PowerState.ON, False),
        (Consistency.OFFLINE, PowerState.PAUSED, False),
        (Consistency.APPLICATION, PowerState.ON, False),
        (Consistency.MEMORY, PowerState.ON, False),
    ],
)
def test_consistency_that_is_possible(consistency: Consistency, power: PowerState, ok: bool) -> None:
    machine = builders.a_machine().model_copy(update={"power": power})
    assert _consistency(machine, consistency).ok is ok


def test_overlay_lies_beside_the_image_that_is_written_and_bears_the_token() -> None:
    here, other = overlay_path(disk(), "t1"), overlay_path(disk(key="hdb"), "t1")
    assert here == f"/img/a.qcow2.{token_mark('t1', 'hda')}"
    assert len({here, other, overlay_path(disk(), "t2")}) == 3
    moved = disk(source="/fast/top", chain=("/fast/top", "/img/a.qcow2"))
    assert overlay_path(moved, "t1").startswith("/fast/a.qcow2.")
