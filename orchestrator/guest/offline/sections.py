"""Collects sections, and beside them where they came from, what is unknown and what is odd.

Each section stands alone: what breaks one of them is its reason for being unknown, and nothing else.
"""

import struct
from collections.abc import Callable
from typing import TypeVar

from orchestrator.diagnostics import FerryError
from orchestrator.guest.clean import clean

_MAX_WARNINGS = 50
_UNREADABLE = "the part of the registry that holds it cannot be read"
# What a reader of hostile bytes can stumble over beside the errors of our own.
_FAULTS = (FerryError, OSError, ValueError, LookupError, ArithmeticError, struct.error, RecursionError)

T = TypeVar("T")
K = TypeVar("K")


class Sections:
    """The notes of one inspection."""

    def __init__(self) -> None:
        self.unknown: list[tuple[str, str]] = []
        self.sources: list[tuple[str, str]] = []
        self._warnings: list[str] = []

    @property
    def warnings(self) -> tuple[str, ...]:
        """Everything odd, in the order found, cut at a limit that is told."""
        over = len(self._warnings) - _MAX_WARNINGS
        more = [f"{over} more warnings are left out"] if over > 0 else []
        return tuple(self._warnings[:_MAX_WARNINGS] + more)

    def warn(self, message: str) -> None:
        """Note something odd."""
        self._warnings.append(clean(message))

    def missing(self, name: str, why: str) -> None:
        """Note that a section, or a part of one ("network.hosts"), is unknown."""
        self.unknown.append((name, clean(why)))

    def read(self, name: str, where: str, get: Callable[[], T | None], absent: str) -> T | None:
        """Return a section; None, and its reason noted, where there is none or it is damaged."""
        why = absent
        try:
            found = get()
        except _FAULTS as fault:
            found, why = None, _words(fault)
        if found is None:
            self.missing(name, why)
        else:
            self.sources.append((name, where))
        return found

    def of_key(
        self, name: str, key: K | None, where: str, get: Callable[[K], T | None], absent: str
    ) -> T | None:
        """Return a section that lies below a registry key, as `read` does."""
        if key is None:
            self.missing(name, _UNREADABLE)
            return None
        return self.read(name, where, lambda: get(key), absent)

    def guarded(self, get: Callable[[], T], otherwise: T, what: str = "") -> T:
        """Return what `get` returns; `otherwise`, and a warning, where it is damaged."""
        try:
            return get()
        except _FAULTS as fault:
            self.warn(f"{what}: {_words(fault)}" if what else _words(fault))
            return otherwise


def _words(fault: Exception) -> str:
    return fault.message if isinstance(fault, FerryError) else f"it makes no sense ({type(fault).__name__})"
