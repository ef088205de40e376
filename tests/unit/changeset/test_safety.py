"""What makes a change set stale, and what does not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from orchestrator.changeset.safety import material_differences
from orchestrator.model.machine import GuestOs, Machine, PowerState, Snapshot
from orchestrator.model.network import Network
from tests.unit.builders import a_disk, a_host_change, a_machine, a_nic

OURS = "ferry.r1.FILE01.snapshot"


def differences(now: Machine, *, before: Machine | None = None, **options: Any) -> tuple[str, ...]:
    observed = a_host_change(source=before or a_machine(), networks=options.pop("had", ()))
    image = options.pop("image", observed.image)
    return material_differences(
        observed, now, options.pop("networks", ()), image, lambda token: token == OURS, **options
    )


def a_snapshot(token: str | None, name: str = "s1") -> Snapshot:
    return Snapshot(
        id=name, name=name, token=token, created_at=datetime(2026, 1, 1, tzinfo=UTC), consistency=None
    )


def test_an_unchanged_world_is_not_stale() -> None:
    assert differences(a_machine()) == ()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"power": PowerState.OFF}, "power was on, is off"),
        ({"nics": (a_nic(network="network:lan2"),)}, "network was network:default, is network:lan2"),
        ({"nics": (a_nic(link_up=False),)}, "link_up was True, is False"),
        ({"nics": (a_nic(), a_nic("52:54:00:00:00:02"))}, "52:54:00:00:00:02 is new"),
        ({"nics": ()}, "52:54:00:12:34:56 is gone"),
        ({"disks": (a_disk(base="/elsewhere.qcow2"),)}, "base was"),
        ({"disks": (a_disk(size_bytes=1),)}, "size_bytes was"),
        ({"machine_type": "q35"}, "machine_type was"),
        ({"snapshots": (a_snapshot(None),)}, "snapshot 's1' is new"),
        ({"snapshots": (a_snapshot("ferry.other.state.snapshot"),)}, "snapshot 's1' is new"),
    ],
)
def test_a_material_change_is_named(changes: dict[str, Any], words: str) -> None:
    found = differences(a_machine(**changes))
    assert len(found) == 1
    assert words in found[0]
    assert "file01" in found[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"snapshots": (a_snapshot(OURS),)},
        {"disks": (a_disk(source="/overlay", chain=("/overlay", "/var/lib/libvirt/images/hda.qcow2")),)},
        {"disks": (a_disk(used_bytes=1),)},
        {"guest": GuestOs(build="6003")},
        {"notes": ("moved",)},
        {"cpus": 8},
    ],
)
def test_an_informational_change_is_not_stale(changes: dict[str, Any]) -> None:
    assert differences(a_machine(**changes)) == ()


def test_a_replaced_machine_of_the_same_name_is_stale() -> None:
    other = a_machine().ref.model_copy(update={"id": "another"})
    assert any("id was" in line for line in differences(a_machine(ref=other)))


def test_our_snapshot_that_a_job_removed_meanwhile_is_not_stale() -> None:
    assert differences(a_machine(), before=a_machine(snapshots=(a_snapshot(OURS),))) == ()


def test_a_foreign_snapshot_that_is_gone_is_named() -> None:
    found = differences(a_machine(), before=a_machine(snapshots=(a_snapshot(None),)))
    assert found == ("file01: snapshot 's1' is gone",)


def test_cards_that_this_run_has_moved_are_left_out_when_told_so() -> None:
    moved = a_machine(nics=(a_nic(network="network:quarantine"),))
    assert differences(moved, ignore={"nics"}) == ()


def a_network(**changes: Any) -> Network:
    fields: dict[str, Any] = {"name": "quarantine", "id": "n1", "bridge": "virbr7", "uplink": None}
    return Network(**fields | changes)


def test_a_network_that_got_an_uplink_is_named() -> None:
    found = differences(a_machine(), had=(a_network(),), networks=(a_network(uplink="nat"),))
    assert found == ("network 'quarantine': uplink was nothing, is nat",)


@pytest.mark.parametrize(("token", "stale"), [(OURS, False), (None, True), ("ferry.foreign", True)])
def test_a_network_that_appeared_is_stale_unless_it_is_ours(token: str | None, stale: bool) -> None:
    assert bool(differences(a_machine(), networks=(a_network(token=token),))) is stale


def test_a_golden_image_that_changed_or_went_is_named() -> None:
    image = a_host_change().image
    assert image is not None
    assert "size_bytes" in differences(a_machine(), image=image.model_copy(update={"size_bytes": 1}))[0]
    assert differences(a_machine(), image=None) == ("golden image 'win2025-golden' is gone",)
