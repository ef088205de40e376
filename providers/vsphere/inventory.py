"""What vCenter reports: machines, networks, templates. Reads only, in bulk: little of all, details only of
those that are named."""

import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any

from pyVmomi import vim

from orchestrator.model.endpoint import EndpointInfo
from orchestrator.model.machine import Firmware, Listed, Machine, MachineRef
from orchestrator.model.network import Network
from orchestrator.model.target import GoldenImage
from providers.vsphere.batch import Props, Seen, of
from providers.vsphere.convert import (
    CLAIM_PATH,
    DETAILED_PATH,
    DEVICES,
    LISTED,
    NAMED,
    VERSION_PATH,
    Around,
    card_path,
    cards,
    disks,
    to_listed,
    to_machine,
)
from providers.vsphere.faults import conflict, not_found
from providers.vsphere.link import Link
from providers.vsphere.networks import Networks
from providers.vsphere.places import Places, spellings
from providers.vsphere.view import HOPS, WHOLE, View, completed, tasks_of

_CHUNK = 100
"""Machines whose details are asked for in one call."""
_LATELY = 2.0
"""Seconds for which a machine's claim and version count as just read."""


class VsphereInventory:
    """The Inventory role."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self.places = Places(link)
        self.known_networks = Networks(link, self.places)
        self._listing = threading.Lock()
        self._guard = threading.Lock()
        self._ids: dict[str, str] = {}
        """Managed object ids by instance UUID: they last as long as the machine stays registered."""
        self._lately: dict[str, tuple[float, Seen]] = {}

    def about(self) -> EndpointInfo:
        """See the contract. The identity is vCenter's own instance UUID."""
        about = self._link.read("ask vCenter about itself", lambda: self._link.content.about)
        settings = self._link.settings
        notes = [] if settings.tls_verify else ["TLS certificates are not verified (tls_verify: false)"]
        return EndpointInfo(
            identity=f"vsphere:{about.instanceUuid or self._link.session.where}",
            product=about.name,
            version=f"{about.version} build {about.build}, API {about.apiVersion}",
            notes=tuple(notes),
        )

    def machines(self, names: Sequence[str] | None = None) -> tuple[Machine, ...]:
        """See the contract. Found by name, inventory path, managed object id and instance UUID; templates are
        no machines. Ordered by name."""
        if names is None:
            wanted = [s.id for s in self._list(*NAMED) if not s.props.get("config.template")]
        else:
            wanted = self._known(names) or self._found(names)
        views = self.views(wanted)
        if names is not None and len(views) < len(wanted):
            # A managed object id that was known is gone: the machine may be registered under another one.
            views = self.views(self._named(names))
        found = [self._machine(view) for view in views if not view.props.get("config.template")]
        return tuple(sorted(found, key=lambda m: (m.ref.name, m.ref.id)))

    def listing(self) -> tuple[Listed, ...]:
        """See the contract."""
        found = self._list(*LISTED, DETAILED_PATH)
        listed = [to_listed(one.props, self._link.endpoint, self._path(one)) for one in found]
        return tuple(sorted(listed, key=lambda one: (one.ref.name, one.ref.id)))

    def networks(self) -> tuple[Network, ...]:
        """See the contract."""
        return self.known_networks.all()

    def images(self, names: Sequence[str]) -> tuple[GoldenImage, ...]:
        """See the contract: templates, named as machines are."""
        found = self._index(names, templates=True)
        views = {view.vm._moId: view for view in self.views(found.values())}
        return tuple(
            to_image(name, views[moid].props)
            for name, moid in found.items()
            if moid in views and views[moid].props.get("config.template")
        )

    def vm(self, ref: MachineRef) -> Any:
        """Return a machine's managed object; no call where its id is known. Raises NOT_FOUND."""
        found = self._known([ref.id]) or self._by_uuid(ref)
        return self._link.obj(vim.VirtualMachine, found[0])

    def view(
        self,
        ref: MachineRef,
        *extra: str,
        beside: Sequence[Any] = (),
        paths: Sequence[str] = WHOLE,
        known: Sequence[Any] = (),
    ) -> View:
        """Return one machine as vCenter has it now, `extra` property paths too. Raises NOT_FOUND.

        What the filter specs `beside` select is read in the same call, unless some of it is gone. `paths` may
        name less than all that a `Machine` is made of. `known` are the devices that were just read: of these
        only the network cards are read again, one that is added meanwhile is not seen.
        """
        if known:
            paths = (*(path for path in paths if path != DEVICES), *map(card_path, cards(known)))
        for found in (self._known([ref.id]), None):
            moids = found or self._by_uuid(ref)
            for view in self.views(moids, *extra, beside=beside, paths=paths):
                if view.props.get("config.instanceUuid") == ref.id:
                    return completed(view, known) if known else view
            self._forget(ref.id)
        gone = f"machine {ref.name} ({ref.id}) on {ref.endpoint}"
        raise not_found(gone)

    def lately(self, ref: MachineRef) -> Seen | None:
        """Return a machine whose claim and version were read just now, whatever for; once, since whoever asks
        is about to change it. It serves for nothing but a change under that version."""
        with self._guard:
            at, seen = self._lately.pop(ref.id, (float("-inf"), None))
        return seen if time.monotonic() - at < _LATELY else None

    def machine(self, ref: MachineRef) -> Machine:
        """Return one machine. Raises ProviderError: NOT_FOUND."""
        return self._machine(self.view(ref))

    def to_machine(self, view: View) -> Machine:
        """Return a view as the contract's value; no call but for unknown folders."""
        return self._machine(view)

    def template(self, name: str) -> Any | None:
        """Return the managed object of the template of that name, or None. Raises ProviderError: CONFLICT."""
        found = self._index([name], templates=True)
        return self._link.obj(vim.VirtualMachine, found[name]) if found else None

    def views(
        self,
        moids: Iterable[str],
        *extra: str,
        beside: Sequence[Any] = (),
        paths: Sequence[str] = WHOLE,
    ) -> list[View]:
        """Return these machines as vCenter has them now; one that is gone is left out."""
        wanted = list(dict.fromkeys(moids))
        found = []
        for at in range(0, len(wanted), _CHUNK):
            found += self._chunk(wanted[at : at + _CHUNK], (*paths, *extra), beside)
        return found

    def _chunk(self, moids: list[str], paths: Sequence[str], beside: Sequence[Any] = ()) -> list[View]:
        vms = [self._link.obj(vim.VirtualMachine, moid) for moid in moids]
        spec = of(vim.VirtualMachine, vms, paths, *(hop for hop in HOPS if hop.path in paths))
        what, at = "read the machines", time.monotonic()
        seen = self._link.find(what, lambda: self._link.fetch(what, spec, *beside))
        if seen is None and beside:
            return self._chunk(moids, paths)
        if seen is None:  # one of them is gone, and vCenter names only that one
            return [] if len(moids) == 1 else [v for moid in moids for v in self._chunk([moid], paths)]
        names = {
            i: str(s.props["name"]) for i, s in seen.items() if isinstance(s.obj, vim.Network) and s.props
        }
        found = [seen[moid] for moid in moids if moid in seen and "config.instanceUuid" in seen[moid].props]
        self._learn(found)
        if {CLAIM_PATH, VERSION_PATH} <= {*paths}:
            with self._guard:
                versioned = [one for one in found if VERSION_PATH in one.props]
                self._lately.update({one.props["config.instanceUuid"]: (at, one) for one in versioned})
        return [View(one.obj, one.props, names, tasks_of(one, seen), seen) for one in found]

    def _machine(self, view: View) -> Machine:
        path = self.places.path(view.props.get("parent"), view.props["name"])
        around = Around(
            endpoint=self._link.endpoint,
            networks=view.networks,
            tasks=tuple(task.props for task in view.tasks),
            also=(*spellings(path), view.vm._moId),
        )
        return to_machine(view.props, around)

    def _list(self, *paths: str) -> list[Seen]:
        root = self.places.root() if self._link.settings.datacenter else None
        found = self._link.list_all("list the machines", [vim.VirtualMachine], paths, root)
        whole = [one for one in found if "config.instanceUuid" in one.props]
        self._learn(whole)
        self.places.learn(one.props.get("parent") for one in whole)
        return whole

    def _learn(self, found: Iterable[Seen]) -> None:
        with self._guard:
            self._ids.update({one.props["config.instanceUuid"]: one.id for one in found})

    def _forget(self, uuid: str) -> None:
        with self._guard:
            self._ids.pop(uuid, None)

    def _known(self, names: Sequence[str]) -> list[str]:
        """Return managed object ids if every name is a known instance UUID; else nothing."""
        with self._guard:
            found = [self._ids.get(name) for name in names]
        return [moid for moid in found if moid] if all(found) else []

    def _by_uuid(self, ref: MachineRef) -> list[str]:
        index = self._link.content.searchIndex
        what = f"look up machine {ref.name}"
        found = self._link.read(what, lambda: index.FindByUuid(None, ref.id, True, True))
        if found is None:
            gone = f"machine {ref.name} ({ref.id}) on {ref.endpoint}"
            raise not_found(gone)
        with self._guard:
            self._ids[ref.id] = str(found._moId)
        return [str(found._moId)]

    def _found(self, names: Sequence[str]) -> list[str]:
        """As `_named`; of threads that each look for one machine the first one's listing is for all."""
        with self._listing:
            return self._known(names) or self._named(names)

    def _named(self, names: Sequence[str]) -> list[str]:
        """Return the managed object ids of the machines that these words name."""
        return list(dict.fromkeys(self._index(names, templates=False).values()))

    def _index(self, names: Sequence[str], *, templates: bool) -> dict[str, str]:
        """Return the managed object ids of the machines (or templates) that these words name, by word, in one
        listing. A word that names none is left out."""
        index: dict[str, list[Seen]] = {}
        wanted = frozenset(names)
        for one in self._list(*NAMED):
            if bool(one.props.get("config.template")) is templates:
                path = self.places.path(one.props.get("parent"), one.props["name"])
                words = (one.props["name"], one.props["config.instanceUuid"], one.id, *spellings(path))
                for word in wanted.intersection(words):
                    index.setdefault(word, []).append(one)
        return {name: self._one(name, index[name]).id for name in names if name in index}

    def _one(self, name: str, found: list[Seen]) -> Seen:
        if len(found) == 1:
            return found[0]
        exact = [one for one in found if self._path(one).removeprefix("/") == name.removeprefix("/")]
        if len(exact) == 1:
            return exact[0]
        where = ", ".join(sorted(f"{self._path(one)} ({one.props['config.instanceUuid']})" for one in found))
        message = f"{name} names {len(found)} machines: {where}"
        raise conflict(message, "name it by its whole path or its instance UUID")

    def _path(self, one: Seen) -> str:
        return self.places.path(one.props.get("parent"), one.props["name"])


def to_image(name: str, props: Props) -> GoldenImage:
    """Read a template."""
    size = sum(disk.size_bytes or 0 for disk in disks(list(props.get("config.hardware.device", ()))))
    efi = props.get("config.firmware") == "efi"
    return GoldenImage(
        name=name,
        id=str(props["config.instanceUuid"]),
        size_bytes=size,
        format="template",
        firmware=Firmware.UEFI if efi else Firmware.BIOS,
    )
