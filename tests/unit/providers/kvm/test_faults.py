"""libvirt's errors get the kind that says what the core can do about them."""

from __future__ import annotations

import errno

import libvirt
import pytest

from orchestrator.contract.errors import ErrorKind
from providers.kvm.faults import from_libvirt, from_os

RPC, QEMU = libvirt.VIR_FROM_RPC, libvirt.VIR_FROM_QEMU


def fault(code: int, domain: int = QEMU, text: str = "words") -> libvirt.libvirtError:
    libvirt.virResetLastError()  # it would take its words from the last call that failed in this thread
    error = libvirt.libvirtError(text)
    error.err = (code, domain, text, 2, "", None, None, -1, -1)
    return error


@pytest.mark.parametrize(
    ("code", "domain", "read", "mutation"),
    [
        (libvirt.VIR_ERR_SYSTEM_ERROR, RPC, "transient", "uncertain"),
        (libvirt.VIR_ERR_INTERNAL_ERROR, RPC, "transient", "uncertain"),
        (libvirt.VIR_ERR_NO_CONNECT, libvirt.VIR_FROM_NONE, "transient", "uncertain"),
        (libvirt.VIR_ERR_SYSTEM_ERROR, QEMU, "permanent", "permanent"),
        (libvirt.VIR_ERR_NO_DOMAIN, QEMU, "not-found", "not-found"),
        (libvirt.VIR_ERR_NO_DOMAIN_SNAPSHOT, QEMU, "not-found", "not-found"),
        (libvirt.VIR_ERR_OPERATION_DENIED, QEMU, "denied", "denied"),
        (libvirt.VIR_ERR_AUTH_FAILED, RPC, "denied", "denied"),
        (libvirt.VIR_ERR_DOM_EXIST, QEMU, "conflict", "conflict"),
        (libvirt.VIR_ERR_NO_SUPPORT, QEMU, "unsupported", "unsupported"),
        (libvirt.VIR_ERR_OPERATION_TIMEOUT, QEMU, "transient", "timeout"),
        (libvirt.VIR_ERR_OPERATION_FAILED, QEMU, "permanent", "permanent"),
    ],
)
def test_kind_follows_from_the_code_and_from_whose_error_it_is(
    code: int, domain: int, read: str, mutation: str
) -> None:
    for changes, kind in ((False, read), (True, mutation)):
        error = from_libvirt(fault(code, domain), "do it", mutation=changes)
        assert error.kind == kind
        assert error.sdk_code == str(code)
        assert "do it" in error.message


@pytest.mark.parametrize(
    "text",
    [
        'Failed to get "write" lock\nIs another process using the image [/img/a]?',
        'Failed to get shared "write" lock',
        "Failed to acquire lock on image",
    ],
)
def test_locked_image_says_who_may_hold_it(text: str) -> None:
    error = from_libvirt(fault(libvirt.VIR_ERR_INTERNAL_ERROR, text=text), "start x", mutation=True)
    assert error.kind is ErrorKind.CONFLICT
    assert "another process holds the image" in error.hint


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EACCES, "denied"),
        (errno.EPERM, "denied"),
        (errno.ENOENT, "not-found"),
        (errno.EEXIST, "conflict"),
        (errno.ENOSPC, "permanent"),
        (errno.EIO, "permanent"),
    ],
)
def test_local_files_fail_in_the_same_words(number: int, kind: str) -> None:
    error = from_os(OSError(number, "words", "/img/a"), "write it")
    assert error.kind == kind
    assert "/img/a" in error.message
