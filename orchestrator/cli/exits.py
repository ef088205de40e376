"""Exit codes (architecture, section 8). Where several hold, the first of ORDER wins."""

from collections.abc import Iterable

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.diagnostics import FerryError, InvalidInput, Refused

DONE = 0
FAILED = 1
INVALID = 2
REFUSED = 3
GATE = 4
UNREACHABLE = 5
INTERRUPTED = 130

ORDER = (REFUSED, INTERRUPTED, UNREACHABLE, FAILED, GATE, DONE)

_UNREACHABLE = frozenset({ErrorKind.DENIED, ErrorKind.TRANSIENT, ErrorKind.TIMEOUT})
UNREACHABLE_CODES = frozenset(kind.value for kind in _UNREACHABLE)


def worst(codes: Iterable[int]) -> int:
    """Return the code that a command ends with when several hold."""
    found = set(codes)
    return next((code for code in ORDER if code in found), DONE)


def of_error(error: FerryError) -> int:
    """Return the exit code of an error that ended a command."""
    if isinstance(error, InvalidInput):
        return INVALID
    if isinstance(error, Refused):
        return REFUSED
    if isinstance(error, ProviderError) and error.kind in _UNREACHABLE:
        return UNREACHABLE
    return FAILED
