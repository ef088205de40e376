"""Impossible states are refused, and a refused change leaves the centre's file as it was."""

import pytest

from orchestrator.model.machine import Consistency, Firmware, PowerState
from providers.simulated import ImpossibleState, World
from providers.simulated.invariants import impossibilities
from providers.simulated.snapshots import freeze
from providers.simulated.world import Attachment, SimFilter, SimNic


@pytest.fixture
def world(tmp_path):
    world = World.create(tmp_path / "centre.json")
    world.add_machine("a", running=True, disks=[1024**2])
    world.add_machine("b", disks=[1024**2], networks=["prod", "prod"])
    image = tmp_path / "golden.raw"
    image.write_bytes(bytes(4096))
    world.add_image("golden", image, firmware=Firmware.BIOS)
    return world


def same_mac(a, b, centre):
    b.nics[0].mac = a.nics[0].mac


def upper_case_mac(a, b, centre):
    a.nics[0].mac = a.nics[0].mac.upper().replace("02", "0A")


def same_name(a, b, centre):
    b.name = a.name


def wrong_id(a, b, centre):
    centre.machines["other"] = centre.machines.pop(a.id)


def same_image(a, b, centre):
    b.disks[0].chain = list(a.disks[0].chain)


def writes_golden(a, b, centre):
    b.disks[0].chain = [centre.images["golden"].path]


def on_without_live_card(a, b, centre):
    a.nics[0].live = None


def off_with_live_card(a, b, centre):
    b.nics[0].live = b.nics[0].config


def lost_network(a, b, centre):
    del centre.networks["prod"]


def lost_filter(a, b, centre):
    a.nics[0].config.filter = "none"


def filter_of_nobody(a, b, centre):
    centre.filters["f"] = SimFilter(name="f", machine="x", flows=[], addresses=[], token="t")


def lost_uplink(a, b, centre):
    centre.uplinks = []


def no_image(a, b, centre):
    a.disks[0].chain = []


def loop(a, b, centre):
    a.disks[0].chain *= 2


def odd_size(a, b, centre):
    a.disks[0].size_bytes = 1000


def too_deep(a, b, centre):
    a.disks[0].chain = [f"/image-{number}" for number in range(centre.chain_limit + 1)]


def overlay_outside_the_chain(a, b, centre):
    freeze(a, "s", "s", None, {})
    a.snapshots[0].overlays = {"hda": "/elsewhere"}


def orphan_snapshot(a, b, centre):
    freeze(a, "s", "s", None, {})
    a.snapshots[0].parent = "never"


def twin_snapshots(a, b, centre):
    freeze(a, "s1", "s", None, {})
    freeze(a, "s2", "s", None, {})


def too_little_room(a, b, centre):
    centre.capacity_bytes = 1024


def twin_disks(a, b, centre):
    a.disks.append(a.disks[0].model_copy(update={"chain": ["/other"]}))


IMPOSSIBLE = {
    same_mac: "MAC address",
    upper_case_mac: "lower case",
    same_name: "machine name a exists 2 times",
    wrong_id: "another id",
    same_image: "written image",
    writes_golden: "written image",
    on_without_live_card: "live state",
    off_with_live_card: "live state",
    lost_network: "network:prod does not exist",
    lost_filter: "filter none does not exist",
    filter_of_nobody: "belongs to no machine",
    lost_uplink: "which does not exist",
    no_image: "has no image",
    loop: "loop",
    odd_size: "sectors",
    too_deep: "deeper than 8",
    overlay_outside_the_chain: "not in its chain",
    orphan_snapshot: "parent",
    twin_snapshots: "snapshot name",
    too_little_room: "more than there is room for",
    twin_disks: "disk hda exists 2 times",
}


@pytest.mark.parametrize("spoil", IMPOSSIBLE, ids=lambda spoil: spoil.__name__)
def test_impossible_state_is_refused_and_the_file_stays(world, spoil):
    before = world.path.read_bytes()
    with pytest.raises(ImpossibleState) as refusal, world.edit() as centre:
        spoil(centre.by_name("a"), centre.by_name("b"), centre)
    assert any(IMPOSSIBLE[spoil] in reason for reason in refusal.value.reasons), refusal.value.reasons
    assert world.path.read_bytes() == before


def test_snapshot_on_a_passed_through_disk_is_impossible(world):
    with world.edit() as centre:
        freeze(centre.by_name("b"), "s", "s", None, {"hda": world.images / "overlay"})
    with pytest.raises(ImpossibleState, match="passed-through"), world.edit() as centre:
        centre.by_name("b").disks[0].raw_passthrough = True


def test_shared_image_may_be_written_by_two_that_say_so(world):
    with world.edit() as centre:
        a, b = centre.by_name("a"), centre.by_name("b")
        b.disks[0].chain = list(a.disks[0].chain)
        a.disks[0].shared = b.disks[0].shared = True
    assert impossibilities(world.read()) == ()


def test_sound_state_is_accepted(world):
    with world.edit() as centre:
        machine = centre.by_name("b")
        machine.power = PowerState.ON
        for nic in machine.nics:
            nic.live = nic.config.model_copy()
        machine.nics.append(
            SimNic(
                mac="02:00:00:00:00:09",
                config=Attachment(network="network:prod"),
                live=Attachment(network="network:prod", link_up=False),
            )
        )
        freeze(machine, "s", "s", None, {"hda": world.images / "overlay"})
    (snapshot,) = world.read().by_name("b").snapshots
    assert snapshot.consistency is Consistency.CRASH
