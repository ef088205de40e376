"""Reads the hives of an installation with their transaction logs."""

from orchestrator.diagnostics import FerryError
from orchestrator.guest.offline.hive import Hive, HiveKey
from orchestrator.guest.offline.replay import replay
from orchestrator.guest.offline.sections import Sections
from orchestrator.guest.offline.systems import System

_MAX_HIVE = 256 * 1024 * 1024
_MAX_LOG = 64 * 1024 * 1024


def load_hive(system: System, name: str, notes: Sections, *, optional: bool = False) -> HiveKey | None:
    """Return the root of a hive with its logs replayed; None, and a warning, if it cannot be used.

    `optional`: a hive whose absence is no oddity, since some tools copy only the two large ones.
    """
    path = system.path(rf"config\{name}")
    try:
        primary = system.volume.read(path, _MAX_HIVE)
        if primary is None:
            if not optional:
                notes.warn(f"{name} is missing")
            return None
        logs = [_log(system, f"{path}.LOG{number}", notes) for number in (1, 2)]
        done = replay(primary, [log for log in logs if log])
        if done.note:
            notes.warn(f"{name}: {done.note}")
        return Hive(done.data).root()
    except FerryError as fault:
        notes.warn(f"{name} cannot be read: {fault.message}")
        return None


def _log(system: System, path: str, notes: Sections) -> bytes | None:
    return notes.guarded(lambda: system.volume.read(path, _MAX_LOG), None)
