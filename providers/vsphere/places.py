"""Where machines stand in the inventory: paths of folders, as people name them. Reads in bulk, kept until
a folder turns up that is not known."""

import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from pyVmomi import vim

from providers.vsphere.batch import Seen
from providers.vsphere.faults import not_found
from providers.vsphere.link import Link

_LIMIT = 64
"""Folders in a path; more is a loop."""


class Places:
    """The folders and datacenters of one vCenter. Shared between threads."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._guard = threading.Lock()
        self._known: dict[str, Seen] = {}

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
            parent = seen.props["parent"]
        return "/" + "/".join(reversed(parts))

    def datacenter(self, name: str) -> Any:
        """Return the datacenter of this name. Raises ProviderError: NOT_FOUND."""
        for refresh in (False, True):
            for seen in self._all(refresh=refresh):
                if isinstance(seen.obj, vim.Datacenter) and seen.props.get("name") == name:
                    return seen.obj
        what = f"datacenter {name} on {self._link.endpoint}"
        raise not_found(what)

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

    def _seen(self, folder: Any) -> Seen | None:
        if folder._moId == self._link.content.rootFolder._moId:
            return None  # in no listing: asking again would not find it
        known = self._known.get(folder._moId)
        if known is None:
            known = next((s for s in self._all(refresh=True) if s.id == folder._moId), None)
        return known

    def _all(self, *, refresh: bool) -> Iterator[Seen]:
        with self._guard:
            if refresh or not self._known:
                kinds = [vim.Folder, vim.Datacenter, vim.VirtualApp]
                found = self._link.list_all("list the folders", kinds, ("name", "parent"))
                self._known = {seen.id: seen for seen in found}
            known = list(self._known.values())
        yield from known


def spellings(path: str) -> tuple[str, ...]:
    """Return how a plan file may name a machine of this path: whole, without its datacenter's "vm" folder.

    "/DC0/vm/Branch/APP07" is also "DC0/vm/Branch/APP07", "DC0/Branch/APP07" and "Branch/APP07".
    """
    datacenter, marker, rest = path.removeprefix("/").partition("/vm/")
    short = (f"{datacenter}/{rest}", rest) if marker else ()
    return tuple(dict.fromkeys((path, path.removeprefix("/"), *short)))
