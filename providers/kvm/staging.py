"""The replacement: disk from a golden image, machine, answer medium; all named or marked by the token,
nothing overwritten.

Only where libvirtd is on this machine: disk and medium are local files. They lie beside the golden image.
"""

from pathlib import Path
from typing import Any

import libvirt

from orchestrator.contract.errors import ProviderError
from orchestrator.contract.provider import Effect, ObjectKind, ResolveSecret, unsupported
from orchestrator.diagnostics import FerryError
from orchestrator.model.machine import MachineRef
from orchestrator.model.target import CopyMode, GoldenImage, StagedTarget, TargetSpec
from providers.kvm.faults import conflict, not_found, permanent
from providers.kvm.hindrances import read_network
from providers.kvm.inventory import KvmInventory
from providers.kvm.link import Link, act
from providers.kvm.medium import answer_file, write_medium
from providers.kvm.overlays import token_mark
from providers.kvm.readiness import domain_type, users
from providers.kvm.storage import ensure_file, qemu_img, remove_ours
from providers.kvm.targetxml import (
    Parts,
    fingerprint,
    mac_address,
    machine_id,
    medium_of,
    target_xml,
    token_of,
)

_UNDEFINE = (
    libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
    | libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
)
_INACTIVE = libvirt.VIR_DOMAIN_XML_INACTIVE


class KvmStaging:
    """The Staging role. `accelerator` as in `readiness.domain_type`."""

    def __init__(self, link: Link, inventory: KvmInventory, accelerator: str, secrets: ResolveSecret) -> None:
        self._link = link
        self._inventory = inventory
        self._accelerator = accelerator
        self._secrets = secrets

    def ensure_target(self, spec: TargetSpec, effect: Effect) -> StagedTarget:
        """See the contract."""
        self._local()
        identity = machine_id(effect.token)
        domain = self._link.find_domain(_ref(spec.endpoint, identity, spec.vm))
        if domain is None:
            self._name_free(spec)
            image = self._golden(spec)
            parts = self._parts(spec, image, effect.token)
            self._files(spec, image, parts, effect)
            effect.intend(ObjectKind.VM, identity, spec.vm)
            text = target_xml(spec, image, parts, effect.token)
            domain = act(effect, f"define {spec.vm}", self._link.conn().defineXML, text)
        elif not effect.owns(ObjectKind.VM, identity):
            message = f"machine {spec.vm} bears this step's id, but is not in the ledger of this state"
            raise conflict(message, "it is left alone")
        effect.made(ObjectKind.VM, identity)
        return self._staged(spec, domain, effect.token)

    def customized(self, staged: StagedTarget, computer_name: str) -> bool | None:
        """See the contract."""
        guest = self._inventory.machine(_of(staged)).guest
        if guest is None or not guest.hostname:
            return None
        return guest.hostname.partition(".")[0].casefold() == computer_name.casefold()

    def ensure_medium_removed(self, staged: StagedTarget, effect: Effect) -> None:
        """See the contract."""
        self._local()
        domain = self._ours(staged)
        if domain is not None:
            self._eject(domain, staged.name, effect)
        for path in self._media(staged, effect):
            remove_ours(ObjectKind.MEDIUM, path, token_mark(staged.token), "the answer medium", effect)

    def fingerprint(self, staged: StagedTarget) -> str | None:
        """See the contract."""
        domain = self._link.find_domain(_of(staged))
        text = None if domain is None else self._link.find("read the target", domain.XMLDesc, _INACTIVE)
        return None if text is None else fingerprint(text)

    def ensure_target_removed(self, staged: StagedTarget, effect: Effect, *, keep_disks: bool) -> None:
        """See the contract. Kept disks stay in the ledger."""
        self._local()
        domain = self._ours(staged)
        if domain is not None:
            if not effect.owns(ObjectKind.VM, staged.id):
                message = f"machine {staged.name} is not in the ledger of this state: it is not removed"
                raise conflict(message, "remove it by virsh if nothing needs it")
            if self._link.read("ask for the domain's state", domain.isActive):
                act(effect, f"cut the power of {staged.name}", domain.destroy)
            act(effect, f"undefine {staged.name}", domain.undefineFlags, _UNDEFINE)
        if effect.owns(ObjectKind.VM, staged.id):
            effect.removed(ObjectKind.VM, staged.id)
        for path in self._media(staged, effect):
            remove_ours(ObjectKind.MEDIUM, path, token_mark(staged.token), "the answer medium", effect)
        for path in () if keep_disks else staged.disks:
            remove_ours(ObjectKind.DISK, path, token_mark(staged.token), "the target's disk", effect)

    def _local(self) -> None:
        if not self._link.local:
            what = "staging on another machine's libvirtd"
            raise unsupported(what, "run ferry on the machine that libvirtd runs on")

    def _name_free(self, spec: TargetSpec) -> None:
        if self._link.find("look up the target", lambda: self._link.conn().lookupByName(spec.vm)) is not None:
            message = f"there is a machine {spec.vm} already"
            raise conflict(message, "nothing that exists is overwritten; give the target another name")
        if read_network(self._link, spec.network.name) is None:
            what = f"network {spec.network.name}"
            raise not_found(what)

    def _golden(self, spec: TargetSpec) -> GoldenImage:
        found = self._inventory.images([spec.image])
        if not found:
            what = f"golden image {spec.image}"
            raise not_found(what)
        if found[0].firmware is None:
            message = f"golden image {found[0].id}: its partition table does not tell BIOS from UEFI"
            raise permanent(message, "is it a whole system disk?")
        writers = users(self._inventory, found[0])
        if writers:
            message = f"golden image {found[0].id} is written by {', '.join(writers)}"
            raise conflict(message, "a golden image must never change; stage from a copy of it")
        return found[0]

    def _parts(self, spec: TargetSpec, image: GoldenImage, token: str) -> Parts:
        beside = Path(image.id).parent / f"{spec.vm}.{token_mark(token)}"
        return Parts(f"{beside}.qcow2", f"{beside}.iso", domain_type(self._link, self._accelerator))

    def _files(self, spec: TargetSpec, image: GoldenImage, parts: Parts, effect: Effect) -> None:
        """Make disk and medium. The password is resolved here and nowhere else, and lives no longer than this
        call."""

        def make_disk(path: Path) -> None:
            if spec.copy_mode is CopyMode.OVERLAY:
                qemu_img(["create", "-q", "-f", "qcow2", "-b", image.id, "-F", image.format, str(path)])
            else:
                qemu_img(["convert", "-q", "-f", image.format, "-O", "qcow2", image.id, str(path)])

        def make_medium(path: Path) -> None:
            password = self._password(spec)
            mac = mac_address(effect.token)
            write_medium(path, answer_file(spec.computer_name, password, spec.address, mac))

        ensure_file(ObjectKind.DISK, Path(parts.disk), make_disk, "the target's disk", effect)
        ensure_file(ObjectKind.MEDIUM, Path(parts.medium), make_medium, "the answer medium", effect)

    def _password(self, spec: TargetSpec) -> str:
        try:
            return self._secrets(spec.admin_password)
        except ProviderError:
            raise
        except FerryError as error:
            # Names the reference, never the value.
            raise permanent(error.message, error.hint) from None

    def _staged(self, spec: TargetSpec, domain: Any, token: str) -> StagedTarget:
        text = self._link.read(f"read {spec.vm}", domain.XMLDesc, _INACTIVE)
        identity = machine_id(token)
        if token_of(text) != token:
            message = f"machine {spec.vm} ({identity}) does not bear this step's token"
            raise conflict(message, "somebody changed it; it is left alone")
        medium = medium_of(text)
        machine = self._inventory.machine(_ref(spec.endpoint, identity, spec.vm))
        return StagedTarget(
            endpoint=spec.endpoint,
            id=identity,
            name=spec.vm,
            token=token,
            fingerprint=fingerprint(text),
            disks=tuple(disk.source for disk in machine.disks if not disk.cdrom),
            medium=medium[0] if medium else None,
        )

    def _ours(self, staged: StagedTarget) -> Any | None:
        """Return the target's domain, None when it is gone. Raises ProviderError: CONFLICT when it bears
        another token."""
        domain = self._link.find_domain(_of(staged))
        text = None if domain is None else self._link.find("read the target", domain.XMLDesc, _INACTIVE)
        if text is not None and token_of(text) != staged.token:
            message = f"machine {staged.name} ({staged.id}) does not bear the token of this target"
            raise conflict(message, "it is left alone")
        return None if text is None else domain

    def _eject(self, domain: Any, name: str, effect: Effect) -> None:
        """Empty the answer drive, live and persistent; a tray that the guest locked is opened by force."""
        places = [(libvirt.VIR_DOMAIN_AFFECT_CONFIG, _INACTIVE)]
        if self._link.read("ask for the domain's state", domain.isActive):
            places.append((libvirt.VIR_DOMAIN_AFFECT_LIVE, 0))
        for flag, view in places:
            medium = medium_of(self._link.read(f"read {name}", domain.XMLDesc, view))
            if medium is not None:
                forced = flag | libvirt.VIR_DOMAIN_DEVICE_MODIFY_FORCE
                act(effect, f"eject the answer medium of {name}", domain.updateDeviceFlags, medium[1], forced)

    def _media(self, staged: StagedTarget, effect: Effect) -> list[str]:
        """Return where the medium can lie: where the target says, and beside its disks; only names that bear
        the token."""
        paths = [staged.medium] if staged.medium else []
        paths += [str(Path(disk).with_suffix(".iso")) for disk in staged.disks]
        return [p for p in dict.fromkeys(paths) if effect.owns(ObjectKind.MEDIUM, p)]


def _ref(endpoint: str, identity: str, name: str) -> MachineRef:
    return MachineRef(endpoint=endpoint, id=identity, name=name)


def _of(staged: StagedTarget) -> MachineRef:
    return _ref(staged.endpoint, staged.id, staged.name)
