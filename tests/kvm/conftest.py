"""What the tests against a real libvirtd share: the daemon, the rig on it, an adapter, a ledger."""

from __future__ import annotations

from orchestrator.contract.conformance.fixtures import adapter, ledger, reader
from tests.rigs.kvm_rig import rig, shared_rig
from tests.rigs.libvirtd import libvirtd

__all__ = ["adapter", "ledger", "libvirtd", "reader", "rig", "shared_rig"]
