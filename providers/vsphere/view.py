"""One machine as vCenter has it, and what belongs to it in the same answer. Pure: no call."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pyVmomi import vim

from providers.vsphere.batch import Hop, Props, Seen
from providers.vsphere.convert import DETAILED_PATH, DETAILS, DEVICES, TASKS, card_path, cards

WHOLE = (*DETAILS, DETAILED_PATH)
"""All that a `Machine` is made of."""
HOPS = (
    Hop(vim.VirtualMachine, "network", vim.Network, ("name",)),
    Hop(vim.VirtualMachine, "recentTask", vim.Task, TASKS),
)
"""Who reads such a property reads of the objects, too."""


@dataclass(frozen=True, slots=True)
class View:
    """A machine as vCenter has it: its properties, the names of the networks that it is on, its tasks."""

    vm: Any
    props: Props
    networks: dict[str, str]
    tasks: tuple[Seen, ...]
    seen: Mapping[str, Seen]
    """The whole answer, with what was asked for beside the machine."""


def completed(view: View, known: Sequence[Any]) -> View:
    """Return a view with the devices that were known, the network cards among them as they are now."""
    fresh = {path: view.props.get(path) for path in map(card_path, cards(known))}
    now = [fresh.get(card_path(one), one) for one in known]
    return replace(view, props={**view.props, DEVICES: [one for one in now if one is not None]})


def tasks_of(machine: Seen, seen: Mapping[str, Seen]) -> tuple[Seen, ...]:
    """Return a machine's recent tasks that are in an answer."""
    ids = (task._moId for task in machine.props.get("recentTask", ()))
    return tuple(seen[moid] for moid in ids if moid in seen)
