"""The way from a folder or datacenter down to its hosts, networks and datastores, along their own properties:
one call, where a view costs one more to make and one to take away. Pure: no call.

Machines are not reached: of these there are thousands, and views are made for that.
"""

from collections.abc import Sequence
from typing import Any

from pyVmomi import vim, vmodl

_PC = vmodl.query.PropertyCollector
_WAYS: tuple[tuple[str, type, str, tuple[str, ...]], ...] = (
    ("inside", vim.Folder, "childEntity", ("inside", "hosts", "networks", "datastores", "members")),
    ("hosts", vim.Datacenter, "hostFolder", ("inside",)),
    ("networks", vim.Datacenter, "networkFolder", ("inside",)),
    ("datastores", vim.Datacenter, "datastore", ()),
    ("members", vim.ComputeResource, "host", ()),
)
"""Each with a name, where it starts, along which property it goes, and the names of the ways on."""


def below(root: Any) -> Any:
    """Return the object spec that selects `root` and what lies below it: datacenters, hosts, networks,
    distributed switches, datastores."""
    return _PC.ObjectSpec(obj=root, selectSet=[_way(*one) for one in _WAYS])


def all_of(root: Any, kind: type, paths: Sequence[str]) -> Any:
    """Return the filter spec for these paths of all objects of a kind that `below` selects."""
    props = _PC.PropertySpec(type=kind, pathSet=list(paths), all=False)
    return _PC.FilterSpec(objectSet=[below(root)], propSet=[props], reportMissingObjectsInResults=False)


def _way(name: str, start: type, path: str, further: tuple[str, ...]) -> Any:
    beyond = [_PC.SelectionSpec(name=one) for one in further]
    return _PC.TraversalSpec(name=name, type=start, path=path, skip=False, selectSet=beyond)
