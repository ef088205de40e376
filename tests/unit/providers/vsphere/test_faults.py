"""vSphere's faults and broken connections: what the core can do about each."""

from __future__ import annotations

import http.client
import ssl

import pytest
from pyVmomi import vim, vmodl

from orchestrator.contract.errors import ErrorKind
from providers.vsphere.faults import from_fault

LOST = (
    ConnectionResetError("reset"),
    TimeoutError("timed out"),
    http.client.RemoteDisconnected("closed"),
    http.client.IncompleteRead(b""),
    vim.fault.NotAuthenticated(),
    vmodl.fault.HostCommunication(),
)


@pytest.mark.parametrize("error", LOST, ids=lambda e: type(e).__name__)
def test_what_breaks_on_the_way_is_uncertain_for_a_mutation_and_transient_for_a_read(error):
    assert from_fault(error, "snapshot file01", mutation=True).kind is ErrorKind.UNCERTAIN
    assert from_fault(error, "read file01", mutation=False).kind is ErrorKind.TRANSIENT


@pytest.mark.parametrize(
    ("error", "kind", "word"),
    [
        (
            vim.fault.NoPermission(privilegeId="VirtualMachine.State.CreateSnapshot"),
            ErrorKind.DENIED,
            "CreateSnapshot",
        ),
        (vim.fault.InvalidLogin(), ErrorKind.DENIED, "password"),
        (vmodl.fault.ManagedObjectNotFound(), ErrorKind.NOT_FOUND, "ManagedObjectNotFound"),
        (vim.fault.DuplicateName(name="x"), ErrorKind.CONFLICT, "DuplicateName"),
        (vim.fault.ConcurrentAccess(), ErrorKind.CONFLICT, "same moment"),
        (vim.fault.TaskInProgress(), ErrorKind.CONFLICT, "another task"),
        (vim.fault.InvalidPowerState(), ErrorKind.CONFLICT, "InvalidPowerState"),
        (vim.fault.FileLocked(), ErrorKind.CONFLICT, "disk"),
        (vim.fault.ApplicationQuiesceFault(), ErrorKind.PERMANENT, "offline"),
        (vim.fault.NoDiskSpace(), ErrorKind.PERMANENT, "space"),
        (vmodl.fault.NotSupported(), ErrorKind.UNSUPPORTED, "NotSupported"),
        (vmodl.fault.SystemError(msg="boom"), ErrorKind.PERMANENT, "boom"),
        (ssl.SSLCertVerificationError("bad"), ErrorKind.DENIED, "certificate"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_each_fault_has_its_kind_and_says_what_to_do(error, kind, word):
    made = from_fault(error, "do it", mutation=True)
    assert made.kind is kind
    assert word in str(made)
    assert str(made).startswith("cannot do it: ")


def test_text_of_the_server_in_another_language_changes_nothing():
    error = vim.fault.DuplicateName(msg="Der Name ist bereits vergeben")
    assert from_fault(error, "clone", mutation=True).kind is ErrorKind.CONFLICT
