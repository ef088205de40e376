"""From how a run ended to the command's exit code. Pure."""

from orchestrator.cli import exits
from orchestrator.history import HostRecord, HostStatus, RunRecord, RunStatus

GATE_CODE = "parity-gate"
REFUSED_CODES = frozenset({"stale", "claimed", "window", "conflict", "wrong-identity", "preflight"})


def exit_code(record: RunRecord) -> int:
    """Return the exit code of a run."""
    codes = [_host(host) for host in record.hosts]
    if record.status in (RunStatus.INTERRUPTED, RunStatus.PAUSED):
        codes.append(exits.INTERRUPTED)
    if record.status is RunStatus.CANCELLED:
        codes.append(exits.FAILED)
    return exits.worst(codes)


def _host(host: HostRecord) -> int:
    if host.status is HostStatus.DONE:
        return exits.DONE
    if host.code == GATE_CODE:
        return exits.GATE
    if host.status is HostStatus.REFUSED or host.code in REFUSED_CODES:
        return exits.REFUSED
    if host.code in exits.UNREACHABLE_CODES:
        return exits.UNREACHABLE
    if host.status in (HostStatus.WAITING, HostStatus.RUNNING):
        return exits.DONE
    return exits.FAILED
