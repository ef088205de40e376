"""A small site for tests of the whole command: legacy servers on a real libvirt, a plan file, and `ferry`
as a process.

Used by acceptance and crash tests on KVM. Everything is named after a prefix of its own and removed at the
end. What the
tests assert is counted through libvirt here, never read from ferry's own records.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import libvirt
from lab.images import build
from lab.private_libvirtd import PrivateLibvirtd, domain_type

PASSWORD = "Planted-Secret-7731"  # a made one that opens nothing
GOLDEN = "win2022-golden"
_UNDEFINE_ALL = 1 | 2 | 4 | 16
_DOMAIN = """<domain type='{kind}'><name>{name}</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type><boot dev='hd'/></os><features><acpi/></features>
<devices><disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{disk}'/>
<target dev='hda' bus='ide'/></disk>
<interface type='network'><mac address='{mac}'/><source network='{network}'/><model type='e1000'/></interface>
</devices></domain>"""


@dataclass
class Site:
    """One site on one libvirtd. `folder` is the test's own."""

    daemon: PrivateLibvirtd
    folder: Path
    prefix: str
    names: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.images = self.daemon.images / self.prefix
        self.images.mkdir()
        self.office = f"{self.prefix}-office"
        bridge = self.daemon.bridge_name()
        xml = f"<network><name>{self.office}</name><bridge name='{bridge}' stp='off'/></network>"
        self.open().networkDefineXML(xml).create()

    def open(self) -> Any:
        """Open a connection of the test's own."""
        libvirt.registerErrorHandler(lambda *_: None, None)
        return libvirt.open(self.daemon.uri)

    # The site ------------------------------------------------------------

    def legacy(self, host: str, *, image: str = "file01", running: bool = True) -> str:
        """Define a legacy server with a lab image as its disk; return the domain's name."""
        name = f"{self.prefix}-{host.lower()}"
        disk = self.images / f"{name}.qcow2"
        shutil.copyfile(build(image, self.daemon.images / "built"), disk)
        number = len(self.names) + 1
        mac = f"52:54:00:fd:{number >> 8:02x}:{number & 255:02x}"
        xml = _DOMAIN.format(kind=domain_type(), name=name, disk=disk, mac=mac, network=self.office)
        domain = self.open().defineXML(xml)
        if running:
            domain.create()
        self.names.append(name)
        return name

    def plan(self, *hosts: str, target: bool = False, **changes: Any) -> Path:
        """Write a plan that seals these hosts off; with `target` each gets a replacement. `changes` replace
        top-level parts."""
        plan: dict[str, Any] = {
            "ferry": 1,
            "name": self.prefix,
            "owner": "tests",
            "endpoints": {
                "lab": {
                    "provider": "kvm",
                    "uri": self.daemon.uri,
                    "images": str(self.images),
                    "domain_type": domain_type(),
                    "max_parallel": 4,
                }
            },
            "networks": {
                "sealed": {"endpoint": "lab", "name": f"{self.prefix}-q", "mode": "sealed", "create": True},
                "staging": {"endpoint": "lab", "name": f"{self.prefix}-s", "create": True},
            },
            "hosts": [self._host(host, target) for host in hosts],
        }
        path = self.folder / "plan.yaml"
        # JSON is YAML 1.2.
        path.write_text(json.dumps(plan | changes, indent=1), encoding="utf-8")
        return path

    def _host(self, host: str, target: bool) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "name": host,
            "source": {"endpoint": "lab", "vm": f"{self.prefix}-{host.lower()}"},
            "disposition": "contain",
            "contain": {"network": "sealed"},
        }
        if target:
            self._golden()
            entry["target"] = {
                "endpoint": "lab",
                "release": 2022,
                "image": GOLDEN,
                "vm": f"{self.prefix}-{host.lower()}n",
                "cpus": 1,
                "memory": "256MiB",
                "network": "staging",
                "computer_name": f"{host}N"[:15],
                "admin_password": {"env": "SITE_PASSWORD"},
                "first_boot_limit": "1s",
            }
            entry["parity"] = {"profile": "file-server"}
        return entry

    def _golden(self) -> None:
        """Put the golden image among this site's own images, where targets and their disks are counted."""
        built = build(GOLDEN, self.daemon.images / "built")
        own = self.images / built.name
        if not own.exists():
            own.hardlink_to(built)

    # ferry ------------------------------------------------------------

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no output may hold."""
        return (PASSWORD,)

    def environment(self, state: str = "state.db") -> dict[str, str]:
        """The environment of a ferry process with a state of that name in the test's folder."""
        own = {
            "FERRY_STATE": f"sqlite:///{self.folder / state}",
            "SITE_PASSWORD": PASSWORD,
            "FERRY_DEBUG": "1",
        }
        return os.environ | own

    def command(self, *words: object) -> list[str]:
        """The command line of a ferry process."""
        return [sys.executable, "-m", "orchestrator", *map(str, words)]

    def ferry(
        self, *words: object, state: str = "state.db", expect: int | None = 0
    ) -> subprocess.CompletedProcess[str]:
        """Run ferry to its end and check its exit code (None: any)."""
        done = subprocess.run(
            self.command(*words),
            env=self.environment(state),
            text=True,
            capture_output=True,
            timeout=110,
            check=False,
        )
        assert expect is None or done.returncode == expect, (
            f"{words}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        )
        assert PASSWORD not in done.stdout + done.stderr
        return done

    def json(self, *words: object, state: str = "state.db", expect: int | None = 0) -> Any:
        """Run ferry with --json and return the document."""
        return json.loads(self.ferry(*words, "--json", state=state, expect=expect).stdout)

    def changes(self, *hosts: str, state: str = "state.db", **options: Any) -> Path:
        """Write a plan, preview it, return the saved change set."""
        path = self.folder / f"cs-{state}.json"
        self.ferry("plan", "preview", self.plan(*hosts, **options), "-o", path, state=state)
        return path

    # What libvirt says ------------------------------------------------------------

    def xml(self, name: str) -> ElementTree.Element:
        """The persistent definition of a domain."""
        text = (
            self.open()
            .lookupByName(name)
            .XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE)
        )
        return ElementTree.fromstring(text)  # noqa: S314  # libvirt wrote it

    def uuid(self, host: str) -> str:
        """The permanent id of a legacy server."""
        return str(self.open().lookupByName(f"{self.prefix}-{host.lower()}").UUIDString())

    def networks_of(self, name: str, *, live: bool = True) -> list[str]:
        """The networks that a domain's cards are on."""
        flags = 0 if live else libvirt.VIR_DOMAIN_XML_INACTIVE
        root = ElementTree.fromstring(self.open().lookupByName(name).XMLDesc(flags))  # noqa: S314  # libvirt wrote it
        return [source.get("network", "") for source in root.findall("./devices/interface/source")]

    def snapshots(self, name: str) -> list[str]:
        """The snapshots of a domain."""
        return sorted(self.open().lookupByName(name).snapshotListNames())

    def census(self) -> dict[str, list[str]]:
        """Everything of this site that libvirt and the images folder show: what must be the same after a
        crash as without."""
        connection = self.open()
        domains = sorted(
            d.name() for d in connection.listAllDomains() if d.name().startswith(f"{self.prefix}-")
        )
        files = [p for p in self.images.rglob("*") if p.is_file() and p.stem != GOLDEN]
        return {
            "domains": domains,
            "networks": sorted(
                n.name() for n in connection.listAllNetworks() if n.name().startswith(f"{self.prefix}-")
            ),
            "snapshots": [f"{name}: {len(self.snapshots(name))}" for name in domains],
            "cards": [f"{name}: {self.networks_of(name, live=False)}" for name in domains],
            "chains": [f"{name}: {self.chain_depth(name)}" for name in domains],
            "running": [name for name in domains if connection.lookupByName(name).isActive()],
            "files": sorted({_stem(p) for p in files}),
            "file count": [str(len(files))],
            "claims": [str(len(self.claims()))],
            "filters": [str(len(self.filters()))],
        }

    def claims(self) -> list[str]:
        """The claims on machines of this site."""
        return self._of_mine(secret.usageID() or "" for secret in self.open().listAllSecrets())

    def filters(self) -> list[str]:
        """The packet filters for machines of this site."""
        return self._of_mine(one.name() for one in self.open().listAllNWFilters())

    def _of_mine(self, names: Iterable[str]) -> list[str]:
        """Those of ferry's names that hold the id of a machine of this site."""
        domains = self.open().listAllDomains()
        mine = [d.UUIDString() for d in domains if d.name().startswith(f"{self.prefix}-")]
        return sorted(n for n in names if "ferry" in n and any(uuid in n for uuid in mine))

    def chain_depth(self, name: str) -> int:
        """The number of images in the chain of a domain's first disk."""
        disk = next(d for d in self.xml(name).findall("./devices/disk") if d.get("device") != "cdrom")
        source = disk.find("source")
        assert source is not None
        done = subprocess.run(
            ["qemu-img", "info", "-U", "--backing-chain", "--output=json", str(source.get("file"))],
            check=True, capture_output=True, timeout=30,
        )  # fmt: skip
        return len(json.loads(done.stdout))

    def content(self, name: str) -> str:
        """SHA-256 of what a stopped domain's first disk holds, through its whole chain."""
        disk = next(d for d in self.xml(name).findall("./devices/disk") if d.get("device") != "cdrom")
        source = disk.find("source")
        assert source is not None
        raw = self.folder / "content.raw"
        convert = ["qemu-img", "convert", "-U", "-O", "raw", str(source.get("file")), str(raw)]
        subprocess.run(convert, check=True, timeout=60)
        found = hashlib.sha256(raw.read_bytes()).hexdigest()
        raw.unlink()
        return found

    def remove(self) -> None:
        """Remove everything of this site."""
        connection = self.open()
        mine = [d.UUIDString() for d in connection.listAllDomains() if d.name().startswith(f"{self.prefix}-")]
        for domain in connection.listAllDomains():
            if domain.name().startswith(f"{self.prefix}-"):
                if domain.isActive():
                    domain.destroy()
                domain.undefineFlags(_UNDEFINE_ALL)
        for network in connection.listAllNetworks():
            if network.name().startswith(f"{self.prefix}-"):
                if network.isActive():
                    network.destroy()
                network.undefine()
        for secret in connection.listAllSecrets():
            if any(uuid in (secret.usageID() or "") for uuid in mine):
                secret.undefine()
        shutil.rmtree(self.images, ignore_errors=True)


def _stem(path: Path) -> str:
    """A file's name without the part that differs from run to run."""
    return path.name.partition(".ferry-")[0]
