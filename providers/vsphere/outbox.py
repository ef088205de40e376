"""Calls of which nothing depends, made beside the work that goes on: words in vCenter's event log, views that
are no longer needed. In their order, by one thread that lives while there are some. A refused one is left."""

import logging
import threading
from collections import deque
from collections.abc import Callable

log = logging.getLogger("ferry.vsphere")

_CLOSE_SECONDS = 30.0
"""How long the end of a connection waits for calls that are still to be made."""


class Outbox:
    """The calls of one connection. Shared between threads."""

    def __init__(self) -> None:
        self._calls: deque[Callable[[], object]] = deque()
        self._working = False
        self._change = threading.Condition()

    def put(self, call: Callable[[], object]) -> None:
        """Have a call made soon."""
        with self._change:
            self._calls.append(call)
            if self._working:
                return
            self._working = True
        threading.Thread(target=self._work, name="outbox", daemon=True).start()

    def flush(self, seconds: float = _CLOSE_SECONDS) -> None:
        """Wait until all calls were made, at most so long."""
        with self._change:
            self._change.wait_for(lambda: not self._working, timeout=seconds)

    def _work(self) -> None:
        while (call := self._next()) is not None:
            try:
                call()
            except Exception:  # whatever it is: the calls behind it are made all the same
                log.debug("a call that nothing depends on failed", exc_info=True)

    def _next(self) -> Callable[[], object] | None:
        with self._change:
            if self._calls:
                return self._calls.popleft()
            self._working = False
            self._change.notify_all()
            return None
