"""What this host itself says of bridges and their ports: sysfs, addresses, the kernel's bridge filter.

Reads only. It must not believe libvirt, whose word it is there to check. Only for a libvirtd on this very
host and in this network namespace.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.contract.errors import ErrorKind, ProviderError
from providers.kvm.addresses import device_addresses

_SYS = Path("/sys/class/net")
_SECONDS = 20
_SBIN = "/usr/sbin:/sbin"


@dataclass(frozen=True, slots=True)
class Port:
    """One port of a bridge. `isolated`: the bridge never forwards between it and other isolated ports."""

    name: str
    tap: bool
    isolated: bool


@dataclass(frozen=True, slots=True)
class Chains:
    """The kernel's bridge filter for one tap: whether frames go through it, and its rules, in order.

    `out` is what the guest sends, `back` what it receives.
    """

    entered_out: bool
    entered_back: bool
    out: tuple[str, ...] = ()
    back: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HostView:
    """What the host showed at one moment. `addresses` by device; `filters` is the saved ebtables nat table,
    None where it was not asked for, or only root may read it."""

    addresses: dict[str, tuple[str, ...]]
    filters: tuple[str, ...] | None
    sysfs: Path = field(default=_SYS)

    def master(self, device: str) -> str | None:
        """Return the bridge whose port the device is; None where it is none, or is not there."""
        link = self.sysfs / device / "master"
        return link.readlink().name if link.is_symlink() else None

    def is_bridge(self, device: str) -> bool:
        """Tell whether it is a bridge of the kernel."""
        return kernel_bridge(device, self.sysfs)

    def ports(self, bridge: str) -> tuple[Port, ...]:
        """Return the ports of a bridge, by name."""
        folder = self.sysfs / bridge / "brif"
        return tuple(self.port(p.name) for p in sorted(folder.iterdir())) if folder.is_dir() else ()

    def port(self, device: str) -> Port:
        """Return one port."""
        isolated = _text(self.sysfs / device / "brport" / "isolated") == "1"
        return Port(device, (self.sysfs / device / "tun_flags").exists(), isolated)

    def chains(self, tap: str) -> Chains | None:
        """Return the kernel's rules for a tap as libvirt names them; None where they cannot be read."""
        if self.filters is None:
            return None
        out, back = f"libvirt-I-{tap}", f"libvirt-O-{tap}"
        return Chains(
            f"-A PREROUTING -i {tap} -j {out}" in self.filters,
            f"-A POSTROUTING -o {tap} -j {back}" in self.filters,
            _rules(self.filters, out),
            _rules(self.filters, back),
        )


def look(*, chains: bool = True) -> HostView:
    """Look at this host, without `chains` not at the kernel's filter. Raises ProviderError where a tool is
    missing or fails."""
    readable = chains and os.geteuid() == 0 and find_tool("ebtables-save")
    saved = _run("ebtables-save").splitlines() if readable else None
    return HostView(device_addresses(), None if saved is None else _nat_table(saved))


def kernel_bridge(device: str, sysfs: Path = _SYS) -> bool:
    """Tell whether it is a bridge of the kernel; Open vSwitch's are not, and ebtables does not see them."""
    return (sysfs / device / "bridge").is_dir()


def find_tool(name: str) -> str | None:
    """Find a program, also where only root's path leads."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:{_SBIN}")


def _nat_table(saved: Sequence[str]) -> tuple[str, ...]:
    table, kept = "", []
    for line in saved:
        table = line if line.startswith("*") else table
        if table == "*nat" and line.startswith("-A "):
            kept.append(line.strip())
    return tuple(kept)


def _rules(filters: Sequence[str], chain: str) -> tuple[str, ...]:
    start = f"-A {chain} "
    return tuple(line.removeprefix(start) for line in filters if line.startswith(start))


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _run(*command: str) -> str:
    program = find_tool(command[0])
    if program is None:
        message = f"the program {command[0]} is not on this host, so its networks cannot be looked at"
        raise ProviderError(ErrorKind.UNSUPPORTED, message, hint="install ebtables")
    try:
        done = subprocess.run(
            [program, *command[1:]], capture_output=True, text=True, timeout=_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        message = f"cannot look at this host's networks: {' '.join(command)}: {error}"
        raise ProviderError(ErrorKind.TRANSIENT, message) from error
    return done.stdout
