"""A staged guest takes its name from the answer medium, and only from there."""

import json
import stat
from pathlib import Path

import pytest

from orchestrator.contract.conformance.effect import Ledger
from orchestrator.contract.conformance.support import PASSWORD, effect
from orchestrator.model.machine import MachineRef, PowerState
from orchestrator.model.network import NetworkSpec
from orchestrator.model.secret import SecretRef
from orchestrator.model.target import StaticAddress, TargetSpec
from tests.unit.providers.simulated import scene


def stage(tmp_path, *, agent):
    world = scene.make(tmp_path)
    golden = tmp_path / "golden.raw"
    golden.write_bytes(b"g" * 4096)
    world.add_image("golden", golden, agent=agent)
    adapter, ledger = scene.connect(world), Ledger()
    spec = TargetSpec(
        endpoint="sim",
        release=2025,
        image="golden",
        vm="new",
        network=NetworkSpec(name="prod"),
        computer_name="NEW01",
        admin_password=SecretRef(env="X"),
        address=StaticAddress(ip="192.0.2.9/24"),
    )
    staged = adapter.staging.ensure_target(spec, effect("stage", ledger))
    return adapter, staged, MachineRef(endpoint="sim", id=staged.id, name=staged.name), ledger


def test_medium_is_private_and_holds_the_answers(tmp_path):
    _, staged, _, _ = stage(tmp_path, agent=True)
    medium = Path(staged.medium)
    assert stat.S_IMODE(medium.stat().st_mode) == 0o600
    answers = json.loads(medium.read_text())
    assert answers["computer_name"] == "NEW01"
    assert answers["admin_password"] == PASSWORD
    assert answers["address"]["ip"] == "192.0.2.9/24"


@pytest.mark.parametrize(("agent", "confirmed"), [(True, True), (False, None)])
def test_guest_with_an_agent_confirms_its_name(tmp_path, agent, confirmed):
    adapter, staged, ref, _ = stage(tmp_path, agent=agent)
    adapter.power.ensure_power(ref, PowerState.ON, effect("on"))
    assert adapter.staging.customized(staged, "new01") is confirmed
    assert adapter.staging.customized(staged, "other") is (False if agent else None)


def test_guest_that_starts_without_the_medium_has_no_name(tmp_path):
    adapter, staged, ref, ledger = stage(tmp_path, agent=True)
    adapter.staging.ensure_medium_removed(staged, effect("eject", ledger))
    adapter.power.ensure_power(ref, PowerState.ON, effect("on"))
    assert adapter.staging.customized(staged, "NEW01") is None
