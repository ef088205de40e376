"""The replacement on a simulated centre: disk, answer medium, machine, in this order; each found again by the
token.

The password stands in the medium only, a file of mode 0600 that a real guest would read once. It must not
reach the centre's own file.
"""

import hashlib
import json
import os
import uuid
from dataclasses import dataclass
from pathlib import Path

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.provider import Effect, ObjectKind, ResolveSecret
from orchestrator.model.machine import Firmware, MachineRef, PowerState
from orchestrator.model.target import CopyMode, StagedTarget, TargetSpec
from providers.simulated.imagefiles import copy_sparse, leftovers, unfinished
from providers.simulated.inventory import image_of
from providers.simulated.preflight import COPY_CAPABILITY, RELEASES
from providers.simulated.site import Site, conflict, find, short
from providers.simulated.store import mac_of
from providers.simulated.world import Attachment, Centre, FileMove, SimDisk, SimImage, SimMachine, SimNic

STAGING = frozenset(COPY_CAPABILITY.values())


@dataclass(frozen=True, slots=True)
class Names:
    """What the target's objects are called: all follow from the token, so that a repeat finds them."""

    vm: str
    disk: Path
    medium: Path


class SimStaging:
    """Implements the role Staging."""

    def __init__(self, site: Site, secrets: ResolveSecret) -> None:
        self._site = site
        self._secrets = secrets

    def ensure_target(self, spec: TargetSpec, effect: Effect) -> StagedTarget:
        """Create what is not there yet; the machine is left off."""
        self._site.need(COPY_CAPABILITY[spec.copy_mode])
        names = self._names(spec, effect.token)
        image = self._refuse_unless_possible(spec, effect, names)
        if names.vm not in self._site.read("staging.look").machines:
            self._copy(spec, image, names, effect)
            self._burn(spec, names, effect)
            self._define(spec, image, names, effect)
        return self._complete(names, effect)

    def _names(self, spec: TargetSpec, token: str) -> Names:
        stem = f"{spec.vm}.{short(token)}"
        vm = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{token}/vm"))
        return Names(vm, self._site.world.images / f"{stem}.raw", self._site.world.media / f"{stem}.json")

    def _refuse_unless_possible(self, spec: TargetSpec, effect: Effect, names: Names) -> SimImage:
        centre = self._site.read("staging.look")
        there = centre.by_name(spec.vm)
        if there is not None and there.id != names.vm:
            message = f"a machine called {spec.vm} exists"
            raise conflict(message, "give the target another name")
        image = image_of(centre, spec.image)
        if image is None:
            message = f"the golden image {spec.image} is not there"
            raise ProviderError(ErrorKind.NOT_FOUND, message, hint="add it, or correct its name")
        if spec.release not in RELEASES:
            message = f"release {spec.release} cannot be staged"
            raise ProviderError(ErrorKind.UNSUPPORTED, message, hint=f"one of {RELEASES}")
        if spec.network.name not in centre.networks:
            message = f"network {spec.network.name} is not there"
            raise ProviderError(ErrorKind.NOT_FOUND, message, hint="it has to be ensured first")
        for kind, path in ((ObjectKind.DISK, names.disk), (ObjectKind.MEDIUM, names.medium)):
            if path.exists() and not effect.owns(kind, str(path)):
                message = f"{path} exists and is not in this state's ledger"
                raise conflict(message, "move it away")
        return image

    def _copy(self, spec: TargetSpec, image: SimImage, names: Names, effect: Effect) -> None:
        if not names.disk.exists():
            effect.intend(ObjectKind.DISK, str(names.disk), spec.vm)
            what = f"copy {image.name} to {names.disk.name}"
            with self._site.change("staging.copy_disk", effect, what):
                copy_sparse(Path(image.path), names.disk)
        effect.made(ObjectKind.DISK, str(names.disk))

    def _burn(self, spec: TargetSpec, names: Names, effect: Effect) -> None:
        if not names.medium.exists():
            password = self._secrets(spec.admin_password)
            answers = {
                "computer_name": spec.computer_name,
                "admin_password": password,
                "address": spec.address.model_dump() if spec.address else "dhcp",
            }
            effect.intend(ObjectKind.MEDIUM, str(names.medium), spec.vm)
            with self._site.change("staging.make_medium", effect, f"make {names.medium.name}"):
                _write_private(names.medium, json.dumps(answers))
        effect.made(ObjectKind.MEDIUM, str(names.medium))

    def _define(self, spec: TargetSpec, image: SimImage, names: Names, effect: Effect) -> None:
        effect.intend(ObjectKind.VM, names.vm, spec.vm)
        with self._site.change("staging.ensure_target", effect, f"define {spec.vm}") as centre:
            if centre.by_name(spec.vm) is not None:
                message = f"a machine called {spec.vm} was made meanwhile"
                raise conflict(message, "give the target another name")
            centre.machines[names.vm] = _machine(spec, image, names, effect.token)

    def _complete(self, names: Names, effect: Effect) -> StagedTarget:
        """Say what is there now, and complete the ledger where a crash left it behind."""
        machine = self._site.read("staging.look").machines.get(names.vm)
        if machine is None:
            message = f"the target {names.vm} is gone right after it was made"
            raise ProviderError(ErrorKind.UNCERTAIN, message)
        effect.made(ObjectKind.VM, machine.id)
        return StagedTarget(
            endpoint=self._site.endpoint,
            id=machine.id,
            name=machine.name,
            token=effect.token,
            fingerprint=fingerprint_of(machine),
            disks=(str(names.disk),),
            medium=machine.medium,
        )

    def customized(self, staged: StagedTarget, computer_name: str) -> bool | None:
        """Compare the name that the guest gives."""
        self._site.need_any(STAGING, "staging")
        centre = self._site.read("staging.customized", _ref(staged))
        machine = find(centre, _ref(staged))
        if machine.power is not PowerState.ON or machine.guest is None:
            return None
        return machine.guest.hostname.casefold() == computer_name.casefold()

    def ensure_medium_removed(self, staged: StagedTarget, effect: Effect) -> None:
        """Eject and delete the medium, also where only the file was made."""
        self._site.need_any(STAGING, "staging")
        machine = self._site.read("staging.look", _ref(staged)).machines.get(staged.id)
        media = {path for path in (staged.medium, machine.medium if machine else None) if path}
        for path in sorted(media | set(self._half_made(staged))):
            self._remove_medium(path, staged, effect)

    def _half_made(self, staged: StagedTarget) -> list[str]:
        path = self._site.world.media / f"{staged.name}.{short(staged.token)}.json"
        return [str(path)] if leftovers(path) else []

    def _remove_medium(self, path: str, staged: StagedTarget, effect: Effect) -> None:
        if not effect.owns(ObjectKind.MEDIUM, path):
            if Path(path).exists():
                message = f"the medium {path} is not in this state's ledger"
                raise conflict(message, "remove it by hand")
            return
        machine = self._site.read("staging.look", _ref(staged)).machines.get(staged.id)
        if leftovers(Path(path)) or (machine is not None and machine.medium == path):
            what = f"eject and delete {Path(path).name}"
            with self._site.change("staging.ensure_medium_removed", effect, what, _ref(staged)) as centre:
                _eject(centre, staged.id, path)
        effect.removed(ObjectKind.MEDIUM, path)

    def fingerprint(self, staged: StagedTarget) -> str | None:
        """Return the definition's fingerprint now."""
        self._site.need_any(STAGING, "staging")
        machine = self._site.read("staging.fingerprint", _ref(staged)).machines.get(staged.id)
        return fingerprint_of(machine) if machine is not None else None

    def ensure_target_removed(self, staged: StagedTarget, effect: Effect, *, keep_disks: bool) -> None:
        """Stop and remove the machine and its medium; the disks too unless they are to be kept."""
        self._site.need_any(STAGING, "staging")
        machine = self._site.read("staging.look", _ref(staged)).machines.get(staged.id)
        if machine is not None:
            self._refuse_foreign(machine, staged, effect)
        self.ensure_medium_removed(staged, effect)
        if machine is not None:
            what = f"remove {staged.name}"
            with self._site.change("staging.ensure_target_removed", effect, what, _ref(staged)) as centre:
                centre.machines.pop(staged.id, None)
        if effect.owns(ObjectKind.VM, staged.id):
            effect.removed(ObjectKind.VM, staged.id)
        for path in () if keep_disks else staged.disks:
            self._delete_disk(path, effect)

    def _refuse_foreign(self, machine: SimMachine, staged: StagedTarget, effect: Effect) -> None:
        if machine.token != staged.token or not effect.owns(ObjectKind.VM, machine.id):
            message = f"{machine.name} was not staged by this state"
            raise conflict(message, "remove it by hand")
        if machine.snapshots:
            names = ", ".join(snapshot.name for snapshot in machine.snapshots)
            message = f"{machine.name} has snapshots: {names}"
            raise conflict(message, "remove them first")

    def _delete_disk(self, path: str, effect: Effect) -> None:
        if not effect.owns(ObjectKind.DISK, path):
            if Path(path).exists():
                message = f"the disk {path} is not in this state's ledger"
                raise conflict(message, "remove it by hand")
            return
        if left := leftovers(Path(path)):
            with self._site.change("staging.delete_disk", effect, f"delete {Path(path).name}") as centre:
                _refuse_in_use(centre, path)
                centre.pending += [FileMove(source=name, target=None) for name in left]
        effect.removed(ObjectKind.DISK, path)


def fingerprint_of(machine: SimMachine) -> str:
    """Return a hash over what an administrator defines; not over power, guest, medium, notes or who holds
    it."""
    defined = machine.model_dump(
        mode="json",
        include={"id", "name", "firmware", "machine_type", "arch", "cpus", "memory_bytes", "token"},
    )
    defined["disks"] = [
        disk.model_dump(include={"key", "bus", "size_bytes"}) | {"base": disk.chain[-1]}
        for disk in machine.disks
    ]
    defined["nics"] = [nic.model_dump(include={"mac", "model", "config"}) for nic in machine.nics]
    return hashlib.sha256(json.dumps(defined, sort_keys=True).encode()).hexdigest()


def _machine(spec: TargetSpec, image: SimImage, names: Names, token: str) -> SimMachine:
    base = [image.path] if spec.copy_mode is CopyMode.OVERLAY else []
    attachment = Attachment(network=f"network:{spec.network.name}")
    card = SimNic(mac=mac_of(token), model="e1000e", config=attachment)
    disk = SimDisk(key="sda", bus="sata", chain=[str(names.disk), *base], size_bytes=image.size_bytes)
    return SimMachine(
        id=names.vm,
        name=spec.vm,
        power=PowerState.OFF,
        disks=[disk],
        nics=[card],
        machine_type="q35",
        cpus=spec.cpus,
        memory_bytes=spec.memory_bytes,
        token=token,
        image=image.name,
        medium=str(names.medium),
        firmware=image.firmware or Firmware.BIOS,
    )


def _eject(centre: Centre, machine_id: str, path: str) -> None:
    machine = centre.machines.get(machine_id)
    if machine is not None and machine.medium == path:
        machine.medium = None
    centre.pending += [FileMove(source=name, target=None) for name in leftovers(Path(path))]


def _refuse_in_use(centre: Centre, path: str) -> None:
    for machine in centre.machines.values():
        if any(path in disk.chain for disk in machine.disks):
            message = f"{machine.name} uses the disk {path}"
            raise conflict(message, "remove that machine first")


def _ref(staged: StagedTarget) -> MachineRef:
    return MachineRef(endpoint=staged.endpoint, id=staged.id, name=staged.name)


def _write_private(path: Path, text: str) -> None:
    """Write beside with mode 0600, then rename: a half-written medium never bears the name."""
    beside = unfinished(path)
    beside.unlink(missing_ok=True)
    with os.fdopen(
        os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
    ) as file:
        file.write(text)
    beside.replace(path)
