"""Where an endpoint is, and that no mutation is made before its lease was checked."""

from __future__ import annotations

import libvirt
import pytest

from orchestrator.contract.conformance.effect import RecordingEffect
from orchestrator.contract.errors import ErrorKind, LeaseLost, ProviderError
from providers.kvm.link import Link, act


@pytest.mark.parametrize(
    ("uri", "local"),
    [
        ("qemu:///system", True),
        ("qemu+unix:///system?socket=/run/x", True),
        ("qemu+ssh://host/system", False),
        ("qemu+tls://localhost/system", False),
        ("qemu://host/system", False),
        ("qemu+ext:///system?command=/bin/x", False),
        ("qemu+ssh:///system", False),
    ],
)
def test_only_a_socket_of_this_machine_is_local(uri: str, local: bool) -> None:
    assert Link("lab", uri, read_only=True).local is local


def test_lease_is_checked_before_the_call() -> None:
    made: list[str] = []
    with pytest.raises(LeaseLost):
        act(RecordingEffect("t", lose_lease_at=1), "do it", made.append, "x")
    assert made == []


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (libvirt.libvirtError("words"), ErrorKind.PERMANENT),
        (FileExistsError(17, "exists", "/x"), ErrorKind.CONFLICT),
    ],
)
def test_failed_call_leaves_as_a_provider_error(raised: Exception, kind: ErrorKind) -> None:
    def call() -> None:
        raise raised

    with pytest.raises(ProviderError) as info:
        act(RecordingEffect("t"), "do it", call)
    assert info.value.kind is kind
