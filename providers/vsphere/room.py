"""Free space on datastores. All of them are read in one call, and for a few seconds nobody asks again: the
preflight of thousands of machines is not thousands of calls."""

import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from pyVmomi import vim

from orchestrator.model.machine import Machine
from orchestrator.model.network import Finding
from providers.vsphere.batch import Props, Seen
from providers.vsphere.inventory import VsphereInventory
from providers.vsphere.link import Link
from providers.vsphere.portgroups import DATASTORE
from providers.vsphere.walk import all_of

GIB = 1024**3
_FRESH_SECONDS = 5.0
_JUST_NOW = 1.0


class Datastores:
    """The datastores of one vCenter. Shared between threads."""

    def __init__(self, link: Link, inventory: VsphereInventory) -> None:
        self._link = link
        self._inventory = inventory
        self._guard = threading.Lock()
        self._known: dict[str, Props] = {}
        self._until = 0.0

    def room(self, needed: Mapping[str, int], machine: Machine) -> tuple[Finding, ...]:
        """Say for each datastore, by its name in the machine's files, whether it has these bytes free."""
        known = self._fresh()
        return tuple(
            judge(name, amount, in_datacenter(known, name, datacenter_path(machine)))
            for name, amount in needed.items()
        )

    def _fresh(self) -> dict[str, Props]:
        """Return the datastores, see `_by_path`."""
        with self._guard:
            if time.monotonic() >= self._until:
                found = [one.props for one in self._read() if isinstance(one.obj, vim.Datastore)]
                self._known = self._by_path([one for one in found if "name" in one])
                self._until = time.monotonic() + _FRESH_SECONDS
            return self._known

    def _read(self) -> Iterable[Seen]:
        """Read them, unless they were just read with the networks."""
        just_read = self._inventory.known_networks.datastores(since=time.monotonic() - _JUST_NOW)
        if just_read:
            return just_read
        spec = all_of(self._link.content.rootFolder, vim.Datastore, DATASTORE)
        return self._link.fetch("list the datastores", spec).values()

    def _by_path(self, found: Sequence[Props]) -> dict[str, Props]:
        """Return datastores by path; by name alone where no other one has it: that needs no folder."""
        places, names = self._inventory.places, Counter(one["name"] for one in found)
        places.learn(one.get("parent") for one in found if names[one["name"]] > 1)
        return {
            places.path(one.get("parent"), one["name"]) if names[one["name"]] > 1 else one["name"]: one
            for one in found
        }


def datastore_of(file: str) -> str:
    """Return the datastore of a file ("[ds1] app07/app07.vmdk"); empty where it names none."""
    return file[1:].partition("]")[0] if file.startswith("[") else ""


def datacenter_path(machine: Machine) -> str:
    """Return the path of the machine's datacenter ("/DC0"), as its own inventory path has it; else empty."""
    path = next((word for word in machine.also if word.startswith("/")), "")
    before, marker, _ = path.partition("/vm/")
    return before if marker else ""


def in_datacenter(known: Mapping[str, Props], name: str, datacenter: str) -> list[Props]:
    """Return the datastores of this name, of this datacenter alone if it is known: others may have one of the
    same name."""
    named = {path: props for path, props in known.items() if props.get("name") == name}
    near = [props for path, props in named.items() if path.startswith(f"{datacenter}/datastore/")]
    return near or list(named.values())


def judge(name: str, needed: int, found: list[Props]) -> Finding:
    """Judge the room on a datastore; of several that it may be, the one with the least."""
    check = f"room on {name}"
    if not found:
        detail = "this datastore is not listed, so its room cannot be told: may the account see it?"
        return Finding(check=check, ok=False, detail=detail)
    tight = min(found, key=lambda one: int(one.get("summary.freeSpace", 0)))
    if not tight.get("summary.accessible", True):
        return Finding(check=check, ok=False, detail="the datastore is not accessible")
    mode = str(tight.get("summary.maintenanceMode", "normal"))
    if mode != "normal":
        return Finding(check=check, ok=False, detail=f"the datastore is in maintenance ({mode})")
    free = int(tight.get("summary.freeSpace", 0))
    detail = f"{free / GIB:.1f} GiB free, {needed / GIB:.1f} GiB wanted"
    return Finding(check=check, ok=free >= needed, detail=detail)
