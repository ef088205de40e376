"""Where machines stand in the inventory: paths of folders, as people name them. A folder is read once, with
all that it is in."""

import threading
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

from pyVmomi import vim

from providers.vsphere.batch import Seen, read
from providers.vsphere.faults import not_found
from providers.vsphere.link import Link
from providers.vsphere.walk import above, all_of

_LIMIT = 64
"""Folders in a path; more is a loop."""


class Places:
    """The folders and datacenters of one vCenter. Shared between threads."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._guard = threading.Lock()
        self._known: Mapping[str, Seen] = {}
        self._centers: Mapping[str, Any] = {}
        """Datacenters by name."""

    def path(self, parent: Any, name: str) -> str:
        """Return the full path of something in a folder ("/DC0/vm/Branch/APP07")."""
        parts = [unquote(name)]
        for _ in range(_LIMIT):
            if parent is None:
                break
            seen = self._seen(parent)
            if seen is None:
                break  # the root folder is in no path
            parts.append(unquote(str(seen.props["name"])))
            parent = seen.props.get("parent")
        return "/" + "/".join(reversed(parts))

    def datacenter(self, name: str) -> Any:
        """Return the datacenter of this name. Raises ProviderError: NOT_FOUND."""
        if name not in self._centers:
            spec = all_of(self._link.content.rootFolder, vim.Datacenter, ("name",))
            found = self._read("list the datacenters", spec)
            self._centers = {str(one.props["name"]): one.obj for one in found}
        if name not in self._centers:
            what = f"datacenter {name} on {self._link.endpoint}"
            raise not_found(what)
        return self._centers[name]

    def datacenter_of(self, parent: Any) -> str | None:
        """Return the name of the datacenter that a folder belongs to."""
        for _ in range(_LIMIT):
            seen = None if parent is None else self._seen(parent)
            if seen is None:
                return None
            if isinstance(seen.obj, vim.Datacenter):
                return str(seen.props["name"])
            parent = seen.props.get("parent")
        return None

    def root(self) -> Any:
        """Return the object below which this endpoint looks: its datacenter, or the root folder."""
        name = self._link.settings.datacenter
        return self._link.content.rootFolder if name is None else self.datacenter(name)

    def learn(self, folders: Iterable[Any]) -> None:
        """Read those folders that are not known yet, in one call: for whoever asks for many paths."""
        root = self._link.content.rootFolder._moId  # in no path
        with self._guard:
            new = {one._moId: one for one in folders if one is not None and one._moId not in self._known}
            new.pop(root, None)
            if new:
                found = self._read("read the folders", above(new.values(), ("name", "parent")))
                self._known = {**self._known, **{one.id: one for one in found}}

    def _seen(self, folder: Any) -> Seen | None:
        if folder._moId == self._link.content.rootFolder._moId:
            return None
        if folder._moId not in self._known:
            self.learn([folder])
        return self._known.get(folder._moId)

    def _read(self, what: str, spec: Any) -> list[Seen]:
        """Return what a filter spec selects, as far as it is there and may be seen."""
        seen = self._link.find(what, lambda: list(read(self._link.content.propertyCollector, [spec])))
        return [one for one in seen or () if "name" in one.props]


def spellings(path: str) -> tuple[str, ...]:
    """Return how a plan file may name a machine of this path: whole, without its datacenter's "vm" folder.

    "/DC0/vm/Branch/APP07" is also "DC0/vm/Branch/APP07", "DC0/Branch/APP07" and "Branch/APP07".
    """
    datacenter, marker, rest = path.removeprefix("/").partition("/vm/")
    short = (f"{datacenter}/{rest}", rest) if marker else ()
    return tuple(dict.fromkeys((path, path.removeprefix("/"), *short)))
