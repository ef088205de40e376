"""Searching endpoints: what a listing of machines in folders becomes. The reader here is made up: in the
simulated data centre no two machines have one name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from orchestrator.app import discovery, planning
from orchestrator.app.discovery import Searched, search
from orchestrator.app.endpoint_urls import Asked
from orchestrator.diagnostics import InvalidInput
from orchestrator.model.endpoint import EndpointInfo, EndpointSettings
from orchestrator.model.machine import Listed, Machine, MachineRef, PowerState
from orchestrator.model.secret import SecretRef
from tests.unit import builders as b

PATHS = {"id-1": "/DC0/vm/Branch/app", "id-2": "/DC0/vm/Head/app", "id-3": "/DC0/vm/Branch/Old/web"}


class AReader:
    """Machines of PATHS, all configured as 2008; those in `gone` went away after the listing."""

    def __init__(self, gone: Sequence[str] = ()) -> None:
        self.inventory = self
        self._gone = gone

    def about(self) -> EndpointInfo:
        return EndpointInfo(identity="vsphere:1", product="vCenter", version="8")

    def listing(self) -> tuple[Listed, ...]:
        return tuple(
            Listed(ref=a_ref(key), path=path, power=PowerState.OFF, configured_os="winLonghornGuest")
            for key, path in PATHS.items()
        )

    def machines(self, names: Sequence[str]) -> tuple[Machine, ...]:
        found = [name for name in names if name not in self._gone]
        return tuple(b.a_machine().model_copy(update={"ref": a_ref(name)}) for name in found)


def a_ref(key: str) -> MachineRef:
    return MachineRef(endpoint="vc", id=key, name=PATHS[key].rpartition("/")[2])


def asked(*folder: str, name: str = "vc") -> Asked:
    settings = {"server": "vc.example.net", "username": "u", "password": SecretRef(env="VC_PASSWORD")}
    return Asked(settings=EndpointSettings(name=name, provider="vsphere", settings=settings), folder=folder)


@pytest.fixture
def state(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ferry.db'}"


@pytest.fixture
def readers(monkeypatch: pytest.MonkeyPatch) -> list[AReader]:
    """The reader that every endpoint has; a test may put another one there."""
    given = [AReader()]

    @contextmanager
    def opened(endpoints: Sequence[EndpointSettings], **_: Any) -> Iterator[Mapping[str, Any]]:
        yield {endpoint.name: given[0] for endpoint in endpoints}

    monkeypatch.setattr(planning, "open_readers", opened)
    return given


def paths(searched: Sequence[Searched]) -> list[str]:
    return [one.listed.path for place in searched for one in place.found]


@pytest.mark.usefixtures("readers")
@pytest.mark.parametrize(
    ("folder", "found"),
    [
        ((), ["id-1", "id-2", "id-3"]),
        (("Branch",), ["id-1", "id-3"]),
        (("Branch", "Old"), ["id-3"]),
        (("vm", "Head"), ["id-2"]),
    ],
)
def test_a_folder_narrows_the_search(state: str, folder: tuple[str, ...], found: list[str]) -> None:
    assert paths(search([asked(*folder)], state)) == [PATHS[key] for key in found]


@pytest.mark.usefixtures("readers")
@pytest.mark.parametrize("folder", [("Brunch",), ("Old", "Branch"), ("app",)])
def test_a_folder_without_machines_is_an_error_and_no_empty_answer(
    state: str, folder: tuple[str, ...]
) -> None:
    with pytest.raises(InvalidInput, match="no machine is at or below"):
        search([asked(*folder)], state)


@pytest.mark.usefixtures("readers")
def test_a_name_that_another_machine_has_too_is_drafted_by_path_even_if_that_one_is_elsewhere(
    state: str, tmp_path: Path
) -> None:
    out = tmp_path / "plan.yaml"
    assert discovery.draft(search([asked("Branch")], state), out, sealed=False, force=False) == 2
    text = out.read_text()
    assert "vm: /DC0/vm/Branch/app}" in text
    assert "vm: web}" in text


@pytest.mark.usefixtures("readers")
def test_a_machine_seen_through_two_endpoints_is_one_host(state: str, tmp_path: Path) -> None:
    found = search([asked(), asked(name="vc-2")], state)
    assert len(paths(found)) == 6
    assert discovery.draft(found, tmp_path / "plan.yaml", sealed=False, force=False) == 3


def test_a_machine_that_went_away_meanwhile_is_shown_but_not_drafted(
    state: str, tmp_path: Path, readers: list[AReader]
) -> None:
    readers[0] = AReader(gone=("id-2",))
    found = search([asked()], state)
    assert [one.details is None for one in found[0].found] == [False, True, False]
    assert discovery.draft(found, tmp_path / "plan.yaml", sealed=False, force=False) == 2
