"""libvirt's XML and statistics become the contract's values, whatever state the machine is in."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.model.machine import Consistency, Firmware, PowerState
from providers.kvm import convert
from providers.kvm.chain import Layer
from providers.kvm.convert import Around

RUNNING = """
<domain type='kvm' id='7'>
  <name>file01</name>
  <uuid>11111111-2222-3333-4444-555555555555</uuid>
  <title>File server &lt;b&gt;Berlin&lt;/b&gt;</title>
  <memory unit='MiB'>2048</memory>
  <vcpu placement='static'>2</vcpu>
  <os><type arch='x86_64' machine='pc-i440fx-7.2'>hvm</type></os>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='/img/file01.s2' index='5'/>
      <backingStore type='file' index='4'>
        <format type='qcow2'/><source file='/img/file01.s1'/>
        <backingStore type='file' index='3'>
          <format type='raw'/><source file='/img/file01.img'/><backingStore/>
        </backingStore>
      </backingStore>
      <target dev='hda' bus='ide'/>
    </disk>
    <disk type='block' device='lun'>
      <driver name='qemu' type='raw'/><source dev='/dev/sdx'/><target dev='sda' bus='scsi'/>
    </disk>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/><source file='/img/quorum.img'/>
      <target dev='sdb' bus='scsi'/><shareable/>
    </disk>
    <disk type='file' device='cdrom'>
      <driver name='qemu'/><source index='9'/><target dev='hdc' bus='ide'/><readonly/>
    </disk>
    <hostdev mode='subsystem' type='scsi'>
      <source><adapter name='scsi_host2'/><address bus='0' target='0' unit='0'/></source>
    </hostdev>
    <interface type='network'>
      <mac address='52:54:00:AB:CD:EF'/><source network='lan' bridge='virbr0'/>
      <target dev='vnet3'/><model type='e1000'/><link state='down'/>
    </interface>
    <channel type='unix'>
      <target type='virtio' name='org.qemu.guest_agent.0' state='connected'/>
    </channel>
  </devices>
</domain>
"""
STATS = {
    "state.state": 1,
    "block.count": 2,
    "block.0.name": "hda",
    "block.0.capacity": 10737418240,
    "block.0.allocation": 4096,
    "block.1.name": "sda",
    "block.1.capacity": 512,
}


def nothing(layer: Layer) -> Layer | None:
    return None


def domain(disk: str = "", os: str = "<os><type arch='x86_64' machine='q35'>hvm</type></os>") -> str:
    head = "<name>x</name><uuid>u</uuid><memory>1</memory><vcpu>1</vcpu>"
    return f"<domain>{head}{os}<devices>{disk}</devices></domain>"


def qcow2(path: str) -> str:
    parts = f"<driver type='qcow2'/><source file='{path}'/><target dev='vda'/>"
    return f"<disk type='file' device='disk'>{parts}</disk>"


def machine(text: str = RUNNING, stats: dict[str, object] = STATS):
    return convert.to_machine("lab", text, Around(stats), nothing)


def test_machine_is_read_whole() -> None:
    got = machine()
    assert (got.ref.endpoint, got.ref.name) == ("lab", "file01")
    assert got.ref.id == "11111111-2222-3333-4444-555555555555"
    assert (got.power, got.firmware, got.arch) == (PowerState.ON, Firmware.BIOS, "x86_64")
    assert (got.cpus, got.memory_bytes, got.machine_type) == (2, 2 * 1024**3, "pc-i440fx-7.2")
    assert got.notes == ("File server <b>Berlin</b>",)


def test_chain_goes_from_what_is_written_to_the_base() -> None:
    disk = machine().disks[0]
    assert disk.chain == ("/img/file01.s2", "/img/file01.s1", "/img/file01.img")
    assert (disk.source, disk.base, disk.format) == ("/img/file01.s2", "/img/file01.img", "qcow2")
    assert (disk.size_bytes, disk.used_bytes) == (10737418240, 4096)


def test_passed_through_shared_and_removable_disks_are_told_apart() -> None:
    disks = {disk.key: disk for disk in machine().disks}
    assert disks["sda"].raw_passthrough
    assert disks["hostdev0"].raw_passthrough
    assert disks["hostdev0"].base == "hostdev:scsi_host2"
    assert disks["sdb"].shared
    assert not disks["sdb"].raw_passthrough
    assert (disks["hdc"].cdrom, disks["hdc"].read_only, disks["hdc"].source) == (True, True, "")
    assert disks["sdb"].size_bytes is None


def test_card_is_keyed_by_its_address_in_lower_case() -> None:
    (nic,) = machine().nics
    assert (nic.key, nic.network, nic.model, nic.link_up) == (
        "52:54:00:ab:cd:ef",
        "network:lan",
        "e1000",
        False,
    )


def test_images_below_are_asked_for_only_where_libvirt_does_not_say() -> None:
    asked: list[str] = []

    def below(layer: Layer) -> Layer | None:
        asked.append(layer.path)
        return {"/img/top": Layer("/img/base", "raw")}.get(layer.path)

    disk = qcow2("/img/top")
    convert.to_machine("lab", RUNNING, Around(STATS), below)
    assert "/img/file01.img" not in asked
    stopped = convert.to_machine("lab", domain(disk), Around({"state.state": 5}), below)
    assert stopped.disks[0].chain == ("/img/top", "/img/base")


def test_chain_that_bites_its_tail_ends() -> None:
    disk = qcow2("/a")
    turn = {"/a": "/b", "/b": "/a"}
    got = convert.layers(domain(disk), lambda layer: Layer(turn[layer.path], "qcow2"))
    assert [layer.path for layer in got["vda"]] == ["/a", "/b"]


@pytest.mark.parametrize(
    ("state", "power"),
    [(1, "on"), (2, "on"), (3, "paused"), (4, "on"), (5, "off"), (6, "off"), (7, "paused")],
)
def test_power_is_as_libvirt_says(state: int, power: str) -> None:
    assert machine(stats={"state.state": state}).power == power


@pytest.mark.parametrize(
    ("os", "firmware"),
    [
        ("<os><type>hvm</type></os>", Firmware.BIOS),
        ("<os><type>hvm</type><loader type='rom'>/usr/share/seabios.bin</loader></os>", Firmware.BIOS),
        ("<os firmware='efi'><type>hvm</type></os>", Firmware.UEFI),
        ("<os><type>hvm</type><loader type='pflash'>/OVMF.fd</loader></os>", Firmware.UEFI),
        (
            "<os><type>hvm</type><loader type='pflash' secure='yes'>/OVMF.fd</loader></os>",
            Firmware.UEFI_SECURE,
        ),
        (
            "<os firmware='efi'><firmware><feature enabled='yes' name='secure-boot'/></firmware></os>",
            Firmware.UEFI_SECURE,
        ),
        (
            "<os firmware='efi'><firmware><feature enabled='no' name='secure-boot'/></firmware></os>",
            Firmware.UEFI,
        ),
    ],
)
def test_firmware(os: str, firmware: Firmware) -> None:
    assert machine(domain(os=os), {}).firmware is firmware


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("<source protocol='rbd' name='pool/image'/>", "rbd:pool/image"),
        ("<source pool='default' volume='a.qcow2'/>", "volume:default/a.qcow2"),
    ],
)
def test_disk_that_is_no_file_says_so(source: str, shown: str) -> None:
    kind = "network" if "rbd" in source else "volume"
    disk = f"<disk type='{kind}' device='disk'>{source}<target dev='vda' bus='virtio'/></disk>"
    assert machine(domain(disk), {}).disks[0].source == shown


def test_job_under_way_is_named() -> None:
    disk = (
        "<disk type='file' device='disk'><source file='/a'/><target dev='hda'/>"
        "<mirror type='file' job='copy'><source file='/b'/></mirror></disk>"
    )
    assert machine(domain(disk), {}).busy == ("block job on hda: copy",)


SNAPSHOT = """
<domainsnapshot>
  <name>before-isolation</name>
  <description>{description}</description>
  <state>{state}</state>
  <creationTime>1795508804</creationTime>
  <parent><name>nightly</name></parent>
  <disks>
    <disk name='hda' snapshot='external' type='file'><source file='/img/o1'/></disk>
    <disk name='hdc' snapshot='no'/>
  </disks>
  <domain><devices>
    <disk><backingStore/><target dev='hda'/></disk>
  </devices></domain>
  {inactive}
</domainsnapshot>
"""


def snapshot(description: str = "", state: str = "shutoff", inactive: str = "") -> convert.SnapshotView:
    return convert.to_snapshot(SNAPSHOT.format(description=description, state=state, inactive=inactive))


def test_snapshot_is_read_with_its_overlays() -> None:
    view = snapshot("ferry token: ferry.run.host.snapshot", "disk-snapshot")
    assert view.snapshot.token == "ferry.run.host.snapshot"
    assert view.snapshot.consistency is Consistency.CRASH
    assert view.snapshot.created_at == datetime.fromtimestamp(1795508804, UTC)
    assert view.snapshot.parent == "nightly"
    assert view.overlays == {"hda": "/img/o1"}


@pytest.mark.parametrize(
    "description",
    ["", "nightly backup", "see ferry token: x.y", "ferry token: two words", "ferry token: "],
)
def test_description_that_is_not_ours_gives_no_token(description: str) -> None:
    assert snapshot(description).snapshot.token is None


@pytest.mark.parametrize(
    ("state", "consistency"), [("shutoff", "offline"), ("running", "memory"), ("odd", None)]
)
def test_consistency_is_told_by_the_state(state: str, consistency: str | None) -> None:
    assert snapshot(state=state).snapshot.consistency == consistency


def test_definition_that_counts_for_pinning_is_the_persistent_one() -> None:
    assert snapshot().pinned == frozenset({"hda"})
    bare = "<inactiveDomain><devices><disk><target dev='hda'/></disk></devices></inactiveDomain>"
    assert snapshot(inactive=bare).pinned == frozenset()


def test_what_a_guest_says_is_cleaned_and_cut() -> None:
    guest = convert.to_guest({"hostname": "a\x1b[31mb\n" + "x" * 500, "os.kernel-release": "20348"})
    assert "\x1b" not in guest.hostname
    assert "\n" not in guest.hostname
    assert len(guest.hostname) == 200
    assert guest.build == "20348"


def test_agent_counts_only_when_connected() -> None:
    assert convert.agent_connected(RUNNING)
    assert not convert.agent_connected(RUNNING.replace("state='connected'", "state='disconnected'"))


def test_xml_with_a_doctype_is_refused() -> None:
    bomb = '<!DOCTYPE d [<!ENTITY a "aaaa">]><domain><name>&a;</name></domain>'
    with pytest.raises(ProviderError) as info:
        machine(bomb, {})
    assert info.value.kind is ErrorKind.PERMANENT
