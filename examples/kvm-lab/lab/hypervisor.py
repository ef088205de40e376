"""The libvirt that the lab lives on: the system's, if it runs; else a private one that stays up.


It touches nothing whose name does not begin with PREFIX.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from lab.private_libvirtd import PrivateLibvirtd, domain_type
from lab.programs import LabError

PREFIX = "ferry-lab-"
OFFICE = f"{PREFIX}office"
SYSTEM = "qemu:///system"
_SYSTEM_IMAGES = Path("/var/lib/libvirt/images/ferry-lab")
_PRIVATE_STATE = Path(os.environ.get("FERRY_LAB_LIBVIRT", "/var/lib/ferry-lab"))
_INACTIVE = 2
_UNDEFINE_ALL = 1 | 2 | 4 | 16

_NETWORK = f"""<network><name>{OFFICE}</name><bridge name='ferry-office' stp='off'/>
<ip address='198.51.100.1' netmask='255.255.255.0'/></network>"""

_DOMAIN = """<domain type={kind}><name>{name}</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type><boot dev='hd'/></os><features><acpi/></features>
<devices><disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file={disk}/>
<target dev='hda' bus='ide'/></disk>
<interface type='network'><mac address='{mac}'/><source network='{network}'/><model type='e1000'/></interface>
</devices></domain>"""


@dataclass(frozen=True)
class Hypervisor:
    """A libvirt URI, the folder for the lab's images, and whether the lab started it."""

    uri: str
    images: Path
    private: bool

    @property
    def origin(self) -> str:
        """Say in words where it comes from."""
        return "started by the lab, stays up until `make demo-clean`" if self.private else "the system's"

    @classmethod
    def find_or_start(cls, home: Path) -> Hypervisor:
        """Use what the lab used before, else the system's libvirtd, else start a private one."""
        record = home / "hypervisor.json"
        if record.exists():
            private = bool(json.loads(record.read_text(encoding="utf-8"))["private"])
        else:
            private = not _answers(SYSTEM)
        found = cls._private() if private else cls(SYSTEM, _folder(_SYSTEM_IMAGES), private=False)
        home.mkdir(exist_ok=True)
        record.write_text(json.dumps({"private": private, "uri": found.uri}), encoding="utf-8")
        return found

    @classmethod
    def _private(cls) -> Hypervisor:
        if os.geteuid() != 0:
            message = (
                "no libvirtd answers at qemu:///system, and only root can start one: start it, or run as root"
            )
            raise LabError(message)
        try:
            daemon = PrivateLibvirtd(_PRIVATE_STATE).start()
        except RuntimeError as problem:
            raise LabError(str(problem)) from problem
        return cls(daemon.uri, daemon.images, private=True)

    def views(self) -> list[list[str]]:
        """The virsh commands that show the lab."""
        virsh = ["virsh", "-q", "-c", self.uri]
        names = [d.name() for d in _ours(self._open().listAllDomains())]
        views = [[*virsh, "list", "--all"]]
        for name in sorted(names):
            views += [[*virsh, "domiflist", name], [*virsh, "snapshot-list", name]]
        return views

    def ensure_office(self) -> None:
        """Define and start the network on which the legacy servers live, unless it is there."""
        connection = self._open()
        if OFFICE not in [n.name() for n in connection.listAllNetworks()]:
            connection.networkDefineXML(_NETWORK).create()
        elif not connection.networkLookupByName(OFFICE).isActive():
            connection.networkLookupByName(OFFICE).create()

    def ensure_legacy(self, name: str, disk: Path) -> str:
        """Define and start a legacy server, unless it is there; return its persistent definition."""
        connection = self._open()
        domains = {d.name(): d for d in connection.listAllDomains()}
        if name not in domains:
            mac = "52:54:00:fe:01:" + f"{sum(name.encode()) % 256:02x}"
            xml = _DOMAIN.format(
                kind=quoteattr(domain_type()),
                name=escape(name),
                disk=quoteattr(str(disk)),
                mac=mac,
                network=OFFICE,
            )
            domains[name] = connection.defineXML(xml)
        if not domains[name].isActive():
            domains[name].create()
        return str(domains[name].XMLDesc(_INACTIVE))

    def remove(self) -> None:
        """Remove the lab's domains, networks and images; then the daemon, if the lab started it."""
        connection = self._open()
        for domain in _ours(connection.listAllDomains()):
            if domain.isActive():
                domain.destroy()
            domain.undefineFlags(_UNDEFINE_ALL)
        for network in _ours(connection.listAllNetworks()):
            if network.isActive():
                network.destroy()
            network.undefine()
        connection.close()
        if self.private:
            PrivateLibvirtd(_PRIVATE_STATE).remove()
        else:
            shutil.rmtree(self.images, ignore_errors=True)

    def _open(self) -> Any:
        import libvirt

        libvirt.registerErrorHandler(lambda *_: None, None)
        return libvirt.open(self.uri)


def _ours(things: list[Any]) -> list[Any]:
    return [thing for thing in things if thing.name().startswith(PREFIX)]


def _answers(uri: str) -> bool:
    import libvirt

    libvirt.registerErrorHandler(lambda *_: None, None)
    try:
        libvirt.open(uri).close()
    except libvirt.libvirtError:
        return False
    return True


def _folder(path: Path) -> Path:
    """Make a folder that belongs to this user below one that may belong to root."""
    if not path.is_dir():
        command = ["install", "-d", "-m", "0755", "-o", str(os.geteuid()), "-g", str(os.getegid()), str(path)]
        done = subprocess.run(command if os.geteuid() == 0 else ["sudo", *command], check=False, timeout=120)
        if done.returncode != 0:
            message = f"{path} cannot be made"
            raise LabError(message)
    return path
