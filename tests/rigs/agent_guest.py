"""A Linux guest on libvirt in which a real QEMU guest agent answers.

Debian's cloud kernel (`.ci/kernel` unpacks it) with an initramfs of busybox, this machine's qemu-ga and the
libraries that it needs. No network card. A shell on the serial port looks behind the agent's back.
"""

from __future__ import annotations

import base64
import contextlib
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import libvirt
import libvirt_qemu
from lab.private_libvirtd import PrivateLibvirtd, domain_type

from tests.rigs.packets import _KERNEL, _path, run

_MODULES = [
    "virtio",
    "virtio_ring",
    "virtio_pci_modern_dev",
    "virtio_pci_legacy_dev",
    "virtio_pci",
    "virtio_console",
]
_PATIENCE = 300
_PORT = "org.qemu.guest_agent.0"
_INIT = """#!/bin/sh
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev; mount -t proc proc /proc; mount -t sysfs sys /sys
for pass in 1 2 3 4; do for m in {modules}; do insmod /lib/$m.ko 2>/dev/null; done; done
echo 0 > /proc/sys/kernel/printk
until ls /dev/vport* >/dev/null 2>&1; do sleep 0.1; done
mkdir -p /run /tmp /var/run /etc
echo 'ID=ferrytest' > /etc/os-release
qemu-ga -m virtio-serial -p $(ls /dev/vport* | head -n1) -t /run -f /run/ga.pid >/run/ga.log 2>&1 &
stty -F /dev/ttyS0 -echo
exec setsid cttyhack sh -c 'echo READY; exec sh' </dev/ttyS0 >/dev/ttyS0 2>&1
"""
_DOMAIN = """<domain type='{kind}'><name>{name}</name><memory unit='MiB'>128</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type><kernel>{kernel}</kernel><initrd>{initrd}</initrd>
<cmdline>console=ttyS0 quiet panic=-1</cmdline></os><on_poweroff>destroy</on_poweroff>
<devices><channel type='unix'><target type='virtio' name='{port}'/></channel>
<serial type='unix'><source mode='bind' path='{serial}'/><target port='0'/></serial>
<memballoon model='none'/></devices></domain>"""


def missing() -> list[str]:
    """Name what this machine lacks; empty when the rig can work."""
    lacking = [p for p in ("busybox", "cpio", "qemu-ga") if shutil.which(p, path=_path()) is None]
    if not list(_KERNEL.glob("boot/vmlinuz-*")):
        lacking.append("a Linux kernel for guests (.ci/kernel)")
    return lacking


def build(folder: Path) -> tuple[Path, Path]:
    """Build the initramfs; return kernel and initramfs."""
    kernel = next(iter(sorted(_KERNEL.glob("boot/vmlinuz-*"))))
    version = kernel.name.removeprefix("vmlinuz-")
    tree = folder / "agent-tree"
    for name in ("bin", "dev", "proc", "sys", "lib", "Windows"):
        (tree / name).mkdir(parents=True)
    shutil.copy(str(shutil.which("busybox", path=_path())), tree / "bin/busybox")
    (tree / "bin/sh").symlink_to("busybox")
    agent = Path(str(shutil.which("qemu-ga", path=_path())))
    shutil.copy(agent, tree / "bin/qemu-ga")
    for library in _libraries(agent):
        place = tree / library.relative_to("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, place)
    for module in _MODULES:
        for found in (_KERNEL / "lib/modules" / version).rglob(f"{module}.ko"):
            shutil.copy(found, tree / "lib" / found.name)
    (tree / "init").write_text(_INIT.format(modules=" ".join(_MODULES)))
    (tree / "init").chmod(0o755)
    initrd = folder / "agent-initrd"
    run("sh", "-c", f"cd {tree} && find . | cpio -o -H newc --quiet > {initrd}")
    return kernel, initrd


def _libraries(program: Path) -> list[Path]:
    told = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    words = [word for word in told.split() if word.startswith("/")]
    return [Path(word) for word in dict.fromkeys(words)]


class AgentGuest:
    """The running guest. A context manager."""

    def __init__(self, daemon: PrivateLibvirtd, name: str) -> None:
        self.name = name
        self._daemon = daemon
        self._home = daemon.images / f"{name}.agent"
        self._home.mkdir()
        kernel, initrd = build(self._home)
        self._serial = self._home / "serial"
        xml = _DOMAIN.format(
            kind=domain_type(),
            name=name,
            port=_PORT,
            kernel=shutil.copy(kernel, self._home / "kernel"),
            initrd=initrd,
            serial=self._serial,
        )
        self.domain: Any = libvirt.open(daemon.uri).defineXML(xml)
        self._console = socket.socket(socket.AF_UNIX)
        self._number = 0

    def boot(self) -> AgentGuest:
        """Start it; return when its shell and its agent answer."""
        self.domain.create()
        self._console.settimeout(90)
        self._console.connect(str(self._serial))
        self._until("READY")
        self.shell("PS1=; PS2=")
        if agent_answers(self.domain):
            return self
        message = f"the guest's agent does not answer: {self.shell('cat /run/ga.log')}"
        raise AssertionError(message)

    def shell(self, script: str) -> str:
        """Run shell commands and return what they print."""
        self._number += 1
        mark = f"DONE{self._number}"
        self._console.sendall(f"{{ {script}\n}} 2>&1; echo {mark[:4]}''{mark[4:]}\n".encode())
        return self._until(mark)

    def file(self, path: str) -> bytes | None:
        """Return a file's content, None where it is not there."""
        told = self.shell(f"if [ -f '{path}' ]; then echo THERE; base64 '{path}'; fi")
        _, there, content = told.partition("THERE")
        return base64.b64decode("".join(content.split())) if there else None

    def files(self, folder: str) -> list[str]:
        """Name the files of ferry's in a folder."""
        return [name for name in self.shell(f"ls {folder}").split() if "ferry" in name]

    def remove(self) -> None:
        """Stop it, undefine it and delete its files."""
        self._console.close()
        # By a connection of its own: a test may have restarted libvirtd meanwhile.
        domain = libvirt.open(self._daemon.uri).lookupByName(self.name)
        if domain.isActive():
            domain.destroy()
        domain.undefine()
        shutil.rmtree(self._home)

    def _until(self, mark: str) -> str:
        told = ""
        while mark not in told:
            more = self._console.recv(65536).decode(errors="replace")
            assert more, f"the guest's console closed; it had said: {told[-500:]}"
            told += more
        return told.partition(mark)[0]


def agent_answers(domain: libvirt.virDomain) -> bool:
    """Wait until the agent of a running domain answers; False where it does not in time."""
    for _ in range(_PATIENCE):
        with contextlib.suppress(libvirt.libvirtError):
            libvirt_qemu.qemuAgentCommand(domain, '{"execute": "guest-ping"}', 5, 0)
            return True
        time.sleep(0.1)
    return False
