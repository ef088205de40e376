"""The conformance suite's rig on a private libvirtd with real QEMU: everything done behind the adapter's
back.

It uses libvirt, qemu-img and qemu-io directly, never the adapter.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import shutil
import subprocess
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import libvirt
import libvirt_qemu
import pytest

from orchestrator.contract.conformance.rig import DISK_BYTES, Fault, GuestPrograms, Oddity
from orchestrator.contract.provider import ObjectKind, Provider
from orchestrator.diagnostics import FerryError
from orchestrator.model.endpoint import EndpointSettings
from orchestrator.model.machine import MachineRef, Nic
from orchestrator.model.secret import SecretRef
from providers.kvm import provider
from tests.rigs import agent_guest
from tests.rigs.agent_guest import AgentGuest
from tests.rigs.libvirt_proxy import LibvirtProxy
from tests.rigs.libvirtd import PrivateLibvirtd, domain_type, halting_disk

INACTIVE, CONFIG, LIVE = 2, 2, 1
_UNDEFINE = 1 | 2 | 4 | 16
_DISK_ONLY = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC
_OVERLAYS = 9
_PARTITION = bytes.fromhex("80 010100 07 feffff 00080000 00100000")
"""One active NTFS partition from sector 2048 on, 4096 sectors."""


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=60)


class KvmRig:
    """One libvirtd for many tests. A context manager; at the end nothing that it made is left."""

    site_network = ""

    def __init__(self, daemon: PrivateLibvirtd) -> None:
        self.daemon = daemon
        self._proxy = LibvirtProxy(daemon.state / "run" / "libvirt-sock")
        self._conn = libvirt.open(daemon.uri)
        self._prefix = secrets.token_hex(2)
        self._count = 0
        self._loops: list[str] = []
        self._agent_guest: AgentGuest | None = None
        self._bridges = [self._bridge(), self._bridge()]
        self.ordinary = self.name("lan")
        self._network(self.ordinary, self._bridges[0])
        self._golden = self._make_golden()
        self.endpoint = EndpointSettings(
            name="lab",
            provider="kvm",
            settings={"uri": self._proxy.uri, "images": str(daemon.images), "domain_type": domain_type()},
        )

    provider: Provider = provider
    oddities = frozenset(Oddity)

    def __enter__(self) -> KvmRig:
        return self

    def __exit__(self, *_: object) -> None:
        if self._agent_guest is not None:
            self._agent_guest.remove()
            self._agent_guest = None
        self.tidy()
        conn = self.conn
        for network in conn.listAllNetworks():
            with contextlib.suppress(libvirt.libvirtError):
                network.destroy()
            network.undefine()
        for bridge in self._bridges:
            run("ip", "link", "del", bridge)
        self._golden.unlink()
        conn.close()
        self._proxy.close()

    def tidy(self) -> None:
        """Remove what tests made, but the rig's own network, image and guest with an agent."""
        conn = self.conn
        for domain in conn.listAllDomains():
            if self._agent_guest is None or domain.name() != self._agent_guest.name:
                self._delete(domain)
        for network in conn.listAllNetworks():
            if network.name() != self.ordinary:
                with contextlib.suppress(libvirt.libvirtError):
                    network.destroy()
                with contextlib.suppress(libvirt.libvirtError):
                    network.undefine()
        for loop in self._loops:
            run("losetup", "-d", loop)
        self._loops.clear()
        for item in (*conn.listAllSecrets(), *self._own_filters()):
            item.undefine()
        for file in self._files():
            if file != self._golden:
                file.unlink()

    def _files(self) -> list[Path]:
        """The rig's images; folders beside them belong to other users of the same daemon."""
        return [file for file in self.daemon.images.iterdir() if file.is_file()]

    @property
    def conn(self) -> Any:
        """The rig's own connection, reopened after a restart of the daemon."""
        try:
            self._conn.getLibVersion()
        except libvirt.libvirtError:
            self._conn = libvirt.open(self.daemon.uri)
        return self._conn

    @property
    def faults(self) -> KvmRig:
        return self

    can = frozenset({Fault.UNREACHABLE, Fault.REPLY_LOST})

    @contextlib.contextmanager
    def inject(self, fault: Fault) -> Iterator[None]:
        if fault is Fault.REPLY_LOST:
            with self._proxy.losing_a_reply():
                yield
            return
        self.daemon.stop_daemon()
        try:
            yield
        finally:
            self.daemon.start()

    @staticmethod
    def secrets(ref: SecretRef) -> str:
        message = f"the rig knows no secret {ref}"
        raise FerryError(message)

    def name(self, stem: str) -> str:
        self._count += 1
        return f"{stem[:6]}{self._prefix}{self._count}"

    # Machines

    def make_machine(
        self,
        name: str,
        *,
        running: bool = False,
        nics: int = 1,
        disks: int = 1,
        oddity: Oddity | None = None,
        disk_bytes: int = DISK_BYTES,
    ) -> MachineRef:
        elements = "".join(self._disk(name, n, disk_bytes, oddity if n == 0 else None) for n in range(disks))
        cards = (
            f"<interface type='network'><source network='{self.ordinary}'/><model type='e1000'/></interface>"
        )
        domain = self.conn.defineXML(
            f"<domain type='{domain_type()}'><name>{name}</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>"
            f"<os><type arch='x86_64' machine='pc'>hvm</type><boot dev='fd'/></os><devices>"
            f"{self._boot_floppy()}{elements}{cards * nics}<memballoon model='none'/></devices></domain>"
        )
        if running:
            domain.create()
        ref = MachineRef(endpoint="lab", id=domain.UUIDString(), name=name)
        if oddity is Oddity.BUSY:
            self.begin_job(ref)
        return ref

    def twin(self, ref: MachineRef, disk: Path | None = None) -> MachineRef:
        """Define a second machine with the same disks, or with `disk` as its first."""
        root, name = _xml(self._domain(ref).XMLDesc(INACTIVE)), self.name("twin")
        root.remove(root.find("uuid"))
        root.find("name").text = name
        for mac in root.findall("devices/interface/mac"):
            mac.set("address", "52:54:00:00:00:02")
        if disk is not None:
            root.find("devices/disk[@device='disk']/source").set("file", str(disk))
        domain = self.conn.defineXML(ET.tostring(root, encoding="unicode"))
        return MachineRef(endpoint="lab", id=domain.UUIDString(), name=name)

    def begin_job(self, ref: MachineRef) -> None:
        """Begin a block job on the first disk that does not end by itself."""
        source = f"<source file='{self.daemon.images}/{ref.name}-copy'/>"
        copy = f"<disk type='file'><driver type='qcow2'/>{source}</disk>"
        self._domain(ref).blockCopy("hda", copy, {}, libvirt.VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB)

    def await_job(self, ref: MachineRef, limit: float = 20) -> None:
        """Return when a block job on the first disk is under way."""
        domain, until = self._domain(ref), time.monotonic() + limit
        while not (domain.isActive() and "<mirror" in domain.XMLDesc()):
            assert time.monotonic() < until, "no block job began"
            time.sleep(0.005)

    guest_folder = "/tmp/"
    guest_programs = GuestPrograms(
        echo=("/bin/busybox", "echo"),
        fail=("/bin/busybox", "sh", "-c", "exit 3"),
        sleep=("/bin/busybox", "sleep", "30"),
    )

    @property
    def agent_guest(self) -> AgentGuest:
        """The guest with an agent: booting takes ten seconds, so there is one for all tests of a module."""
        if self._agent_guest is None:
            if lacking := agent_guest.missing():
                pytest.skip(f"a guest with an agent needs: {', '.join(lacking)}")
            self._agent_guest = AgentGuest(self.daemon, self.name("agent"))
            self._agent_guest.boot()
        return self._agent_guest

    def make_guest(self, name: str) -> MachineRef:
        guest = self.agent_guest
        # A libvirtd that was started anew by another test takes a moment to find the agent again.
        domain = self.conn.lookupByName(guest.name)
        assert agent_guest.agent_answers(domain), f"the agent of {guest.name} does not answer"
        return MachineRef(endpoint="lab", id=domain.UUIDString(), name=guest.name)

    def guest_file(self, ref: MachineRef, path: str) -> bytes | None:
        return self.agent_guest.file(path)

    def _guest_files(self) -> list[str]:
        return [] if self._agent_guest is None else self._agent_guest.files(self.guest_folder)

    def delete_machine(self, ref: MachineRef) -> None:
        self._delete(self._domain(ref))

    def set_running(self, ref: MachineRef, running: bool) -> None:
        domain = self._domain(ref)
        if bool(domain.isActive()) is not running:
            (domain.create if running else domain.destroy)()

    def is_running(self, ref: MachineRef) -> bool:
        return bool(self._domain(ref).state()[0] == libvirt.VIR_DOMAIN_RUNNING)

    def redefine(self, ref: MachineRef) -> None:
        text = self._domain(ref).XMLDesc(INACTIVE)
        root = _xml(text)
        for tag in ("memory", "currentMemory"):
            element = root.find(tag)
            assert element is not None
            element.text = str(int(element.text or 0) + 65536)
        self.conn.defineXML(ET.tostring(root, encoding="unicode"))

    def describe(self, ref: MachineRef) -> str:
        domain = self._domain(ref)
        views = [domain.XMLDesc(INACTIVE)] + ([domain.XMLDesc()] if domain.isActive() else [])
        return "\n".join(_normal(text) for text in views)

    # Disks

    def fill(self, ref: MachineRef, disk: int, offset: int, length: int, byte: int) -> None:
        domain, command = self._domain(ref), f"write -P {byte:#x} {offset} {length}"
        if not domain.isActive():
            path, form = self._image(ref, disk)
            run("qemu-io", "-f", form, "-c", command, path)
            return
        alias = self._disks(domain.XMLDesc())[disk].find("alias")
        assert alias is not None
        whole = f'qemu-io -d {alias.get("name")} "{command}"'
        human = libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP
        answer = libvirt_qemu.qemuMonitorCommand(domain, whole, human)
        assert not answer, answer  # its words go to QEMU's own output; only an error is answered

    def read(self, ref: MachineRef, disk: int, offset: int, length: int) -> bytes:
        return _read(*self._image(ref, disk), offset, length)

    def foreign_snapshot(self, ref: MachineRef, name: str) -> str:
        domain = self._domain(ref)
        disks = [e.find("target").get("dev") for e in self._disks(domain.XMLDesc())]
        beside = f"{self.daemon.images}/{ref.name}"
        listed = "".join(
            f"<disk name='{d}' snapshot='external'><source file='{beside}-{d}.{name}'/></disk>" for d in disks
        )
        boot = "<disk name='fda' snapshot='no'/>"
        text = f"<domainsnapshot><name>{name}</name><disks>{boot}{listed}</disks></domainsnapshot>"
        domain.snapshotCreateXML(text, _DISK_ONLY)
        return f"{ref.id}/{name}"

    # Networks

    def nics(self, ref: MachineRef) -> tuple[Nic, ...]:
        return tuple(self._nic(e) for e in self._interfaces(self._domain(ref).XMLDesc()))

    def move_nic(self, ref: MachineRef, nic: Nic) -> None:
        domain, (kind, _, name) = self._domain(ref), nic.network.partition(":")
        views = [(CONFIG, INACTIVE)] + ([(LIVE, 0)] if domain.isActive() else [])
        for flag, view in views:
            for element in self._interfaces(domain.XMLDesc(view)):
                if element.find("mac").get("address") == nic.key:
                    for tag in ("source", "filterref", "link", "port"):
                        for child in element.findall(tag):
                            element.remove(child)
                    element.set("type", kind)
                    ET.SubElement(element, "source", {kind: name})
                    ET.SubElement(element, "link", state="up" if nic.link_up else "down")
                    domain.updateDeviceFlags(ET.tostring(element, encoding="unicode"), flag)
        if domain.isActive():
            self._open_port(domain, nic.key)

    def _open_port(self, domain: Any, mac: str) -> None:
        """A card that somebody attaches is a neighbour, also on a network that isolates ports by default."""
        for element in self._interfaces(domain.XMLDesc()):
            if element.find("mac").get("address") == mac:
                isolated = Path("/sys/class/net") / element.find("target").get("dev") / "brport" / "isolated"
                isolated.write_text("0")

    def foreign_network(self, name: str) -> None:
        self._network(name, self._bridges[0])

    @property
    def uplink(self) -> str:
        return self._bridges[1]

    # Everything

    def objects(self, kind: ObjectKind) -> frozenset[str]:
        conn, files = self.conn, [f.name for f in self._files()]
        if kind is ObjectKind.SNAPSHOT:
            return frozenset(
                f"{d.UUIDString()}/{s.getName()}" for d in conn.listAllDomains() for s in d.listAllSnapshots()
            )
        listings = {
            ObjectKind.VM: lambda: (d.UUIDString() for d in conn.listAllDomains()),
            ObjectKind.NETWORK: lambda: (n.name() for n in conn.listAllNetworks()),
            ObjectKind.FILTER: lambda: (f.name() for f in self._own_filters()),
            ObjectKind.CLAIM: lambda: (s.UUIDString() for s in conn.listAllSecrets()),
            ObjectKind.MEDIUM: lambda: (f for f in files if ".iso" in f),
            ObjectKind.GUEST_FILE: self._guest_files,
            ObjectKind.DISK: lambda: (f for f in files if ".iso" not in f and not f.startswith("boot")),
        }
        return frozenset(listings[kind]())

    # Staging

    @property
    def golden_image(self) -> str:
        return self._golden.stem

    def golden_read(self, offset: int, length: int) -> bytes:
        return _read(str(self._golden), "qcow2", offset, length)

    def texts(self) -> Iterable[str]:
        for domain in self.conn.listAllDomains():
            yield domain.XMLDesc(INACTIVE)
            yield domain.XMLDesc()
        for thing in (*self.conn.listAllSecrets(), *self.conn.listAllNetworks()):
            yield thing.XMLDesc()
        for log in (self.daemon.state / "log").rglob("*.log"):
            yield log.read_text(errors="replace")

    @contextlib.contextmanager
    def pool(self, name: str, copies: Iterable[str], folder: Path | None = None) -> Iterator[Path]:
        """A storage pool over `folder`, or one of its own, with copies of the golden image of these names."""
        with tempfile.TemporaryDirectory() as own:
            place = folder or Path(own)
            for copy in copies:
                shutil.copy(self._golden, place / copy)
            pool = self.conn.storagePoolDefineXML(
                f"<pool type='dir'><name>{name}</name><target><path>{place}</path></target></pool>"
            )
            try:
                pool.create()
                yield place
            finally:
                pool.destroy()
                pool.undefine()

    # Inside

    def _domain(self, ref: MachineRef) -> Any:
        return self.conn.lookupByUUIDString(ref.id)

    def _delete(self, domain: Any) -> None:
        files = {
            f
            for text in (domain.XMLDesc(INACTIVE), domain.XMLDesc())
            for f in re.findall(r"file='([^']+)'", text)
        }
        if domain.isActive():
            domain.destroy()
        domain.undefineFlags(_UNDEFINE)
        for file in files:
            if file != str(self._golden) and not Path(file).name.startswith("boot"):
                Path(file).unlink(missing_ok=True)

    def _disk(self, name: str, number: int, size: int, oddity: Oddity | None) -> str:
        path, form, kind, extra = self.daemon.images / f"{name}-{number}", "qcow2", "file", ""
        if oddity in (Oddity.SHARED_DISK, Oddity.PASSTHROUGH):
            form = "raw"
        run("qemu-img", "create", "-q", "-f", form, str(path), str(size))
        if oddity is Oddity.SHARED_DISK:
            extra = "<shareable/>"
        if oddity is Oddity.DEEP_CHAIN:
            path = self._deepen(path)
        if oddity is Oddity.PASSTHROUGH:
            done = subprocess.run(
                ["losetup", "-f", "--show", str(path)], check=True, capture_output=True, text=True
            )
            path, kind = Path(done.stdout.strip()), "block"
            self._loops.append(str(path))
        attribute = "dev" if kind == "block" else "file"
        target = f"<target dev='hd{'abcd'[number]}' bus='ide'/>"
        return (
            f"<disk type='{kind}' device='disk'><driver name='qemu' type='{form}'/>"
            f"<source {attribute}='{path}'/>{target}{extra}</disk>"
        )

    def _deepen(self, path: Path) -> Path:
        for number in range(_OVERLAYS):
            above = path.with_name(f"{path.name}.{number}")
            run("qemu-img", "create", "-q", "-f", "qcow2", "-b", str(path), "-F", "qcow2", str(above))
            path = above
        return path

    def _boot_floppy(self) -> str:
        path = self.daemon.images / "boot.img"
        if not path.exists():
            halting_disk(path, 1474560, image_format="raw")
        return (
            f"<disk type='file' device='floppy'><driver name='qemu' type='raw'/><source file='{path}'/>"
            "<target dev='fda' bus='fdc'/><readonly/></disk>"
        )

    def _make_golden(self) -> Path:
        raw, golden = self.daemon.images / "golden.raw", self.daemon.images / "golden6003.qcow2"
        halting_disk(raw, DISK_BYTES, image_format="raw")
        with raw.open("r+b") as file:
            file.seek(446)
            file.write(_PARTITION)
        run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(raw), str(golden))
        raw.unlink()
        return golden

    def _bridge(self) -> str:
        name = self.daemon.bridge_name()
        run("ip", "link", "add", name, "type", "bridge")
        run("ip", "link", "set", name, "up")
        return name

    def _network(self, name: str, bridge: str) -> None:
        network = self.conn.networkDefineXML(
            f"<network><name>{name}</name><forward mode='bridge'/><bridge name='{bridge}'/></network>"
        )
        network.create()

    def _own_filters(self) -> list[Any]:
        return [f for f in self.conn.listAllNWFilters() if f.name().startswith("ferry")]

    def _image(self, ref: MachineRef, disk: int) -> tuple[str, str]:
        element = self._disks(self._domain(ref).XMLDesc(INACTIVE))[disk]
        return element.find("source").get("file"), element.find("driver").get("type")

    @staticmethod
    def _disks(text: str) -> list[Any]:
        return _xml(text).findall("devices/disk[@device='disk']")

    @staticmethod
    def _interfaces(text: str) -> list[Any]:
        return _xml(text).findall("devices/interface")

    @staticmethod
    def _nic(element: Any) -> Nic:
        source, link, bound = (element.find(tag) for tag in ("source", "link", "filterref"))
        network = source.get("network")
        return Nic(
            key=element.find("mac").get("address"),
            model=element.find("model").get("type"),
            network=f"network:{network}" if network else f"bridge:{source.get('bridge')}",
            link_up=link is None or link.get("state") != "down",
            filter=None if bound is None else bound.get("filter"),
        )


def _xml(text: str) -> Any:
    return ET.fromstring(text)  # noqa: S314  # libvirt's own


@pytest.fixture(scope="module")
def shared_rig(libvirtd: PrivateLibvirtd) -> Iterator[KvmRig]:
    """One rig for a module: to be imported beside `rig` and `libvirtd`."""
    with KvmRig(libvirtd) as made:
        yield made


@pytest.fixture
def rig(shared_rig: KvmRig) -> Iterator[KvmRig]:
    """The module's rig, tidied after each test."""
    yield shared_rig
    shared_rig.tidy()


def _read(path: str, form: str, offset: int, length: int) -> bytes:
    assert offset % length == 0
    with tempfile.NamedTemporaryFile() as out:
        # qemu-img counts from the beginning, skipped blocks too.
        run(
            "qemu-img", "dd", "-f", form, "-O", "raw", f"bs={length}", f"skip={offset // length}",
            f"count={offset // length + 1}", f"if={path}", f"of={out.name}",
        )  # fmt: skip
        return Path(out.name).read_bytes()[:length]


def _normal(text: str) -> str:
    """A domain's XML without what changes by itself: run-time ids, taps, ports, aliases."""
    root = _xml(text)
    root.attrib.pop("id", None)
    metadata = root.find("metadata")
    if metadata is not None and not len(metadata):
        root.remove(metadata)  # libvirt keeps the empty element when the last entry is taken out
    for element in root.iter():
        for child in [c for c in element if c.tag in ("alias", "seclabel", "resource", "mirror")]:
            element.remove(child)
        if element.tag == "source":
            for attribute in ("index", "portid", "mode"):
                element.attrib.pop(attribute, None)
        if element.tag == "target" and element.get("dev", "").startswith("vnet"):
            element.attrib.pop("dev")
    return ET.canonicalize(ET.tostring(root, encoding="unicode"), strip_text=True)
