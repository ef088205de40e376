"""Where a target goes: datacenter, cluster, pool, folder, datastore, host, each by name or path. What is left
open is taken only where exactly one is possible. One bulk read; the choosing is pure."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from pyVmomi import vim, vmodl

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.model.target import Placement
from providers.vsphere.batch import PAGE, Seen, read
from providers.vsphere.faults import conflict
from providers.vsphere.link import Link
from providers.vsphere.places import spellings

_PC = vmodl.query.PropertyCollector
_PATHS: tuple[tuple[Any, tuple[str, ...]], ...] = (
    (vim.ManagedEntity, ("name", "parent")),
    (vim.Datacenter, ("vmFolder",)),
    (vim.ComputeResource, ("resourcePool", "datastore", "host")),
    (vim.ResourcePool, ("owner",)),
    (vim.HostSystem, ("runtime.connectionState", "runtime.inMaintenanceMode", "datastore", "network")),
    (vim.Datastore, ("summary.accessible", "summary.freeSpace", "summary.maintenanceMode")),
)
_KINDS = (
    vim.Folder, vim.Datacenter, vim.ComputeResource, vim.ResourcePool, vim.HostSystem, vim.Datastore,
)  # fmt: skip
_LIMIT = 64
"""Steps up to the root; more is a loop."""
_SHOWN = 12
"""Candidates that a message names."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place for one target. `hosts` can run it, as far as they and their datastores tell."""

    datacenter: Seen
    folder: Any
    pool: Any
    datastore: Seen
    hosts: tuple[Seen, ...]

    def host(self, key: str, network: str) -> Any:
        """Return one of the hosts that have a network (by its managed object id), the same for the same key.
        Raises ProviderError: CONFLICT."""
        fit = [host for host in self.hosts if network in _ids(host.props.get("network"))]
        if not fit:
            names = ", ".join(str(host.props["name"]) for host in self.hosts)
            message = f"none of the hosts that could run {key} has its network: {names}"
            raise conflict(message, "stage on a network of these hosts, or name another cluster")
        return fit[hashlib.sha256(key.encode()).digest()[0] % len(fit)].obj


@dataclass(frozen=True, slots=True)
class Ground:
    """All places of one vCenter, by managed object id."""

    seen: Mapping[str, Seen]

    def place(self, wanted: Placement, datacenter: str | None = None) -> Place:
        """Choose; `datacenter` is the endpoint's own. Raises ProviderError: NOT_FOUND for a name that nothing
        bears, CONFLICT where several are possible; both with the candidates."""
        center = self._one("datacenter", wanted.datacenter or datacenter, self._of(vim.Datacenter))
        cluster = self._one("cluster", wanted.cluster, self._inside(vim.ComputeResource, center.id))
        hosts = self._hosts(cluster)
        stores = self._datastores(cluster, hosts)
        store = self._one("datastore", wanted.datastore, stores)
        mounted = tuple(h for h in hosts if store.id in _ids(h.props.get("datastore")))
        return Place(center, self._folder(center, wanted), self._pool(cluster, wanted), store, mounted)

    def path(self, one: Seen) -> str:
        """Return the whole inventory path ("/DC0/vm/Branch")."""
        parts: list[str] = []
        at: Seen | None = one
        for _ in range(_LIMIT):
            if at is None or at.props.get("parent") is None:
                break  # the root folder is in no path
            parts.append(unquote(str(at.props["name"])))
            at = self.seen.get(at.props["parent"]._moId)
        return "/" + "/".join(reversed(parts))

    def datacenter_of(self, one: Seen) -> Seen | None:
        """Return the datacenter that something belongs to."""
        return self._above(one, lambda above: isinstance(above.obj, vim.Datacenter))

    def _above(self, one: Seen, fits: Callable[[Seen], bool]) -> Seen | None:
        at: Seen | None = one
        for _ in range(_LIMIT):
            if at is None or fits(at):
                return at
            parent = at.props.get("parent")
            at = None if parent is None else self.seen.get(parent._moId)
        return None

    def _of(self, kind: type) -> list[Seen]:
        return [one for one in self.seen.values() if isinstance(one.obj, kind) and "name" in one.props]

    def _inside(self, kind: type, moid: str) -> list[Seen]:
        """Return the objects of a kind below an object."""
        return [
            one
            for one in self._of(kind)
            if one.id != moid and self._above(one, lambda above: above.id == moid) is not None
        ]

    def _pool(self, cluster: Seen, wanted: Placement) -> Any:
        """Without a name the cluster's own: others are a choice."""
        if wanted.pool is None:
            return cluster.props["resourcePool"]
        mine = [
            one
            for one in self._of(vim.ResourcePool)
            if one.props.get("owner") is not None
            and one.props["owner"]._moId == cluster.id
            and not isinstance(one.obj, vim.VirtualApp)
        ]
        return self._one("pool", wanted.pool, mine).obj

    def _folder(self, center: Seen, wanted: Placement) -> Any:
        """Without a name the datacenter's own."""
        top = center.props["vmFolder"]
        if wanted.folder is None:
            return top
        below = [self.seen[top._moId], *self._inside(vim.Folder, top._moId)]
        return self._one("folder", wanted.folder, below).obj

    def _hosts(self, cluster: Seen) -> list[Seen]:
        """Return the hosts that can take a machine now, by name."""
        members = [self.seen[moid] for moid in _ids(cluster.props.get("host")) if moid in self.seen]
        fit = [host for host in members if _works(host)]
        if not fit:
            message = f"no host of {self.path(cluster)} is connected and out of maintenance"
            raise conflict(message, "bring one back, or name another cluster")
        return sorted(fit, key=lambda host: str(host.props.get("name")))

    def _datastores(self, cluster: Seen, hosts: list[Seen]) -> list[Seen]:
        mounted = {moid for host in hosts for moid in _ids(host.props.get("datastore"))}
        known = [self.seen[moid] for moid in _ids(cluster.props.get("datastore")) if moid in self.seen]
        return [one for one in known if one.id in mounted and usable(one)]

    def _one(self, what: str, word: str | None, among: list[Seen]) -> Seen:
        fit = among if word is None else [one for one in among if names(word, self.path(one))]
        if len(fit) > 1 and word is not None:
            whole = [one for one in fit if self.path(one).removeprefix("/") == word.removeprefix("/")]
            fit = whole or fit
        if len(fit) == 1:
            return fit[0]
        paths = sorted(self.path(one) for one in (fit or among))
        shown = ", ".join(paths[:_SHOWN]) + (", ..." if len(paths) > _SHOWN else "") or "none"
        hint = f"name one of these in the target's `placement`: {shown}"
        if fit:
            said = f"{what} {word} may be any of {len(fit)}" if word else f"{len(fit)} {what}s are possible"
            raise conflict(said, hint)
        said = f"{what} {word} is not there" if word else f"there is no {what} that can be used"
        raise ProviderError(ErrorKind.NOT_FOUND, said, hint=hint)


def survey(link: Link) -> Ground:
    """Read all places. Three calls, and one for each further page. Raises ProviderError."""

    def walk() -> list[Seen]:
        content = link.content
        view = content.viewManager.CreateContainerView(content.rootFolder, list(_KINDS), True)
        try:
            hop = _PC.TraversalSpec(name="view", type=vim.view.ContainerView, path="view", skip=False)
            spec = _PC.FilterSpec(
                objectSet=[
                    _PC.ObjectSpec(obj=view, skip=True, selectSet=[hop]),
                    _PC.ObjectSpec(obj=content.rootFolder),
                ],
                propSet=[
                    _PC.PropertySpec(type=kind, pathSet=list(paths), all=False) for kind, paths in _PATHS
                ],
            )
            return list(read(content.propertyCollector, [spec], page=PAGE))
        finally:
            view.DestroyView()

    return Ground({one.id: one for one in link.read("list the places for a target", walk)})


def names(word: str, path: str) -> bool:
    """Tell whether a word names the object of this path: its name, its whole path, or the end of it."""
    if word.startswith("/"):
        return word.rstrip("/") == path
    wanted, parts = word.strip("/").split("/"), path.removeprefix("/").split("/")
    return parts[-len(wanted) :] == wanted or word in spellings(path)


def usable(datastore: Seen) -> bool:
    """Tell whether a datastore can take files."""
    props = datastore.props
    normal = str(props.get("summary.maintenanceMode", "normal")) == "normal"
    return normal and bool(props.get("summary.accessible", True))


def _works(host: Seen) -> bool:
    connected = str(host.props.get("runtime.connectionState", "connected")) == "connected"
    return connected and not host.props.get("runtime.inMaintenanceMode")


def _ids(references: Iterable[Any] | None) -> list[str]:
    return [str(one._moId) for one in references or ()]
