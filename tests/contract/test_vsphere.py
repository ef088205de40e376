"""The vSphere adapter against the shared suite, on the rig: govmomi's simulator and what we put on top of it
(tests/rigs/vcsim/README.md says what that proves, and what it does not)."""

from __future__ import annotations

from orchestrator.contract.conformance import *  # noqa: F403
from tests.rigs.vsphere_rig import rig, shared_rig  # noqa: F401
