"""The centre's file and the endpoint's settings: wrong ones are named, sound ones survive."""

import stat
import time

import pytest

from orchestrator.contract.conformance.support import effect, refused
from orchestrator.contract.errors import ErrorKind
from orchestrator.diagnostics import InvalidInput
from orchestrator.model.endpoint import EndpointSettings
from orchestrator.model.machine import PowerState
from providers.simulated import World, provider
from tests.unit.providers.simulated import scene


def settings(**values):
    return EndpointSettings(name="sim", provider="simulated", settings=values)


def test_create_does_not_overwrite(tmp_path):
    world = scene.make(tmp_path)
    world.add_machine("a")
    with pytest.raises(FileExistsError):
        scene.make(tmp_path)
    assert world.read().by_name("a")


def test_file_is_private(tmp_path):
    world = scene.make(tmp_path)
    world.add_machine("a")
    assert stat.S_IMODE(world.path.stat().st_mode) == 0o600


def test_failed_edit_writes_nothing(tmp_path):
    world = scene.make(tmp_path)
    before = world.path.read_bytes()

    def spoil(centre):
        centre.capacity_bytes *= 2
        raise RuntimeError

    with pytest.raises(RuntimeError), world.edit("note") as centre:
        spoil(centre)
    assert world.path.read_bytes() == before
    assert world.log() == ()


def test_edit_of_another_handle_is_seen_at_once(tmp_path):
    world = scene.make(tmp_path)
    other = World(world.path)
    for number in range(1, 30):
        assert len(other.read().networks) == number
        world.add_network(f"n{number}")


def test_missing_file_is_not_found_and_is_not_created(tmp_path):
    with refused(ErrorKind.NOT_FOUND):
        provider.open(settings(world=str(tmp_path / "none.json")), str)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["", "{", "[]", '{"id": 1}', '{"id": "x", "machines": {"a": {}}}'])
def test_other_file_is_refused(tmp_path, content):
    path = tmp_path / "centre.json"
    path.write_text(content)
    with refused(ErrorKind.PERMANENT) as errors:
        provider.open(settings(world=str(path)), str)
    assert "World.create" in str(errors[0])


def test_centre_that_vanishes_while_connected_is_not_found(tmp_path):
    world = scene.make(tmp_path)
    ref, adapter = world.add_machine("a"), scene.connect(world)
    world.path.unlink()
    with refused(ErrorKind.NOT_FOUND):
        adapter.inventory.machines()
    with refused(ErrorKind.NOT_FOUND):
        adapter.power.ensure_power(ref, PowerState.ON, effect("on"))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "needs its centre's file"),
        ({"world": ""}, "needs its centre's file"),
        ({"world": 3}, "needs its centre's file"),
        ({"world": "x", "wrld": "x"}, "did you mean world?"),
        ({"world": "x", "colour": "x"}, "known are: world"),
        ({"world": "x", "latency_ms": -1}, "latency_ms"),
        ({"world": "x", "latency_ms": True}, "latency_ms"),
        ({"world": "x", "without": "power, flying"}, "flying is not a capability"),
        ({"world": "x", "without": "snapshot:memory"}, "snapshot:memory is not a capability modelled here"),
    ],
)
def test_wrong_settings_are_named(values, said):
    problems = provider.check_settings(settings(**values))
    assert any(said in str(problem) for problem in problems), problems
    with pytest.raises(InvalidInput):
        provider.open_reader(settings(**values), str)


def test_all_problems_are_named_at_once():
    problems = provider.check_settings(settings(latency_ms="x", without="y", z="z"))
    assert {problem.path for problem in problems} == {"world", "latency_ms", "without", "z"}


def test_it_says_that_it_is_a_simulation(tmp_path):
    about = scene.connect(scene.make(tmp_path)).inventory.about()
    assert "simulated" in about.product


def test_latency_is_waited_for_in_each_call(tmp_path):
    adapter = scene.connect(scene.make(tmp_path), latency_ms=40)
    started = time.monotonic()
    adapter.inventory.machines()
    assert time.monotonic() - started >= 0.04


def test_closed_connection_refuses_calls(tmp_path):
    adapter = scene.connect(scene.make(tmp_path))
    adapter.close()
    with refused(ErrorKind.PERMANENT):
        adapter.inventory.machines()
