"""What would hinder a later effect. Reads only; each finding says what was checked and why it hinders."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestrator.contract.errors import ProviderError
from orchestrator.model.machine import Consistency, Disk, Machine, PowerState
from orchestrator.model.network import Finding, IsolationSpec
from orchestrator.model.target import TargetSpec
from providers.kvm.hindrances import isolation_findings
from providers.kvm.inventory import KvmInventory
from providers.kvm.link import Link
from providers.kvm.readiness import staging_findings
from providers.kvm.storage import MIB, room

CHAIN_LIMIT = 8
"""Overlays a disk may have before another one is refused: each slows every read, and each must be merged some
day."""
SMALLEST_ROOM = 64 * MIB
REMOVABLE_SINCE = 9_000_000
"""The libvirt that removes external snapshots by itself."""


class KvmPreflight:
    """The Preflight role. `accelerator` is the endpoint's: "kvm", "qemu", or empty for what libvirt
    offers."""

    def __init__(self, link: Link, inventory: KvmInventory, accelerator: str) -> None:
        self._link = link
        self._inventory = inventory
        self._accelerator = accelerator

    def snapshot(self, machine: Machine, consistency: Consistency) -> tuple[Finding, ...]:
        """See the contract. An overlay is given a tenth of its disk's size, 64 MiB at least."""
        disks = snapshot_disks(machine)
        return (
            _consistency(machine, consistency),
            Finding(check="disks", ok=bool(disks), detail=f"{len(disks)} to snapshot"),
            *(finding for disk in machine.disks for finding in _disk(disk)),
            self._idle(machine, disks),
            *self._room(disks),
        )

    def isolation(self, machine: Machine, spec: IsolationSpec) -> tuple[Finding, ...]:
        """See the contract."""
        return isolation_findings(self._link, machine, spec)

    def staging(self, spec: TargetSpec) -> tuple[Finding, ...]:
        """See the contract."""
        return staging_findings(self._link, self._inventory, self._accelerator, spec)

    def rights(self) -> tuple[Finding, ...]:
        """None: libvirt lets a connection write or not, and tells nobody before it tries."""
        return ()

    def _idle(self, machine: Machine, disks: tuple[Disk, ...]) -> Finding:
        jobs = list(machine.busy)
        if machine.power is not PowerState.OFF:
            domain = self._link.domain(machine.ref)
            jobs += [job for disk in disks if (job := self._job(domain, disk.key)) and not machine.busy]
        return Finding(check="jobs", ok=not jobs, detail="; ".join(jobs) or "none under way")

    def _job(self, domain: Any, key: str) -> str:
        try:
            job = self._link.read("ask for block jobs", domain.blockJobInfo, key)
        except ProviderError as error:
            return f"block jobs of {key} cannot be told: {error.message}"
        return f"block job on {key}: {job.get('cur')} of {job.get('end')}" if job else ""

    def _room(self, disks: tuple[Disk, ...]) -> Iterator[Finding]:
        needed: dict[str, int] = {}
        for disk in disks:
            if disk.source.startswith("/"):
                folder = str(Path(disk.source).parent)
                wanted = max((disk.size_bytes or 0) // 10, SMALLEST_ROOM)
                needed[folder] = needed.get(folder, 0) + wanted
        for folder, amount in needed.items():
            yield room(self._link, folder, amount, "overlays")


def snapshot_disks(machine: Machine) -> tuple[Disk, ...]:
    """Return the disks that a snapshot holds: all that the guest can write."""
    return tuple(disk for disk in machine.disks if not disk.cdrom and not disk.read_only)


def _consistency(machine: Machine, consistency: Consistency) -> Finding:
    check = f"{consistency} consistency"
    if consistency is Consistency.CRASH:
        return Finding(check=check, ok=True, detail="possible running and stopped")
    if consistency is Consistency.OFFLINE:
        off = machine.power is PowerState.OFF
        detail = "the machine is off" if off else f"the machine is {machine.power}; shut it down first"
        return Finding(check=check, ok=off, detail=detail)
    return Finding(check=check, ok=False, detail="not supported on KVM yet; use crash or offline")


def _disk(disk: Disk) -> Iterator[Finding]:
    if disk.cdrom:
        return
    check = f"disk {disk.key}"
    overlays = len(disk.chain) - 1
    if disk.raw_passthrough:
        yield Finding(
            check=check, ok=False, detail=f"{disk.source} is passed through raw: no overlay is possible"
        )
    elif disk.shared:
        yield Finding(check=check, ok=False, detail="it is shared with another machine")
    elif not disk.source.startswith("/"):
        yield Finding(check=check, ok=False, detail=f"{disk.source or 'nothing'} is no image file")
    elif overlays >= CHAIN_LIMIT:
        detail = f"{overlays} overlays already; {CHAIN_LIMIT} is the limit: remove snapshots first"
        yield Finding(check=check, ok=False, detail=detail)
    else:
        yield Finding(check=check, ok=True, detail=f"{disk.format} image file, {overlays} overlays")
