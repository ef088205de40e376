"""What vCenter is asked for, and what its refusals are called."""

from __future__ import annotations

from typing import Any

import pytest
from pyVmomi import vim, vmodl

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.model.machine import Consistency
from providers.vsphere.faults import from_fault
from providers.vsphere.quiesce import creation, explained, hindrances, quiesce_spec

WINDOWS = {"config.guestId": "winLonghorn64Guest"}


class Machine:
    def __init__(self) -> None:
        self.called: tuple[str, tuple[Any, ...]] | None = None

    def CreateSnapshotEx_Task(self, *given: Any) -> None:  # pyvmomi's name
        self.called = ("ex", given)

    def CreateSnapshot_Task(self, *given: Any) -> None:  # pyvmomi's name
        self.called = ("old", given)


def asked(
    consistency: Consistency, api: str = "8.0.2.0", props: dict[str, Any] = WINDOWS
) -> tuple[str, tuple[Any, ...]]:
    machine = Machine()
    creation(machine, props, api, "n", "d", consistency)()
    assert machine.called is not None
    return machine.called


def test_each_consistency_asks_for_exactly_that():
    for consistency, memory in (
        (Consistency.CRASH, False),
        (Consistency.OFFLINE, False),
        (Consistency.MEMORY, True),
    ):
        assert asked(consistency) == ("ex", ("n", "d", memory, None))
    for consistency, context in (
        (Consistency.APPLICATION, "ctx_backup"),
        (Consistency.FILESYSTEM, "ctx_file_share_backup"),
    ):
        how, (_, _, memory, spec) = asked(consistency)
        assert (how, memory, spec.vssBackupContext) == ("ex", False, context)
        assert 5 <= spec.timeout <= 240


def test_backups_of_the_site_do_not_take_a_snapshot_for_theirs():
    spec = quiesce_spec(Consistency.APPLICATION, windows=True)
    assert spec.vssBackupType == 5


def test_an_older_api_is_asked_in_its_own_way():
    assert asked(Consistency.FILESYSTEM, "6.0") == ("old", ("n", "d", False, True))
    assert asked(Consistency.MEMORY, "6.0") == ("old", ("n", "d", True, False))
    assert asked(Consistency.FILESYSTEM, "6.5")[0] == "ex"
    assert asked(Consistency.FILESYSTEM, "10.0.0.0")[0] == "ex"


@pytest.mark.parametrize(("api", "guest"), [("6.0", "winLonghornGuest"), ("8.0.2.0", "sles11_64Guest")])
def test_application_consistency_that_cannot_be_had_is_refused(api: str, guest: str) -> None:
    with pytest.raises(ProviderError) as refused:
        creation(Machine(), {"config.guestId": guest}, api, "n", "d", Consistency.APPLICATION)
    assert refused.value.kind is ErrorKind.UNSUPPORTED


def test_nobody_is_quiesced_without_running_tools():
    silent, talking = {}, {"guest.toolsRunningStatus": "guestToolsRunning"}
    for consistency in (Consistency.FILESYSTEM, Consistency.APPLICATION):
        assert [f.ok for f in hindrances(silent, consistency)] == [False]
        assert list(hindrances(talking, consistency)) == []
    assert list(hindrances(silent, Consistency.CRASH)) == []


def test_snapshots_that_vcenter_has_switched_off_are_a_hindrance():
    found = list(hindrances({"disabledMethod": ["CreateSnapshot_Task"]}, Consistency.CRASH))
    assert [(f.check, f.ok) for f in found] == [("snapshot operations", False)]


def failure(fault: vmodl.MethodFault) -> ProviderError:
    error = from_fault(fault, "snapshot app07", mutation=True)
    error.__cause__ = fault
    return explained(error)


@pytest.mark.parametrize(
    "fault",
    [
        vim.fault.ApplicationQuiesceFault(),
        vim.fault.FilesystemQuiesceFault(),
        vim.fault.GenericVmConfigFault(
            faultMessage=[vmodl.LocalizableMessage(key="msg.snapshot.error-QUIESCINGERROR", message="Fehler")]
        ),
    ],
)
def test_a_failed_quiesce_warns_of_a_frozen_guest_and_offers_what_is_left(fault: Any) -> None:
    error = failure(fault)
    assert error.kind is ErrorKind.PERMANENT
    assert "frozen" in error.message
    assert "`offline`" in error.hint
    assert "`crash` on purpose" in error.hint
    assert error.__cause__ is fault


@pytest.mark.parametrize(
    ("fault", "kind", "word"),
    [
        (vim.fault.TooManySnapshotLevels(), ErrorKind.PERMANENT, "32"),
        (vim.fault.SnapshotLocked(), ErrorKind.PERMANENT, "backup"),
        (vim.fault.FileLocked(file="[ds] a.vmdk"), ErrorKind.CONFLICT, "holds the disk"),
        (vim.fault.NoDiskSpace(file="a", datastore="ds"), ErrorKind.PERMANENT, "free some space"),
        (vim.fault.TaskInProgress(), ErrorKind.CONFLICT, "wait"),
    ],
)
def test_other_refusals_say_what_to_do(fault: Any, kind: ErrorKind, word: str) -> None:
    error = failure(fault)
    assert (error.kind, word in error.hint) == (kind, True)
    assert "frozen" not in error.message
