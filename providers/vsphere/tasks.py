"""Waiting for tasks: one thread with a property collector of its own waits for all of them.

A collector shared by several waiters loses updates (measured), and asking for each task costs a call each
time. A task that has ended when it is first looked at costs no collector at all.
"""

import threading
import time
from dataclasses import dataclass, field
from typing import Any

from pyVmomi import vim, vmodl

from providers.vsphere.batch import Batch, of
from providers.vsphere.faults import BROKEN

_PC = vmodl.query.PropertyCollector
STATE = ("info.state", "info.error", "info.result")
_WAIT_SECONDS = 30
"""Shorter than the socket's time-out: on a dead network the wait itself would never end."""
OVER = ("success", "error")


@dataclass(slots=True, eq=False)
class _Waited:
    task: Any
    ended: threading.Event = field(default_factory=threading.Event)
    props: dict[str, Any] = field(default_factory=dict)
    broken: Exception | None = None


class Tasks:
    """The waiter of one connection."""

    def __init__(self, batch: Batch, root: Any) -> None:
        """`root` is the default property collector, of which the waiter's own is made."""
        self._batch = batch
        self._root = root
        self._guard = threading.Lock()
        self._waited: list[_Waited] = []
        """Several threads may wait for the same task."""
        self._collector: Any = None

    def wait(self, task: Any, seconds: float) -> dict[str, Any]:
        """Return `STATE` of the ended task. Raises pyvmomi's faults, TimeoutError after `seconds`."""
        seen = self._batch.ask(of(vim.Task, [task], STATE)).get(task._moId)
        if seen is not None and seen.props.get("info.state") in OVER:
            return dict(seen.props)
        one = _Waited(task)
        self._watch(one)
        until = time.monotonic() + seconds
        try:
            while not one.ended.wait(max(0.0, until - time.monotonic())):
                message = f"task {task._moId} still runs after {seconds:g} seconds"
                raise TimeoutError(message)
        finally:
            with self._guard:
                self._waited.remove(one)
        if one.broken is not None:
            raise one.broken
        return one.props

    def _watch(self, one: _Waited) -> None:
        with self._guard:
            self._waited.append(one)
            first = self._collector is None
            if first:
                self._collector = self._root.CreatePropertyCollector()
            collector = self._collector
        try:
            collector.CreateFilter(
                _PC.FilterSpec(
                    objectSet=[_PC.ObjectSpec(obj=one.task)],
                    propSet=[_PC.PropertySpec(type=vim.Task, pathSet=list(STATE), all=False)],
                ),
                False,
            )
        finally:
            if first:
                threading.Thread(target=self._listen, args=(collector,), name="tasks", daemon=True).start()

    def _listen(self, collector: Any) -> None:
        """Take updates until nobody waits any more; then the collector goes, with its filters."""
        version = ""
        options = _PC.WaitOptions(maxWaitSeconds=_WAIT_SECONDS)
        try:
            while not self._idle(collector):
                update = collector.WaitForUpdatesEx(version, options)
                if update is not None:
                    version = update.version
                    self._take(update)
        except (vmodl.MethodFault, *BROKEN) as error:
            self._break(collector, error)
        finally:
            try:
                collector.DestroyPropertyCollector()
            except (vmodl.MethodFault, *BROKEN):
                pass  # it went with its session

    def _take(self, update: Any) -> None:
        for change in (c for part in update.filterSet for c in part.objectSet):
            with self._guard:
                waiting = [one for one in self._waited if one.task._moId == change.obj._moId]
            for one in waiting:
                one.props.update({p.name: p.val for p in change.changeSet if p.op != "remove"})
                if one.props.get("info.state") in OVER:
                    one.ended.set()

    def _idle(self, collector: Any) -> bool:
        with self._guard:
            if any(not one.ended.is_set() for one in self._waited):
                return False
            if self._collector is collector:
                self._collector = None
            return True

    def _break(self, collector: Any, error: Exception) -> None:
        """Nobody hears of these tasks any more: whoever waits looks for the outcome."""
        with self._guard:
            if self._collector is collector:
                self._collector = None
            for one in self._waited:
                one.broken = error
                one.ended.set()
