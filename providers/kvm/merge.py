"""Removing a snapshot by merging its overlay, which libvirt does; and what is left when libvirt dies in the
middle of it.

To merge a stopped machine's snapshot libvirt starts its QEMU paused, so that no guest code runs. It does not
do so for an older one of several snapshots (9.0: "could not find base disk source"), so that is done here.
Before any merge the machine is marked with the token and its power: jobs that are found on a marked machine
are the interrupted merge's, and one that was off and is found paused is stopped again.
"""

import time
from typing import Any

import libvirt

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.provider import Effect
from orchestrator.model.machine import Machine, MachineRef
from providers.kvm.convert import SnapshotView, pinned_disks
from providers.kvm.faults import conflict
from providers.kvm.link import Link, act
from providers.kvm.metadata import PERSISTENT, Mark

_MERGING = Mark("merge")
_ON, _OFF = "on", "off"
_PAUSED_FOR_US = libvirt.VIR_DOMAIN_START_PAUSED | libvirt.VIR_DOMAIN_START_AUTODESTROY
"""Autodestroy: should this process die, libvirtd stops the machine again."""
_END_SECONDS = 60


class Merger:
    """Merges snapshots of ours."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def merge(self, domain: Any, machine: Machine, found: SnapshotView, token: str, effect: Effect) -> None:
        """Delete the snapshot; returns when the merge is done. Raises ProviderError: CONFLICT while another
        job is under way."""
        name, snapshot = machine.ref.name, found.snapshot.name
        if self._mark(domain, token) is not None:
            self._abort_left_jobs(domain, machine, effect)
        elif machine.busy:
            message = f"machine {name} is busy: {'; '.join(machine.busy)}"
            raise conflict(message, "wait for its end (virsh blockjob) and try again")
        elif self._link.read("ask for the domain's state", domain.isPersistent):
            values = {"token": token, "was": _ON if self._active(domain) else _OFF}
            _MERGING.write(domain, PERSISTENT, values, f"mark {name} as being merged", effect)
        if not self._active(domain) and _buried(machine, found):
            act(effect, f"start {name} paused, to merge its snapshot", domain.createWithFlags, _PAUSED_FOR_US)
        known = self._link.read("look up the snapshot", domain.snapshotLookupByName, snapshot)
        act(effect, f"remove snapshot {snapshot} of {name}", known.delete)
        self.finish(domain, machine.ref, token, effect)
        self._unpin(domain, name, found, effect)

    def finish(self, domain: Any, ref: MachineRef, token: str, effect: Effect) -> None:
        """Stop a machine that was only started to merge this token's snapshot, and take the mark off."""
        mark = self._mark(domain, token)
        if mark is None:
            return
        state, _ = self._link.read("ask for the domain's state", domain.state)
        if mark.get("was") == _OFF and state == libvirt.VIR_DOMAIN_PAUSED:
            act(effect, f"stop {ref.name} again, which was started paused to merge", domain.destroy)
        _MERGING.write(domain, PERSISTENT, None, f"take the merge's mark off {ref.name}", effect)

    def _unpin(self, domain: Any, name: str, found: SnapshotView, effect: Effect) -> None:
        """Take the backing chain out of the definition where it was not written out before the snapshot."""
        if not self._link.read("ask for the domain's state", domain.isPersistent):
            return
        text = self._link.read(f"read {name}", domain.XMLDesc, libvirt.VIR_DOMAIN_XML_INACTIVE)
        for key, disk in pinned_disks(text).items():
            if key in found.overlays and key not in found.pinned:
                what = f"restore the definition of disk {key} of {name}"
                act(effect, what, domain.updateDeviceFlags, disk, PERSISTENT)

    def _abort_left_jobs(self, domain: Any, machine: Machine, effect: Effect) -> None:
        """End the job of a merge that libvirtd died in; the merge is then begun anew, and nothing is lost."""
        if not self._active(domain):
            return
        for key in [disk.key for disk in machine.disks if not disk.cdrom]:
            if not self._job(domain, key):
                continue
            try:
                act(effect, f"end the interrupted merge of {key}", domain.blockJobAbort, key)
            except ProviderError as error:
                # A libvirtd that came up again ends it by itself, and then refuses to be asked.
                if error.kind is ErrorKind.UNCERTAIN:
                    raise
            self._await_end(domain, machine.ref, key)

    def _await_end(self, domain: Any, ref: MachineRef, key: str) -> None:
        until = time.monotonic() + _END_SECONDS
        while self._job(domain, key):
            if time.monotonic() > until:
                message = f"the interrupted merge of {key} of {ref.name} does not end"
                hint = "look at virsh blockjob, end it by virsh blockjob --abort, then resume"
                raise ProviderError(ErrorKind.TIMEOUT, message, hint=hint)
            time.sleep(0.1)

    def _job(self, domain: Any, key: str) -> bool:
        return bool(self._link.read("ask for block jobs", domain.blockJobInfo, key))

    def _active(self, domain: Any) -> bool:
        return bool(self._link.read("ask for the domain's state", domain.isActive))

    def _mark(self, domain: Any, token: str) -> dict[str, str] | None:
        """Return the mark of this token's merge; a machine without a persistent definition bears none."""
        if not self._link.read("ask for the domain's state", domain.isPersistent):
            return None
        mark = _MERGING.read(self._link, domain, PERSISTENT)
        return mark if mark is not None and mark.get("token") == token else None


def _buried(machine: Machine, found: SnapshotView) -> bool:
    """Tell whether a newer overlay lies above the snapshot's."""
    sources = {disk.source for disk in machine.disks}
    return any(path not in sources for path in found.overlays.values())
