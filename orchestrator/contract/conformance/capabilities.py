"""Capabilities: what is not declared must be refused in so many words, at once, and without an effect."""

import pytest

from orchestrator.contract.conformance.probes import PROBES, calls_of_empty_roles
from orchestrator.contract.conformance.rig import Rig
from orchestrator.contract.conformance.support import picture, refused
from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.provider import Adapter, Capability, ObjectKind


class TestCapabilities:
    """Declared against undeclared."""

    @pytest.mark.parametrize("capability", sorted(Capability))
    def test_undeclared_is_unsupported_and_declared_is_not(
        self, adapter: Adapter, rig: Rig, capability: Capability
    ) -> None:
        if capability in adapter.capabilities:
            # Other refusals are the affair of the role's own tests: a probe gives little to work with.
            assert _refusal(capability, adapter, rig) is not ErrorKind.UNSUPPORTED
            return
        before = {kind: listed for kind, listed in picture(rig).items() if kind != ObjectKind.VM}
        disks = before.pop(ObjectKind.DISK)
        with refused(ErrorKind.UNSUPPORTED):
            PROBES[capability](adapter, rig)
        after = picture(rig)
        assert {kind: after[kind] for kind in before} == before
        assert isinstance(disks, frozenset)
        assert disks <= rig.objects(ObjectKind.DISK)  # the probe's own machine has a disk too

    def test_role_without_any_capability_refuses_every_call(self, adapter: Adapter, rig: Rig) -> None:
        for call in calls_of_empty_roles(adapter, rig):
            with refused(ErrorKind.UNSUPPORTED):
                call()

    def test_no_capability_is_without_a_probe(self) -> None:
        assert set(PROBES) == set(Capability)


def _refusal(capability: Capability, adapter: Adapter, rig: Rig) -> ErrorKind | None:
    try:
        PROBES[capability](adapter, rig)
    except ProviderError as error:
        return error.kind
    return None
