"""Wakes a waiting workflow of this process at once; the database stays the truth, and who waits asks it
again."""

import threading


def end_of(run: str) -> str:
    """Name the bell that tells of a run's end."""
    return f"end of {run}"


class Bells:
    """One bell per name. A ring while nobody waits is lost: wait with a timeout and look again."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: dict[str, list[threading.Event]] = {}

    def wait(self, name: str, timeout: float) -> None:
        """Return when the bell rings, or after `timeout` seconds."""
        event = threading.Event()
        with self._guard:
            self._waiting.setdefault(name, []).append(event)
        event.wait(timeout)
        with self._guard:
            events = self._waiting[name]
            events.remove(event)
            if not events:
                del self._waiting[name]

    def ring(self, name: str) -> None:
        """Wake who waits for `name`."""
        with self._guard:
            for event in self._waiting.get(name, ()):
                event.set()

    def ring_all(self) -> None:
        """Wake everybody."""
        with self._guard:
            for events in self._waiting.values():
                for event in events:
                    event.set()
