"""What the lab's simulated vCenter holds before ferry comes: networks, legacy servers, templates.

The servers' and templates' disks are those of the KVM lab (examples/kvm-lab/images): no Windows is in them,
so these guests do not boot; what their VMware Tools would report the simulator makes up.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab import programs
from lab.images import build

if TYPE_CHECKING:
    from tests.rigs.vcsim import Vcsim

OFFICE = "Office"
SEALED_SWITCH = "Sealed-Switch"
CLUSTER = "/DC0/host/DC0_C0"
IMAGES = ("file01", "app02", "decoy-2008r2", "win2022-golden", "win2025-golden")

_SERVERS: tuple[dict[str, Any], ...] = (
    {
        "name": "FILE01",
        "image": "file01",
        "bus": "scsi",
        "guest_id": "winLonghorn64Guest",
        "guest": {
            "hostname": "FILE01",
            "full_name": "Microsoft Windows Server 2008 (64-bit)",
            "id": "winLonghorn64Guest",
            "build": "6003",
        },
    },
    {
        "name": "APP02",
        "image": "app02",
        "bus": "ide",
        "guest_id": "winLonghornGuest",
        "guest": {
            "hostname": "APP02",
            "full_name": "Microsoft Windows Server 2008 (32-bit)",
            "id": "winLonghornGuest",
            "build": "6002",
        },
    },
    # Set up from an old template: the guest id says 2008, the disk 2008 R2.
    {"name": "FILE09R2", "image": "decoy-2008r2", "bus": "scsi", "guest_id": "winLonghorn64Guest"},
)
_TEMPLATES: tuple[dict[str, Any], ...] = (
    {"name": "win2022-golden", "image": "win2022-golden", "guest_id": "windows2019srvNext_64Guest"},
    {
        "name": "win2025-golden",
        "image": "win2025-golden",
        "guest_id": "windows2022srvNext_64Guest",
        "firmware": "efi",
    },
)


def raw_images(folder: Path) -> None:
    """Build the images, and each as a raw file: what the simulator takes. LabError says what is missing."""
    for name in IMAGES:
        image, raw = build(name, folder), raw_path(name, folder)
        if not raw.exists() or raw.stat().st_mtime < image.stat().st_mtime:
            fresh = raw.with_suffix(".new")
            programs.run("qemu-img", "convert", "-O", "raw", image, fresh)
            fresh.replace(raw)


def raw_path(name: str, folder: Path) -> Path:
    """Where raw_images() puts the image of this name."""
    return folder / f"{name}.raw"


def furnish(simulator: Vcsim, images: Path) -> None:
    """Make networks, servers and templates on a fresh simulator."""
    hosts = simulator.govc("ls", "-t", "HostSystem", CLUSTER).split()
    simulator.govc("dvs.create", SEALED_SWITCH)
    for host in hosts:
        simulator.govc("host.portgroup.add", "-host", host, "-vswitch", "vSwitch0", OFFICE)
        # On a distributed switch without any physical card.
        simulator.govc("dvs.add", "-dvs", SEALED_SWITCH, host)
    for server in _SERVERS:
        running = "guest" in server
        _machine(simulator, "machine", server, images, folder="Branch", running=running, tools=running)
    for template in _TEMPLATES:
        _machine(simulator, "template", template, images, folder="Templates", tools=True)


def _machine(simulator: Vcsim, kind: str, wanted: dict[str, Any], images: Path, **more: Any) -> None:
    about = {key: value for key, value in wanted.items() if key not in ("image", "bus")}
    disk = {"image": str(raw_path(wanted["image"], images)), "bus": wanted.get("bus", "scsi")}
    simulator.control(kind, disks=[disk], nics=[OFFICE], cpus=1, memory_mb=1024, **about, **more)
