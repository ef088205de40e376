"""`ferry inventory --assess`: findings in words or as JSON, of a run's host among the others, as of a day."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from orchestrator.app import images, reports, states
from orchestrator.changeset import store
from orchestrator.changeset.changes import ChangeSet
from orchestrator.cli.main import app
from orchestrator.engine import evidence, runs
from orchestrator.engine.state import open_state
from orchestrator.model.facts import Identity, ProductType, ServerFacts
from orchestrator.model.plan import ParitySpec
from tests.unit import builders as b

RUN = "r20261124-080000-0001"


def clock() -> datetime:
    return datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


def needing() -> ServerFacts:
    network = b.a_network_config("APP02", interfaces=(), hosts=("198.51.100.20 files",))
    return b.server_facts(identity=b.an_identity(hostname="APP02"), network=network)


def change_set() -> ChangeSet:
    waivers = (b.a_waiver("finding:unsupported", reason="that is why"),)
    plan = b.a_host_plan(parity=ParitySpec(waivers=waivers))
    return b.a_change_set(b.a_host_change(plan=plan), b.a_host_change("APP02"), b.a_host_change("WEB03"))


def fill(folder: Path, identity: Identity | None = None) -> str:
    """Make a state with a run of three hosts, of which WEB03 was not seen."""
    url = f"sqlite:///{folder / 'ferry.db'}"
    state = open_state(url, clock)
    made = change_set()
    digest = store.digest(made)
    own = b.server_facts(identity=identity or b.an_identity())
    with state.write() as connection:
        runs.insert(connection, RUN, digest, store.body(made), made, clock())
        for host, known in (("FILE01", own), ("APP02", needing())):
            evidence.put(connection, RUN, host, "facts-source", known, clock() + timedelta(minutes=1))
    state.close()
    return url


def inventory(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["inventory", *arguments])


def test_a_host_of_a_run_is_assessed_among_the_others(tmp_path: Path) -> None:
    result = inventory("FILE01", "--run", RUN, "--state", fill(tmp_path), "--assess", "--on", "2026-12-01")
    assert result.exit_code == 0, result.output
    words = " ".join(result.stdout.split())
    assert "As of 2026-12-01, from facts seen 2026-11-24 08:01 UTC in run" in words
    assert "APP02 needs it and is cut off" in words
    assert "WEB03 no inventory yet" in words
    assert "accepted: that is why (owner infra-ops" in words
    assert "Dates that are disputed: - end of mainstream support of 2008: 9 July 2013" in words


def test_json_has_the_facts_and_the_assessment(tmp_path: Path) -> None:
    arguments = (
        "FILE01",
        "--run",
        RUN,
        "--state",
        fill(tmp_path),
        "--assess",
        "--on",
        "2019-06-01",
        "--json",
    )
    document = json.loads(inventory(*arguments).stdout)
    assert document["facts"]["identity"]["build"] == 6003
    assert document["assessment"]["support"]["phase"] == "extended"
    assert document["assessment"]["on"] == "2019-06-01"
    assert any("9 July 2013" in claim["says"] for one in document["disputes"] for claim in one["claims"])
    assert [d["who"] for d in document["assessment"]["dependencies"]] == ["APP02"]


def test_what_has_to_be_decided_first_is_exit_code_1(tmp_path: Path) -> None:
    url = fill(tmp_path, b.an_identity(product_type=ProductType.DOMAIN_CONTROLLER))
    result = inventory("FILE01", "--run", RUN, "--state", url, "--assess")
    assert result.exit_code == 1
    assert "decision needed" in result.stdout


def test_an_image_is_assessed_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = tmp_path / "old.qcow2"
    image.write_bytes(b"")
    monkeypatch.setattr(images, "collect_from_image", lambda image, fmt: b.server_facts())
    result = inventory("--image", str(image), "--assess", "--on", "2026-12-01")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("old.qcow2: ")
    assert "just now in the image" in " ".join(result.stdout.split())


@pytest.mark.parametrize(
    "arguments", [("--target", "--assess"), ("--on", "2026-12-01"), ("--assess", "--on", "1.12.2026")]
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    result = inventory("FILE01", "--run", RUN, "--state", fill(tmp_path), *arguments)
    assert result.exit_code == 2
    assert "--on" in result.output or "old server" in result.output


def test_a_board_report_rests_on_what_an_earlier_run_saw_of_the_same_machine(tmp_path: Path) -> None:
    with states.opened(fill(tmp_path)) as state:
        seen = states.SeenBefore(state)
        view = reports.before(change_set(), "d", seen)
        assert [host.assessment is not None for host in view.hosts] == [True, True, False]
        elsewhere = b.a_machine("file01", endpoint="lab", ref=b.a_machine("other").ref)
        moved = b.a_change_set(b.a_host_change(source=elsewhere))
        assert reports.before(moved, "d", seen).hosts[0].assessment is None
