"""Real packets for the isolation tests: a Linux guest on libvirt, peers in network namespaces, one bridge.

The guest is Debian's cloud kernel (`.ci/kernel` unpacks it) with a busybox initramfs; a shell on its serial
port takes commands. The peers have addresses of documentation ranges and live in namespaces of the rig,
on a bridge that leads nowhere else. Everything is removed at the end.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import libvirt
from lab.private_libvirtd import PrivateLibvirtd, domain_type

_HERE = Path(__file__).resolve().parent
_KERNEL = _HERE.parents[1] / ".cache" / "kernel"
_MODULES = [
    "virtio",
    "virtio_ring",
    "virtio_pci_modern_dev",
    "virtio_pci_legacy_dev",
    "virtio_pci",
    "failover",
    "net_failover",
    "virtio_net",
]
_INIT = """#!/bin/sh
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev; mount -t proc proc /proc; mount -t sysfs sys /sys
# Several passes instead of their dependencies.
for pass in 1 2 3 4; do for m in {modules}; do insmod /lib/$m.ko 2>/dev/null; done; done
ip link set lo up
echo 0 > /proc/sys/kernel/printk
stty -F /dev/ttyS0 -echo
exec setsid cttyhack sh -c 'echo READY; exec sh' </dev/ttyS0 >/dev/ttyS0 2>&1
"""
_UNANSWERED = {1, -signal.SIGALRM, 128 + signal.SIGALRM}
"""What a probe ends with that nobody answered; any other end is a fault of the probe, and proves nothing."""
_DOMAIN = """<domain type='{kind}'><name>{name}</name><memory unit='MiB'>128</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type><kernel>{kernel}</kernel><initrd>{initrd}</initrd>
<cmdline>console=ttyS0 quiet panic=-1</cmdline></os><on_poweroff>destroy</on_poweroff>
<devices><interface type='bridge'><mac address='{mac}'/><source bridge='{bridge}'/>
<model type='virtio'/></interface>
<serial type='unix'><source mode='bind' path='{serial}'/><target port='0'/></serial></devices></domain>"""


def missing() -> list[str]:
    """Name what this machine lacks; empty when the rig can work."""
    lacking = [
        p for p in ("busybox", "gcc", "cpio", "ip", "ebtables") if shutil.which(p, path=_path()) is None
    ]
    if not list(_KERNEL.glob("boot/vmlinuz-*")):
        lacking.append("a Linux kernel for guests (.ci/kernel)")
    return lacking


def _path() -> str:
    return f"{os.environ['PATH']}:/usr/sbin:/sbin"


def run(*command: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    words = [str(word) for word in command]
    return subprocess.run(
        words, check=check, capture_output=True, text=True, timeout=60, env=os.environ | {"PATH": _path()}
    )


def build(folder: Path) -> tuple[Path, Path, Path]:
    """Build the probe and the guest's initramfs; return kernel, initramfs and probe."""
    probe = folder / "probe"
    run("gcc", "-static", "-O1", "-Wall", "-o", probe, _HERE / "probe.c")
    kernel = next(iter(sorted(_KERNEL.glob("boot/vmlinuz-*"))))
    version = kernel.name.removeprefix("vmlinuz-")
    tree = folder / "tree"
    for name in ("bin", "dev", "proc", "sys", "lib"):
        (tree / name).mkdir(parents=True)
    shutil.copy(str(shutil.which("busybox", path=_path())), tree / "bin/busybox")
    (tree / "bin/sh").symlink_to("busybox")
    shutil.copy(probe, tree / "bin/probe")
    for module in _MODULES:
        for found in (_KERNEL / "lib/modules" / version).rglob(f"{module}.ko"):
            shutil.copy(found, tree / "lib" / found.name)
    (tree / "init").write_text(_INIT.format(modules=" ".join(_MODULES)))
    (tree / "init").chmod(0o755)
    initrd = folder / "initrd"
    pack = f"cd {tree} && find . | cpio -o -H newc --quiet > {initrd}"
    run("sh", "-c", pack)
    return kernel, initrd, probe


class Guest:
    """A Linux guest with one card. `run` types into its serial console."""

    def __init__(
        self, daemon: PrivateLibvirtd, name: str, mac: str, bridge: str, kernel: Path, initrd: Path
    ) -> None:
        self.daemon, self.name, self.mac = daemon, name, mac
        self._serial = daemon.images / f"{name}.serial"
        files = {}
        for what, path in (("kernel", kernel), ("initrd", initrd)):
            files[what] = daemon.images / f"{name}.{what}"
            shutil.copy(path, files[what])
        self._files = [*files.values(), self._serial]
        xml = _DOMAIN.format(
            kind=domain_type(), name=name, mac=mac, bridge=bridge, serial=self._serial, **files
        )
        self.domain: Any = libvirt.open(daemon.uri).defineXML(xml)
        self._console: socket.socket | None = None
        self._number = 0

    def boot(self) -> None:
        """Start it and wait for its shell."""
        self.domain.create()
        self._console = socket.socket(socket.AF_UNIX)
        self._console.settimeout(60)
        self._console.connect(str(self._serial))
        self._until("READY")

    def cut_power(self) -> None:
        """Stop it at once."""
        if self._console is not None:
            self._console.close()
        self.domain.destroy()

    def run(self, script: str, limit: float = 20) -> str:
        """Run shell commands and return what they print."""
        assert self._console is not None
        self._number += 1
        mark = f"DONE{self._number}"
        self._console.settimeout(limit)
        self._console.sendall(f"{{ {script}\n}} 2>&1; echo {mark[:4]}''{mark[4:]}\n".encode())
        return self._until(mark)

    def addressed(self, *addresses: str) -> None:
        """Give its card addresses (CIDR), at once usable."""
        adds = "; ".join(f"ip addr add {a} dev eth0" for a in addresses)
        self.run(f"echo 0 > /proc/sys/net/ipv6/conf/eth0/accept_dad; ip link set eth0 up; {adds}")

    def probes(self, commands: dict[str, str]) -> dict[str, bool]:
        """Run commands at once; return by name whether each succeeded."""
        body = " ".join(f"( {c} >/dev/null 2>&1; echo R {n} $? ) &" for n, c in commands.items())
        told = self.run(f"{body} wait")
        found = {name: int(code) for name, code in re.findall(r"R (\S+) (\d+)", told)}
        assert found.keys() == commands.keys(), told
        return {name: _answered(code, commands[name]) for name, code in found.items()}

    def hear(self) -> None:
        """Listen to every frame from now on."""
        self.run("probe hear eth0 >/heard & echo $! >/hearing; until grep -q hearing /heard; do :; done")

    def heard(self) -> set[str]:
        """Name the hand-made frames that came since."""
        return _names(self.run("kill $(cat /hearing); wait; cat /heard"))

    def shout(self, frames: Mapping[str, str]) -> None:
        """Send hand-made frames to everybody."""
        told = self.run("; ".join(f"probe shout eth0 {text} || echo FAILED" for text in frames.values()))
        assert "FAILED" not in told

    def remove(self) -> None:
        """Undefine it and delete its files."""
        if self.domain.isActive():
            self.cut_power()
        self.domain.undefine()
        for file in self._files:
            file.unlink(missing_ok=True)

    def _until(self, mark: str) -> str:
        assert self._console is not None
        told = ""
        while mark not in told:
            more = self._console.recv(65536).decode(errors="replace")
            assert more, f"the guest's console closed; it had said: {told[-500:]}"
            told += more
        return told.partition(mark)[0]


class Peer:
    """A host in a network namespace of its own, with one card in the bridge."""

    def __init__(self, namespace: str, bridge: str, probe: Path, *addresses: str) -> None:
        self.namespace, self.probe = namespace, probe
        outer, inner = f"{namespace[:10]}o", "eth0"
        run("ip", "netns", "add", namespace)
        run("ip", "link", "add", outer, "type", "veth", "peer", "name", inner, "netns", namespace)
        run("ip", "link", "set", outer, "master", bridge, "up")
        self.run("ip", "link", "set", "lo", "up")
        self.run("ip", "link", "set", inner, "up")
        for address in addresses:
            self.run("ip", "addr", "add", address, "dev", inner, *(["nodad"] if ":" in address else []))
        self._outer = outer
        self._server: subprocess.Popen[str] | None = None
        self._ear: subprocess.Popen[str] | None = None

    def run(self, *command: object, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in the namespace."""
        return run("ip", "netns", "exec", self.namespace, *command, check=check)

    def serve(self, *ports: int) -> None:
        """Answer on these ports from now on."""
        self._server = self._start("serve", *ports, says="serving")

    def reaches(self, *words: object) -> bool:
        """Tell whether a probe from here (`tcp ADDRESS PORT`) is answered."""
        return _answered(self.run(self.probe, *words, check=False).returncode, words)

    def pings(self, address: str) -> bool:
        """Tell whether a ping from here is answered."""
        words = ("busybox", "ping", "-c1", "-W1", address)
        return _answered(self.run(*words, check=False).returncode, words)

    def hear(self) -> None:
        """Listen to every frame from now on."""
        self._ear = self._start("hear", "eth0", says="hearing")

    def heard(self) -> set[str]:
        """Name the hand-made frames that came since."""
        assert self._ear is not None
        self._ear.terminate()
        told, _ = self._ear.communicate(timeout=20)
        assert self._ear.returncode == 0
        self._ear = None
        return _names(told)

    def shout(self, frames: Mapping[str, str]) -> None:
        """Send hand-made frames to everybody."""
        for text in frames.values():
            self.run(self.probe, "shout", "eth0", text)

    def mac_of(self, address: str) -> str:
        """What this host believes to be the MAC address of `address`."""
        told = self.run("ip", "neigh", "show", address).stdout
        found = re.search(r"lladdr (\S+)", told)
        return found[1] if found else ""

    def believes(self, address: str, mac: str) -> None:
        """Plant a neighbour entry that an announcement could overwrite."""
        self.run("ip", "neigh", "replace", address, "lladdr", mac, "dev", "eth0", "nud", "stale")

    def remove(self) -> None:
        """End its processes and delete the namespace."""
        for process in (self._server, self._ear):
            if process is not None:
                process.terminate()
                process.communicate(timeout=20)
        run("ip", "netns", "del", self.namespace, check=False)
        run("ip", "link", "del", self._outer, check=False)

    def _start(self, *words: object, says: str) -> subprocess.Popen[str]:
        command = ["ip", "netns", "exec", self.namespace, str(self.probe), *map(str, words)]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PATH": _path()}
        )
        assert process.stdout is not None
        assert process.stdout.readline() == f"{says}\n"
        return process


def _answered(code: int, what: object) -> bool:
    assert code == 0 or code in _UNANSWERED, f"{what} ended with {code}"
    return code == 0


def _names(told: str) -> set[str]:
    return set(re.findall(r"heard (\S+)", told))


def make_bridge(name: str) -> None:
    """Make a bridge without addresses, IPv6 off on the host's side, forwarding at once."""
    run(
        "ip",
        "link",
        "add",
        name,
        "type",
        "bridge",
        "stp_state",
        "0",
        "forward_delay",
        "0",
        "mcast_snooping",
        "0",
    )
    Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1")
    run("ip", "link", "set", name, "up")


def settle(true: Any, limit: float = 10.0) -> bool:
    """Look until it is true, at most `limit` seconds."""
    until = time.monotonic() + limit
    while not true():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True
