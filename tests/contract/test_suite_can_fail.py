"""The shared suite notices wrong adapters: each mutant breaks one rule, and the tests named beside it fail
because of that."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from orchestrator.contract import conformance
from orchestrator.contract.conformance.effect import Ledger
from orchestrator.contract.conformance.support import with_planted_password
from orchestrator.model.machine import PowerState
from orchestrator.model.network import Finding, IsolationEvidence
from providers.simulated import snapshots
from providers.simulated.adapter import SimAdapter, SimProvider
from providers.simulated.claims import SimClaims
from providers.simulated.imagefiles import FrozenFile, copy_sparse
from providers.simulated.isolation import SimIsolation
from providers.simulated.power import SimPower
from providers.simulated.snapshots import SimDiskSource, SimSnapshots
from providers.simulated.staging import SimStaging
from tests.rigs.simulated_rig import SimulatedRig


class OtherHand:
    """An effect that differs in one respect from the real one."""

    def __init__(self, real, *, token=None, checks=True):
        self._real, self._checks = real, checks
        self.token = token or real.token

    def before(self, what):
        if self._checks:
            self._real.before(what)

    def owns(self, kind, object_id):
        return not self._checks or self._real.owns(kind, object_id)

    def __getattr__(self, name):
        return getattr(self._real, name)


class ChangesMac(SimIsolation):
    def ensure_isolated(self, ref, spec, addresses, effect):
        super().ensure_isolated(ref, spec, addresses, effect)
        with self._site.world.edit() as centre:
            for nic in centre.machines[ref.id].nics:
                nic.mac = "06" + nic.mac[2:]
        return


class TrustsItsRecord(SimIsolation):
    def ensure_isolated(self, ref, spec, addresses, effect):
        machine = super().ensure_isolated(ref, spec, addresses, effect)
        self.record = [Finding(check=nic.key, ok=True, detail="we moved it") for nic in machine.nics]
        return machine

    def verify(self, ref, spec):
        return IsolationEvidence(mode=spec.mode, findings=tuple(self.record))


class ForgetsThePersistentSide(SimIsolation):
    def _plug(self, ref, mac, sides, operation, effect):
        super()._plug(ref, mac, {s: a for s, a in sides.items() if s == "live"}, operation, effect)


class RemovesForeignNetworks(SimIsolation):
    def ensure_network_removed(self, spec, effect):
        return super().ensure_network_removed(spec, OtherHand(effect, checks=False))


class SnapshotsTwice(SimSnapshots):
    def ensure_snapshot(self, ref, name, consistency, effect):
        found = snapshots.bearing(self._site.world.read().machines[ref.id], effect.token)
        if found:
            effect = OtherHand(effect, token=f"{effect.token}.again")
        return super().ensure_snapshot(ref, f"{name}-2" if found else name, consistency, effect)


class LosesWrites(SimSnapshots):
    def ensure_snapshot_removed(self, ref, token, effect):
        with self._site.world.edit() as centre:
            for disk in centre.machines[ref.id].disks:
                if len(disk.chain) > 1:
                    copy_sparse(Path(disk.chain[1]), Path(disk.chain[0]))
        super().ensure_snapshot_removed(ref, token, effect)


class OpensTheOverlay(SimDiskSource):
    @contextmanager
    def open_frozen(self, ref, token):
        machine = self._site.world.read().machines[ref.id]
        with ExitStack() as stack:
            files = [stack.enter_context(Path(disk.chain[0]).open("rb")) for disk in machine.disks]
            yield tuple(
                FrozenFile(disk.key, file.fileno(), disk.size_bytes)
                for disk, file in zip(machine.disks, files, strict=True)
            )


class ClaimsWithoutComparing(SimClaims):
    def ensure_claim(self, ref, claim, effect, *, succeeds=None):
        held = self._site.world.read().machines[ref.id].claim
        if held is not None:
            return super().ensure_claim(ref, claim, effect, succeeds=succeeds)
        time.sleep(0.05)  # the gap between looking and marking that a real adapter must not have
        with self._site.world.edit() as centre:
            centre.machines[ref.id].claim = claim
        return claim


class NeverChecksItsLease(SimPower):
    def ensure_power(self, ref, state, effect):
        return super().ensure_power(ref, state, OtherHand(effect, checks=False))


class LetsKeyErrorsOut(SimPower):
    def ensure_power(self, ref, state, effect):
        self._site.world.read().machines[ref.id]
        return super().ensure_power(ref, state, effect)


class PausesByTurningOff(SimPower):
    def ensure_power(self, ref, state, effect):
        return super().ensure_power(ref, PowerState.OFF if state is PowerState.PAUSED else state, effect)


class LeaksThePassword(SimStaging):
    def ensure_target(self, spec, effect):
        staged = super().ensure_target(spec, effect)
        with self._site.world.edit() as centre:
            centre.machines[staged.id].notes = [f"set up with {self._secrets(spec.admin_password)}"]
        return staged


class TakesTheNameOver(SimStaging):
    def ensure_target(self, spec, effect):
        with self._site.world.edit() as centre:
            there = centre.by_name(spec.vm)
            if there is not None and there.token != effect.token:
                del centre.machines[there.id]
        return super().ensure_target(spec, effect)


class ForgetsTheMedium(SimStaging):
    def ensure_medium_removed(self, staged, effect):
        with self._site.world.edit() as centre:
            if staged.id in centre.machines:
                centre.machines[staged.id].medium = None


MUTANTS = {
    ChangesMac: ("isolation", "TestIsolation.test_cards_keep_their_address_and_none_is_added"),
    TrustsItsRecord: ("isolation", "TestIsolation.test_proof_holds_only_while_it_is_true"),
    ForgetsThePersistentSide: ("isolation", "TestIsolation.test_holds_after_a_power_cycle"),
    RemovesForeignNetworks: (
        "isolation",
        "TestNetworks.test_network_that_the_ledger_does_not_know_is_not_removed",
    ),
    SnapshotsTwice: (
        "snapshots",
        "TestSnapshots.test_repeat_finds_its_own_and_changes_nothing",
        "TestSnapshots.test_ends_the_same_after_a_crash_or_a_lost_lease",
    ),
    LosesWrites: (
        "snapshots",
        "TestSnapshotRemoval.test_writes_made_since_the_snapshot_are_kept",
        "TestSnapshotRemoval.test_ends_the_same_after_a_crash_or_a_lost_lease",
    ),
    OpensTheOverlay: ("disks", "TestDiskSource.test_frozen_disks_show_what_was_before_the_snapshot"),
    ClaimsWithoutComparing: ("claims", "TestClaims.test_of_many_at_once_exactly_one_wins"),
    NeverChecksItsLease: ("power", "TestPower.test_ends_the_same_after_a_crash_or_a_lost_lease"),
    LetsKeyErrorsOut: ("power", "TestErrors.test_machine_that_is_gone_is_not_found"),
    PausesByTurningOff: ("power", "TestPower.test_pausing_is_unsupported"),
    LeaksThePassword: ("staging", "TestStaging.test_password_is_nowhere_but_in_the_medium"),
    TakesTheNameOver: ("staging", "TestStaging.test_machine_of_that_name_is_left_alone"),
    ForgetsTheMedium: ("staging", "TestStagingRemoval.test_medium_is_gone_and_the_target_stays"),
}
"""Mutant of a role: the role's attribute, then the suite's tests that must fail."""

CASES = [(mutant, role, test) for mutant, (role, *tests) in MUTANTS.items() for test in tests]


def mutated(role: str, mutant: Callable | None) -> SimProvider:
    """Return a provider whose adapters have this role replaced."""

    class Mutated(SimProvider):
        def open(self, endpoint, secrets):
            site = self._site(endpoint)
            adapter = SimAdapter(site, secrets)
            if mutant is not None:
                setattr(adapter, role, mutant(site, secrets) if role == "staging" else mutant(site))
            return adapter

    return Mutated()


def run(test: str, provider: SimProvider, folder: Path) -> None:
    """Run one test of the suite on a fresh rig, as pytest would."""
    class_name, _, method = test.partition(".")
    case = getattr(getattr(conformance, class_name)(), method)
    folder.mkdir()
    rig = SimulatedRig(folder, under_test=provider)
    fixtures = {
        "rig": rig,
        "ledger": Ledger(),
        "adapter": provider.open(rig.endpoint, with_planted_password(rig.secrets)),
        "reader": provider.open_reader(rig.endpoint, rig.secrets),
    }
    case(**{name: fixtures[name] for name in inspect.signature(case).parameters})


@pytest.mark.parametrize(("mutant", "role", "test"), CASES, ids=[f"{m.__name__}-{t}" for m, _, t in CASES])
def test_suite_fails_on_a_mutant_and_passes_without_it(mutant, role, test, tmp_path):
    run(test, mutated(role, None), tmp_path / "sound")
    expected = KeyError if mutant is LetsKeyErrorsOut else (AssertionError, pytest.fail.Exception)
    with pytest.raises(expected) as failure:
        run(test, mutated(role, mutant), tmp_path / "mutant")
    assert "pytest-timeout" not in str(failure.value)  # it must fail for what it looks at
