"""Exit codes: what a run or an error ends a command with, and which one wins."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from orchestrator.cli import exits
from orchestrator.cli.ending import exit_code
from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.diagnostics import Diagnostic, FerryError, InvalidInput, Refused
from orchestrator.history import HostRecord, HostStatus, RunRecord, RunStatus


def a_record(*hosts: tuple[HostStatus, str], status: RunStatus = RunStatus.DONE) -> RunRecord:
    return RunRecord(
        run="r1",
        digest="d",
        name="n",
        kind="apply",
        status=status,
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        hosts=tuple(HostRecord(host=f"H{i}", wave="w", status=s, code=c) for i, (s, c) in enumerate(hosts)),
    )


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (HostStatus.DONE, "", exits.DONE),
        (HostStatus.FAILED, "permanent", exits.FAILED),
        (HostStatus.FAILED, "parity-gate", exits.GATE),
        (HostStatus.REFUSED, "stale", exits.REFUSED),
        (HostStatus.FAILED, "denied", exits.UNREACHABLE),
        (HostStatus.FAILED, "transient", exits.UNREACHABLE),
        (HostStatus.SKIPPED, "", exits.FAILED),
        (HostStatus.CANCELLED, "", exits.FAILED),
    ],
)
def test_one_host_decides_the_code(status: HostStatus, code: str, expected: int) -> None:
    assert exit_code(a_record((status, code))) == expected


def test_the_order_of_the_architecture_decides_between_several() -> None:
    failed, gate = (HostStatus.FAILED, "permanent"), (HostStatus.FAILED, "parity-gate")
    unreachable, refused = (HostStatus.FAILED, "denied"), (HostStatus.REFUSED, "stale")
    done = (HostStatus.DONE, "")
    assert exit_code(a_record(done, gate)) == 4
    assert exit_code(a_record(done, gate, failed)) == 1
    assert exit_code(a_record(gate, failed, unreachable)) == 5
    assert exit_code(a_record(gate, failed, unreachable, status=RunStatus.INTERRUPTED)) == 130
    assert exit_code(a_record(gate, failed, unreachable, refused, status=RunStatus.INTERRUPTED)) == 3


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (InvalidInput((Diagnostic("x", "y"),)), 2),
        (Refused("no"), 3),
        (ProviderError(ErrorKind.DENIED, "no rights"), 5),
        (ProviderError(ErrorKind.TRANSIENT, "gone"), 5),
        (ProviderError(ErrorKind.NOT_FOUND, "gone"), 1),
        (FerryError("x"), 1),
    ],
)
def test_an_error_that_ends_a_command_has_its_code(error: FerryError, expected: int) -> None:
    assert exits.of_error(error) == expected
