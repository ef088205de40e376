"""Reading networks: all of them, or those that are known, each in one shared call. Reads only.

What a name stands for is looked up in all networks once and then remembered: a managed object id does
not change. What is said of it is read anew each time, unless `recent` is asked for.
"""

import math
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pyVmomi import vim, vmodl

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.model.network import Network
from providers.vsphere.batch import Batch, Seen, of
from providers.vsphere.link import Link
from providers.vsphere.places import Places
from providers.vsphere.portgroups import (
    DATASTORE,
    DISTRIBUTED,
    FIELD_NAME,
    HOST,
    NETWORK,
    SWITCH,
    Portgroup,
    Site,
    plain,
)
from providers.vsphere.walk import below

_PC = vmodl.query.PropertyCollector
_RECENT = 30.0
"""Seconds for which a preview takes what was read as it was."""
_LATELY = 5.0
"""Seconds for which the hosts of a fleet that all want one network share a look at it."""
_Distributed = vim.dvs.DistributedVirtualPortgroup
_PATHS: tuple[tuple[Any, tuple[str, ...]], ...] = (
    (vim.Network, NETWORK),
    (_Distributed, DISTRIBUTED),
    (vim.DistributedVirtualSwitch, SWITCH),
    (vim.HostSystem, HOST),
    (vim.Datacenter, ("name",)),
    (vim.Datastore, DATASTORE),
    (vim.CustomFieldsManager, ("field",)),
)


@dataclass(frozen=True, slots=True)
class _Remembered:
    site: Site
    at: float
    """When it was asked for."""


class Networks:
    """The networks of one vCenter. Shared between threads."""

    def __init__(self, link: Link, places: Places) -> None:
        self._link = link
        self._places = places
        # Of its own: in the answer is nothing that others asked for.
        self._walks = Batch(lambda: link.content.propertyCollector)
        self._everything: dict[str, Any] = {}
        self._guard = threading.Lock()
        self._ids: dict[str, tuple[Any, ...]] = {}
        self._last: _Remembered | None = None
        self._lately: dict[str, tuple[list[Portgroup], float]] = {}
        self._beside: dict[tuple[str, bool], Any] = {}

    def all(self) -> tuple[Network, ...]:
        """Return all networks as the contract shows them, ordered by name."""
        found = [one.network() for one in self.site().portgroups()]
        return tuple(sorted(found, key=lambda network: (network.name, network.id)))

    def site(self, *, since: float = math.inf) -> Site:
        """Read everything: one call, which all share who ask while another one is under way. None where that
        was read `since` then (by time.monotonic)."""
        with self._guard:
            last = self._last
        if last is not None and last.at >= since:
            return last.site
        now = time.monotonic()
        seen = self._link.read("list the networks", lambda: self._walks.ask(self._walk()))
        return self._learned(self._site(seen.values()), now)

    def datastores(self, *, since: float) -> list[Seen]:
        """Return the datastores if everything was read `since` then; else none, and no call is made."""
        with self._guard:
            last = self._last
        return last.site.of(vim.Datastore) if last is not None and last.at >= since else []

    def field(self) -> int | None:
        """Return the key of the custom attribute that bears tokens, in one call; None where there is none."""
        spec = of(vim.CustomFieldsManager, [self._link.content.customFieldsManager], ("field",))
        return self._site(self._link.fetch("read the custom attributes", spec).values()).field

    def named(self, name: str, seen: Mapping[str, Seen] | None = None) -> list[Portgroup]:
        """Return the networks of this name as they are now; `seen` is an answer to a question that had
        `beside(name)` in it."""
        known = self._known(name)
        read = self.among(seen, known) if seen is not None else self.look(known) if known else []
        found = [one for one in read if one.name == name]
        if not known or len(found) != len(known):
            found = [one for one in self.site().portgroups() if one.name == name]
        with self._guard:
            self._lately[name] = found, time.monotonic()
        return found

    def lately(self, name: str) -> list[Portgroup]:
        """Return the networks of this name if they were just looked at and not changed by us since; else
        nothing."""
        with self._guard:
            found, at = self._lately.get(name, ([], 0.0))
        return found if time.monotonic() - at < _LATELY else []

    def changed(self, name: str) -> None:
        """Forget how the networks of this name looked: they are changed now."""
        with self._guard:
            self._lately.pop(name, None)

    def beside(self, name: str, *, sealed: bool) -> list[Any]:
        """Return the filter specs that read the networks of this name along with something else; `sealed`:
        with the portgroups beside them."""
        content = self._link.content
        with self._guard:
            known = self._ids.get(name, ())
            if known and (name, sealed) not in self._beside:
                self._beside[name, sealed] = network_spec(known, content, siblings=sealed)
            # Always the same object: a batch asks it once for all machines.
            return [self._beside[name, sealed]] if known else []

    def recent(self, name: str) -> list[Portgroup]:
        """Return the networks of this name as they were a moment ago: for a preview, never for a proof."""
        return [one for one in self.last().portgroups() if one.name == name]

    def last(self) -> Site:
        """Return everything as it was a moment ago."""
        return self.site(since=time.monotonic() - _RECENT)

    def look(self, objects: Iterable[Any]) -> list[Portgroup]:
        """Return these networks as they are now, in one call; one that is gone is left out."""
        wanted = list(objects)
        try:
            seen = self._link.fetch("read networks", network_spec(wanted, self._link.content))
        except ProviderError as error:
            if error.kind is not ErrorKind.NOT_FOUND:
                raise
            return [] if len(wanted) == 1 else [pg for obj in wanted for pg in self.look([obj])]
        return self.among(seen, wanted)

    def among(self, seen: Mapping[str, Seen], objects: Iterable[Any]) -> list[Portgroup]:
        """Return these networks from an answer to `network_spec`."""
        site = self._site(seen.values())
        found = (site.portgroup(seen[obj._moId]) for obj in objects if obj._moId in seen)
        return [one for one in found if one is not None]

    def _known(self, name: str) -> tuple[Any, ...]:
        """Return what the name stood for when the networks were last listed."""
        with self._guard:
            return self._ids.get(name, ())

    def datacenter(self, portgroup: Portgroup) -> str | None:
        """Return the name of a network's datacenter."""
        return self._places.datacenter_of(portgroup.parent)

    def _walk(self) -> Any:
        """Return the filter spec for everything, always the same object for the same root."""
        root, fields = self._places.root(), self._link.content.customFieldsManager
        with self._guard:
            if root._moId not in self._everything:
                objects = [below(root), _PC.ObjectSpec(obj=fields)]
                self._everything[root._moId] = _spec(objects)
            return self._everything[root._moId]

    def _site(self, seen: Iterable[Seen]) -> Site:
        by_id = {one.id: one for one in seen if one.props}  # of one that may not be seen nothing is told
        fields = [f for one in by_id.values() for f in one.props.get("field", ()) if f.name == FIELD_NAME]
        return Site(by_id, next((int(field.key) for field in fields), None))

    def _learned(self, site: Site, at: float) -> Site:
        ids: dict[str, tuple[Any, ...]] = {}
        for one in site.of(vim.Network):
            name = plain(str(one.props.get("name", "")))
            ids[name] = (*ids.get(name, ()), self._link.obj(type(one.obj), one.id))
        with self._guard:
            if ids != self._ids:
                self._ids, self._beside = ids, {}
            self._last = _Remembered(site, at)
        return site


def network_spec(objects: Iterable[Any], content: Any, *, siblings: bool = True) -> Any:
    """Return the filter spec for networks with all that a `Portgroup` is made of; without `siblings`, a
    distributed one's `near` is not told: a switch may have hundreds of portgroups."""
    beside = _PC.TraversalSpec(
        name="dvs-net", type=vim.DistributedVirtualSwitch, path="portgroup", skip=False
    )
    along = [
        _PC.TraversalSpec(name="net-host", type=vim.Network, path="host", skip=False),
        _PC.TraversalSpec(
            name="net-dvs" if siblings else "net-dvs-only",
            type=_Distributed,
            path="config.distributedVirtualSwitch",
            skip=False,
            selectSet=[beside] if siblings else [],
        ),
    ]
    found = [_PC.ObjectSpec(obj=obj, selectSet=along) for obj in objects]
    return _spec([*found, _PC.ObjectSpec(obj=content.customFieldsManager)])


def _spec(objects: list[Any]) -> Any:
    props = [_PC.PropertySpec(type=kind, pathSet=list(paths), all=False) for kind, paths in _PATHS]
    return _PC.FilterSpec(objectSet=objects, propSet=props, reportMissingObjectsInResults=False)
