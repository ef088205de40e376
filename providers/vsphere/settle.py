"""Looking at a machine when nothing works on it: a controller that was killed during a slow task and comes
back at once must not decide before that task has ended."""

import re
from collections.abc import Sequence
from typing import Any

from orchestrator.model.machine import MachineRef
from providers.vsphere.batch import Seen
from providers.vsphere.convert import RUNNING
from providers.vsphere.faults import conflict
from providers.vsphere.inventory import VsphereInventory
from providers.vsphere.link import Link
from providers.vsphere.view import WHOLE, View

_OURS = re.compile("snapshot|consolidat|power|suspend|reset|reconfig", re.IGNORECASE)
"""Tasks that change what our steps decide on. A long migration or clone is for the preflight to report."""
_LOOKS = 5


def settled(
    link: Link,
    inventory: VsphereInventory,
    ref: MachineRef,
    what: str,
    *extra: str,
    beside: Sequence[Any] = (),
    paths: Sequence[str] = WHOLE,
) -> View:
    """Return the machine as it is once the tasks that could be ours have ended. `extra`, `beside` and `paths`
    (with "recentTask" among them) as in `VsphereInventory.view`.

    One call where none runs. `what` is about to be done. Raises ProviderError: NOT_FOUND; CONFLICT where they
    do not end.
    """
    for _ in range(_LOOKS):
        view = inventory.view(ref, *extra, beside=beside, paths=paths)
        under_way = [task for task in view.tasks if _may_be_ours(task)]
        if not under_way:
            return view
        link.settle(what, [task.obj for task in under_way])
    message = f"cannot {what}: one task after another works on it"
    raise conflict(message, "wait until that is over, then try again")


def ended(view: View, task: Any) -> bool:
    """Tell whether a task has come to a good end, by the machine's own recent tasks: nobody has to wait then.
    One answer is not one moment: the task may have ended after the machine itself was read."""
    return any(one.id == task._moId and one.props.get("info.state") == "success" for one in view.tasks)


def _may_be_ours(task: Seen) -> bool:
    running = task.props.get("info.state") in RUNNING
    return running and _OURS.search(str(task.props.get("info.descriptionId", ""))) is not None
