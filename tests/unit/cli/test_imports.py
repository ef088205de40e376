"""`ferry collector`, and facts that a person brings: into an inventory, into a run, into a comparison."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from orchestrator.app import facts as app_facts
from orchestrator.changeset import store
from orchestrator.changeset.changes import ChangeSet
from orchestrator.cli.main import app
from orchestrator.contract.provider import ObjectKind
from orchestrator.engine import evidence, runs
from orchestrator.engine.state import open_state
from orchestrator.guest.collectors import Collector, script
from orchestrator.guest.schema import schema_json
from orchestrator.model.facts import Origin, ServerFacts
from orchestrator.model.target import StagedTarget
from orchestrator.parity.result import ParityResult
from tests.rigs.simulated_rig import SimulatedRig
from tests.unit import builders as b
from tests.unit.guest.collectors.shapes import CSCRIPT, POWERSHELL, PROGRAMS, changed, output

ROOT = Path(__file__).parents[3]
RUN = "r20261124-080000-0001"


def clock() -> datetime:
    return datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


def ferry(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def old(tmp_path: Path) -> Path:
    file = tmp_path / "old.json"
    file.write_bytes(output(CSCRIPT))
    return file


@pytest.fixture
def new(tmp_path: Path) -> Path:
    file = tmp_path / "new.json"
    file.write_bytes(output(POWERSHELL))
    return file


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A state with a run of one host that has a target; nothing was seen of either yet."""
    plan = b.a_host_plan(target=b.a_target(computer_name="OLD01"))
    return a_state(tmp_path, b.a_change_set(b.a_host_change(plan=plan)))


def a_state(folder: Path, made: ChangeSet, staged: StagedTarget | None = None) -> str:
    url = f"sqlite:///{folder / 'ferry.db'}"
    state = open_state(url, clock)
    with state.write() as connection:
        runs.insert(connection, RUN, store.digest(made), store.body(made), made, clock())
        if staged is not None:
            evidence.put(connection, RUN, "FILE01", "staged", staged, clock())
    state.close()
    return url


def kept(url: str, kind: str, shape: type) -> object:
    state = open_state(url, clock)
    try:
        return evidence.read(state, RUN, "FILE01", kind, shape)
    finally:
        state.close()


@pytest.mark.parametrize("which", list(Collector))
def test_script_is_printed_to_the_byte(which: Collector) -> None:
    assert ferry("collector", "show", which.value).stdout == script(which)
    document = json.loads(ferry("collector", "show", which.value, "--json").stdout)
    assert document == {"collector": which.value, "script": script(which)}


def test_schema_that_is_printed_is_the_one_in_the_package() -> None:
    kept = (ROOT / "orchestrator" / "guest" / "facts.schema.json").read_text()
    assert kept == schema_json(), (
        "run: python -m orchestrator.guest.schema > orchestrator/guest/facts.schema.json"
    )
    assert ferry("collector", "schema").stdout == kept


def test_inventory_of_what_is_brought(old: Path) -> None:
    done = ferry("inventory", "--import", old, "--json")
    assert done.exit_code == 0, done.output
    found = ServerFacts.model_validate_json(done.stdout)
    assert (found.origin, found.identity.build) == (Origin.IMPORTED, 6003)
    assert "this is a Windows Server 2008 SP2" in done.stderr


def test_what_a_person_brings_is_assessed(old: Path) -> None:
    done = ferry("inventory", "--import", old, "--assess", "--on", "2026-11-24", "--json")
    support = json.loads(done.stdout)["assessment"]["support"]
    assert support["release"]["key"] == "2008"
    assert f"brought in {old.name}" in ferry("inventory", "--import", old, "--assess").stdout


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_file_that_a_console_wrote_in_its_own_encoding_is_read(old: Path, encoding: str) -> None:
    old.write_text(old.read_text(), encoding=encoding)
    assert app_facts.of_file(old).identity.build == 6003


def test_inventory_that_ferry_printed_can_be_brought_too(old: Path, tmp_path: Path) -> None:
    printed = tmp_path / "printed.json"
    printed.write_text(ferry("inventory", "--import", old).stdout)
    assert app_facts.of_file(printed) == app_facts.of_file(old).model_copy(update={"origin": Origin.IMPORTED})


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe\x00", b'{"ferry-collect": 1', b"MZ" * 1000])
def test_file_that_is_neither_is_refused_in_words(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x.json"
    file.write_bytes(content)
    done = ferry("inventory", "--import", file, "--json")
    assert done.exit_code != 0
    assert json.loads(done.stdout)["error"]["code"] in ("invalid", "bad-collection")


def test_two_outputs_of_collectors_are_compared(old: Path, new: Path) -> None:
    done = ferry("parity", old, new, "--json")
    assert done.exit_code in (0, 4), done.output
    assert json.loads(done.stdout)["parity"]["release"] == 2025


def test_facts_of_the_host_are_kept_and_wait_for_the_target(url: str, old: Path) -> None:
    done = ferry("parity", RUN, "--host", "FILE01", "--import", old, "--state", url, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {"parity": None, "progress": None}
    found = kept(url, "facts-source", ServerFacts)
    assert isinstance(found, ServerFacts)
    assert found.origin is Origin.IMPORTED


def test_facts_of_both_are_compared_and_the_look_is_kept(url: str, old: Path, new: Path) -> None:
    ferry("parity", RUN, "--host", "FILE01", "--import", old, "--state", url)
    first = ferry("parity", RUN, "--host", "FILE01", "--import", new, "--target", "--state", url, "--json")
    assert first.exit_code in (0, 4), first.output
    result = ParityResult.model_validate(json.loads(first.stdout)["parity"])
    assert kept(url, "refresh", ParityResult) == result
    again = ferry("parity", RUN, "--host", "FILE01", "--import", new, "--target", "--state", url, "--json")
    assert json.loads(again.stdout)["progress"] is not None


def test_facts_of_another_server_are_refused_and_not_kept(
    url: str, old: Path, new: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.json"
    name = ("registry", r"HKLM\SYSTEM\CurrentControlSet\Control\ComputerName", "lines")
    lines = [line.replace("OLD01", "WEB09") for line in CSCRIPT["registry"][name[1]]["lines"]]
    other.write_bytes(output(changed(CSCRIPT, *name, to=lines)))
    command = ("parity", RUN, "--host", "FILE01", "--state", url, "--json", "--import")
    assert ferry(*command, new).exit_code == 3, "a 2025 is not the old host"
    assert kept(url, "facts-source", ServerFacts) is None
    assert ferry(*command, old).exit_code == 0
    refused = ferry(*command, other)
    assert (refused.exit_code, json.loads(refused.stdout)["error"]["code"]) == (3, "other-server")
    assert ferry(*command, old, "--target").exit_code == 3, "a 2008 is not the replacement"


def test_facts_are_collected_through_the_agents_of_both(tmp_path: Path) -> None:
    rig = SimulatedRig(tmp_path)
    refs = [rig.make_guest(name).model_copy(update={"endpoint": "lab"}) for name in ("file01", "file01n")]
    with rig.world.edit() as centre:
        for ref in refs:
            centre.machines[ref.id].programs = PROGRAMS
    source, target = refs
    plan = b.a_host_plan(target=b.a_target(computer_name="OLD01"))
    change = b.a_host_change(plan=plan, source=b.a_machine("file01").model_copy(update={"ref": source}))
    endpoint = b.an_endpoint(provider="simulated", world=str(rig.world.path))
    staged = StagedTarget(
        endpoint="lab", id=target.id, name=target.name, token="t", fingerprint="", disks=(), medium=None
    )
    url = a_state(tmp_path, b.a_change_set(change, endpoints=(endpoint,)), staged)
    command = ("parity", RUN, "--host", "FILE01", "--in-guest", "--state", url, "--json")
    first = ferry(*command)
    assert (first.exit_code, json.loads(first.stdout)["parity"]) == (0, None), first.output
    second = ferry(*command, "--target")
    assert second.exit_code in (0, 4), second.output
    assert json.loads(second.stdout)["parity"]["release"] == 2025
    assert rig.objects(ObjectKind.GUEST_FILE) == frozenset()
    found = kept(url, "facts-source", ServerFacts)
    assert isinstance(found, ServerFacts)
    assert found.origin is Origin.IN_GUEST


def test_wrong_use_is_refused_saying_the_right_one(old: Path) -> None:
    for arguments in (
        ("parity", RUN, "--import", old),
        ("parity", RUN, "--host", "FILE01", "--import", old, "--in-guest"),
        ("parity", RUN, "--host", "FILE01", "--target"),
        ("inventory", "--import", old, "--image", old),
        ("inventory",),
    ):
        done = ferry(*arguments)
        assert done.exit_code == 2, done.output
        assert "ferry " in done.stderr


def test_run_that_is_not_there_is_told(url: str, old: Path) -> None:
    done = ferry("parity", "nowhere", "--host", "FILE01", "--import", old, "--state", url)
    assert done.exit_code in (1, 2)
