"""The KVM adapter against the shared suite, on a private libvirtd with real QEMU domains."""

from __future__ import annotations

import pytest

from orchestrator.contract.conformance import *  # noqa: F403
from tests.rigs.kvm_rig import rig, shared_rig  # noqa: F401
from tests.rigs.libvirtd import libvirtd  # noqa: F401

# Some of them isolate a machine thirty times over, and libvirt needs a third of a second for each filter.
pytestmark = [pytest.mark.kvm, pytest.mark.timeout(500)]
