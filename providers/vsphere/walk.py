"""Ways through the inventory along its own properties: down to hosts, networks and datastores, up to the
folders that something is in. One call, where a view costs one more to make and one to take away. Pure: no
call.

Machines are listed by a view: of these there are thousands, and views are made for that.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from pyVmomi import vim, vmodl

_PC = vmodl.query.PropertyCollector
_Ways = tuple[tuple[str, type, str, tuple[str, ...]], ...]
"""Each with a name, where it starts, along which property it goes, and the names of the ways on."""
_WAYS: _Ways = (
    ("inside", vim.Folder, "childEntity", ("inside", "hosts", "networks", "datastores", "members")),
    ("hosts", vim.Datacenter, "hostFolder", ("inside",)),
    ("networks", vim.Datacenter, "networkFolder", ("inside",)),
    ("datastores", vim.Datacenter, "datastore", ()),
    ("members", vim.ComputeResource, "host", ()),
)
_ABOVE: _Ways = (("above", vim.ManagedEntity, "parent", ("above",)),)


def below(root: Any) -> Any:
    """Return the object spec that selects `root` and what lies below it: datacenters, hosts, networks,
    distributed switches, datastores."""
    return _from(root, _WAYS)


def all_of(root: Any, kind: type, paths: Sequence[str]) -> Any:
    """Return the filter spec for these paths of all objects of a kind that `below` selects."""
    return _filter([below(root)], kind, paths)


def above(objects: Iterable[Any], paths: Sequence[str]) -> Any:
    """Return the filter spec for these paths of objects of the inventory and of all that they are in."""
    return _filter([_from(obj, _ABOVE) for obj in objects], vim.ManagedEntity, paths)


def _filter(selected: list[Any], kind: type, paths: Sequence[str]) -> Any:
    props = _PC.PropertySpec(type=kind, pathSet=list(paths), all=False)
    return _PC.FilterSpec(objectSet=selected, propSet=[props], reportMissingObjectsInResults=False)


def _from(root: Any, ways: _Ways) -> Any:
    return _PC.ObjectSpec(obj=root, selectSet=[_way(*one) for one in ways])


def _way(name: str, start: type, path: str, further: tuple[str, ...]) -> Any:
    beyond = [_PC.SelectionSpec(name=one) for one in further]
    return _PC.TraversalSpec(name=name, type=start, path=path, skip=False, selectSet=beyond)
