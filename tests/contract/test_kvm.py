"""The KVM adapter against the shared suite, on a private libvirtd with real QEMU domains."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orchestrator.contract.conformance import *  # noqa: F403
from tests.rigs.kvm_rig import KvmRig
from tests.rigs.libvirtd import PrivateLibvirtd, libvirtd  # noqa: F401

pytestmark = pytest.mark.kvm


@pytest.fixture(scope="module")
def shared_rig(libvirtd: PrivateLibvirtd) -> Iterator[KvmRig]:  # noqa: F811
    with KvmRig(libvirtd) as rig:
        yield rig


@pytest.fixture
def rig(shared_rig: KvmRig) -> Iterator[KvmRig]:
    yield shared_rig
    shared_rig.tidy()
