"""Legacy servers for benches: domains on a private libvirtd, thin disks, one card each on one bridge.

Everything bears the fleet's prefix and is removed at the end. Running ones boot a disk that halts the
CPU, and count only once they rest, so that they cost the measurement nothing.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import libvirt
from lab.private_libvirtd import PrivateLibvirtd, domain_type, halting_disk

from orchestrator.model.endpoint import EndpointSettings
from orchestrator.model.machine import MachineRef

GIB = 1024**3
_UNDEFINE_ALL = 1 | 2 | 4 | 16
_REST_SECONDS = 60.0
_DOMAIN = """<domain type='{kind}'><name>{name}</name><memory unit='MiB'>16</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type><boot dev='hd'/></os><features><acpi/></features>
<devices><disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{disk}'/>
<target dev='hda' bus='ide'/></disk>
<interface type='network'><mac address='{mac}'/><source network='{network}'/><model type='e1000'/>
</interface></devices></domain>"""


@dataclass
class Fleet:
    """Domains on one libvirtd. `fresh` makes them anew, as no run has ever touched them."""

    daemon: PrivateLibvirtd
    prefix: str = "bench"
    refs: list[MachineRef] = field(default_factory=list)

    def __post_init__(self) -> None:
        libvirt.registerErrorHandler(lambda *_: None, None)
        self.conn: Any = libvirt.open(self.daemon.uri)
        self.kind = domain_type()
        self.office = f"{self.prefix}-office"
        self.quarantine = f"{self.prefix}-quarantine"
        self._images = self.daemon.images / self.prefix
        self._empty = self.daemon.images / "empty.qcow2"
        self._halting = halting_disk(self.daemon.images / "halting.qcow2", GIB)
        create = ["qemu-img", "create", "-q", "-f", "qcow2", str(self._empty), str(GIB)]
        subprocess.run(create, check=True, timeout=60)
        xml = f"<network><name>{self.office}</name>{_bridge(self.daemon.bridge_name())}</network>"
        self.conn.networkDefineXML(xml).create()

    @property
    def endpoint(self) -> EndpointSettings:
        """The endpoint "lab" as a plan names it."""
        settings = {"uri": self.daemon.uri, "domain_type": self.kind}
        return EndpointSettings(name="lab", provider="kvm", max_parallel=4, settings=settings)

    def fresh(self, count: int, running: int = 0) -> None:
        """Remove what is there; define `count` domains, the last `running` of them running and at rest."""
        self.clear()
        self._images.mkdir()
        self.refs = [self._define(number, number >= count - running) for number in range(count)]
        for ref in self.refs[count - running :]:
            self.conn.lookupByUUIDString(ref.id).create()
        for ref in self.refs[count - running :]:
            self._rest(self.conn.lookupByUUIDString(ref.id))

    def clear(self) -> None:
        """Remove every domain with its images, and whatever a run left on this libvirtd."""
        for domain in self.conn.listAllDomains():
            if domain.isActive():
                domain.destroy()
            domain.undefineFlags(_UNDEFINE_ALL)
        for network in self.conn.listAllNetworks():
            if network.name() != self.office:
                if network.isActive():
                    network.destroy()
                network.undefine()
        filters = [f for f in self.conn.listAllNWFilters() if f.name().startswith("ferry")]
        for item in (*self.conn.listAllSecrets(), *filters):
            item.undefine()
        shutil.rmtree(self._images, ignore_errors=True)
        self.refs = []

    def quarantine_xml(self) -> str:
        """A network without uplink and address: what a peer moves cards to."""
        bridge = _bridge(self.daemon.bridge_name())
        return f"<network><name>{self.quarantine}</name>{bridge}</network>"

    def is_done(self) -> None:
        """Check, by libvirt alone, that each domain has one snapshot and sits on the quarantine network."""
        for ref in self.refs:
            domain = self.conn.lookupByUUIDString(ref.id)
            assert len(domain.snapshotListNames()) == 1, f"{ref.name} has no snapshot"
            for flags in (0, libvirt.VIR_DOMAIN_XML_INACTIVE):
                assert f"network='{self.quarantine}'" in domain.XMLDesc(flags), f"{ref.name} is not moved"

    def _define(self, number: int, halting: bool) -> MachineRef:
        name = f"{self.prefix}-{number:03d}"
        disk = self._images / f"{name}.qcow2"
        shutil.copyfile(self._halting if halting else self._empty, disk)
        mac = f"52:54:00:fb:{number >> 8:02x}:{number & 255:02x}"
        xml = _DOMAIN.format(kind=self.kind, name=name, disk=disk, mac=mac, network=self.office)
        return MachineRef(endpoint="lab", id=self.conn.defineXML(xml).UUIDString(), name=name)

    def _rest(self, domain: Any) -> None:
        """Wait until the guest has halted: its CPU time stands still."""
        until, before = time.monotonic() + _REST_SECONDS, -1
        while (now := domain.info()[4]) == 0 or now - before > 20_000_000:
            assert time.monotonic() < until, f"{domain.name()} does not come to rest"
            before = now
            time.sleep(0.25)


@contextmanager
def fleet() -> Iterator[Fleet]:
    """A fleet on a libvirtd of its own; nothing is left of either."""
    with PrivateLibvirtd() as daemon:
        made = Fleet(daemon)
        try:
            yield made
        finally:
            made.clear()
            made.conn.close()


def versions(one: Fleet) -> dict[str, str]:
    """What the figures depend on besides Python."""
    numbers = {"libvirt": one.conn.getLibVersion(), "qemu": one.conn.getVersion()}
    found = {name: f"{n // 1_000_000}.{n // 1000 % 1000}.{n % 1000}" for name, n in numbers.items()}
    return found | {"accelerator": "TCG" if one.kind == "qemu" else one.kind}


def _bridge(name: str) -> str:
    return f"<bridge name='{name}' stp='off' delay='0'/>"
