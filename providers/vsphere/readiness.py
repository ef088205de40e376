"""What would keep a target from being staged. Reads only; what was read a moment ago serves several targets,
so that the preview of a fleet lists everything once."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from pyVmomi import vim

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.model.network import Finding
from orchestrator.model.target import CopyMode, TargetSpec
from providers.vsphere.batch import Props
from providers.vsphere.clone import LOOKED_AT, the_card
from providers.vsphere.convert import devices_of, disks
from providers.vsphere.customization import zone_index
from providers.vsphere.inventory import VsphereInventory
from providers.vsphere.link import Link
from providers.vsphere.networkrole import choose, misfit, refuse_uncreatable
from providers.vsphere.placement import Ground, Place, survey
from providers.vsphere.room import judge
from providers.vsphere.view import View

RELEASES = (2022, 2025)
LONGEST_NAME = 15
"""Characters in a Windows computer name."""
GUEST_IDS = {"windows2019srvNext_64Guest": 2022, "windows2022srvNext_64Guest": 2025}
"""vCenter's words for a release: each is named after the one before."""
_OLDER_IDS = ("windows9Server64Guest", "windows2019srv_64Guest", "windows2019srvNext_64Guest")
"""What a template of a later release is called by a vCenter that does not know it yet."""
_MEMORY_STEP = 4 * 1024**2
_TOOLS = "guest.toolsVersionStatus2"
_RECENT = 30.0


@dataclass(frozen=True, slots=True)
class _Read:
    ground: Ground
    at: float


class Readiness:
    """Findings for `Preflight.staging`. Shared between threads."""

    def __init__(self, link: Link, inventory: VsphereInventory) -> None:
        self._link = link
        self._inventory = inventory
        self._guard = threading.Lock()
        self._last: _Read | None = None
        self._templates: dict[str, tuple[float, View | None]] = {}

    def findings(self, spec: TargetSpec) -> tuple[Finding, ...]:
        """Return what was checked; a finding that is not ok is a hindrance."""
        begun, found = time.monotonic(), self._look(spec)
        if any(not one.ok for one in found) and self._forget_older(begun):
            # It may be gone by now, not least by what this run has done since.
            return self._look(spec)
        return found

    def _look(self, spec: TargetSpec) -> tuple[Finding, ...]:
        return (*spec_findings(spec), *self._image(spec), *self._place(spec))

    def _image(self, spec: TargetSpec) -> Iterator[Finding]:
        check = f"template {spec.image}"
        try:
            template = self._template(spec.image)
        except ProviderError as error:
            yield _refused(check, error)
            return
        if template is None:
            detail = "is not there, or is no template: give its name or inventory path"
            yield Finding(check=check, ok=False, detail=detail)
            return
        yield from template_findings(spec, template.props)

    def _place(self, spec: TargetSpec) -> Iterator[Finding]:
        try:
            ground = self._ground()
            place = ground.place(spec.placement, self._link.settings.datacenter)
        except ProviderError as error:
            yield _refused("placement", error)
            return
        yield Finding(check="placement", ok=True, detail=place_words(ground, place))
        yield self._name(spec, place)
        template = self._template(spec.image)
        if template is not None:
            size = sum(disk.size_bytes or 0 for disk in disks(devices_of(template.props)))
            yield judge(str(place.datastore.props["name"]), size, [place.datastore.props])
        yield self._network(spec, place)

    def _name(self, spec: TargetSpec, place: Place) -> Finding:
        index, check = self._link.content.searchIndex, f"name {spec.vm}"
        what = f"look whether the name {spec.vm} is free"
        taken = self._link.read(what, lambda: index.FindChild(place.folder, spec.vm)) is not None
        return Finding(check=check, ok=not taken, detail="is taken" if taken else "is free")

    def _network(self, spec: TargetSpec, place: Place) -> Finding:
        networks, wanted = self._inventory.known_networks, spec.network
        check = f"network {wanted.name}"
        try:
            found = choose(networks, networks.recent(wanted.name), wanted)
            if found is None:
                refuse_uncreatable(self._link, networks, wanted)
                return Finding(check=check, ok=True, detail="will be created")
            fault = misfit(found, wanted)
            if fault is None:
                place.host(spec.vm, found.id)
        except ProviderError as error:
            return _refused(check, error)
        return Finding(check=check, ok=fault is None, detail=fault or f"a {found.kind} portgroup")

    def _ground(self) -> Ground:
        with self._guard:
            if self._last is None or time.monotonic() - self._last.at >= _RECENT:
                self._last = _Read(survey(self._link), time.monotonic())
            return self._last.ground

    def _forget_older(self, begun: float) -> bool:
        """Forget what was read before that; tell whether there was any."""
        with self._guard:
            if self._last is None or self._last.at >= begun:
                return False
            self._last = None
            self._templates.clear()
            return True

    def _template(self, name: str) -> View | None:
        with self._guard:
            until, view = self._templates.get(name, (0.0, None))
            if time.monotonic() >= until:
                found = self._inventory.template(name)
                moids = [] if found is None else [str(found._moId)]
                view = next(iter(self._inventory.views(moids, *LOOKED_AT, _TOOLS)), None)
                self._templates[name] = (time.monotonic() + _RECENT, view)
            return view


def staging_findings(link: Link, inventory: VsphereInventory, spec: TargetSpec) -> tuple[Finding, ...]:
    """Return what was checked for one target alone; for several keep a `Readiness`."""
    return Readiness(link, inventory).findings(spec)


def spec_findings(spec: TargetSpec) -> Iterator[Finding]:
    """Judge what the spec alone shows."""
    known = spec.release in RELEASES
    detail = f"Windows Server {spec.release} is {'known' if known else 'not known: 2022 and 2025 are'}"
    yield Finding(check="release", ok=known, detail=detail)
    full = spec.copy_mode is CopyMode.FULL
    detail = "full" if full else f"{spec.copy_mode} is not possible here: write `copy: full`"
    yield Finding(check="copy", ok=full, detail=detail)
    fits = len(spec.computer_name) <= LONGEST_NAME
    detail = spec.computer_name if fits else f"{spec.computer_name} has more than {LONGEST_NAME} characters"
    yield Finding(check="computer name", ok=fits, detail=detail)
    whole = spec.memory_bytes % _MEMORY_STEP == 0
    detail = "a multiple of 4 MiB" if whole else "vSphere wants a multiple of 4 MiB"
    yield Finding(check="memory", ok=whole, detail=detail)
    try:
        index = zone_index(spec.time_zone)
        yield Finding(check="time zone", ok=True, detail=f"index {index}")
    except ProviderError as error:
        yield _refused("time zone", error)


def template_findings(spec: TargetSpec, props: Props) -> Iterator[Finding]:
    """Judge a template: its cards, the system it is said to hold, its VMware Tools."""
    check = f"template {spec.image}"
    try:
        the_card(props, spec.image)
        yield Finding(check=check, ok=True, detail="is there, with one network card")
    except ProviderError as error:
        yield _refused(check, error)
    yield _system(spec, str(props.get("config.guestId", "")))
    yield _tools(props)
    tpm = any(isinstance(device, vim.vm.device.VirtualTPM) for device in devices_of(props))
    if tpm:
        yield Finding(check="TPM", ok=True, detail="the target gets one of its own, empty")


def _system(spec: TargetSpec, guest: str) -> Finding:
    check, release = "template's system", GUEST_IDS.get(guest)
    if release == spec.release:
        return Finding(check=check, ok=True, detail=f"Windows Server {release} ({guest})")
    if guest in _OLDER_IDS and (release is None or release < spec.release):
        detail = f"is called {guest}, older than {spec.release}: is it the right template?"
        return Finding(check=check, ok=True, detail=detail)
    detail = f"is called {guest or 'nothing'}, which is no Windows Server {spec.release}"
    return Finding(check=check, ok=False, detail=detail)


def _tools(props: Props) -> Finding:
    """Without Tools vCenter cannot customize."""
    state = props.get(_TOOLS)
    if state is None:
        detail = "not told: without them in the template the target is never customized"
        return Finding(check="VMware Tools", ok=True, detail=detail)
    there = state != "guestToolsNotInstalled"
    detail = str(state) if there else "are not in the template: the target cannot be customized"
    return Finding(check="VMware Tools", ok=there, detail=detail)


def place_words(ground: Ground, place: Place) -> str:
    """Return a place in words."""
    folder = ground.seen.get(place.folder._moId)
    where = ground.path(place.datacenter) if folder is None else ground.path(folder)
    names = ", ".join(str(host.props["name"]) for host in place.hosts)
    return f"{where}, datastore {place.datastore.props['name']}, on one of {names}"


def _refused(check: str, error: ProviderError) -> Finding:
    """Turn a refusal into a finding; what only failed to be read is passed on."""
    if error.kind in (ErrorKind.TRANSIENT, ErrorKind.DENIED):
        raise error
    return Finding(check=check, ok=False, detail=f"{error.message}; {error.hint}".rstrip("; "))
