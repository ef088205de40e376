"""The cscript collector, run for real by Wine, against what the offline collector sees of the same server."""

from __future__ import annotations

import json
import re

import pytest

from orchestrator.contract.provider import Extent
from orchestrator.guest.collectors import facts_from_output, is_output
from orchestrator.guest.offline import collect_offline
from orchestrator.lifecycle.verdict import is_server_2008_sp2
from orchestrator.model.facts import SECTIONS, Origin, ServerFacts
from tests.wine.conftest import Collected

pytestmark = pytest.mark.timeout(300)

SEEN_BY_BOTH = {
    "services", "shares", "software", "network", "environment", "time_zone", "security", "printers",
    "odbc", "autostart", "firewall", "tasks", "iis",
}  # fmt: skip
"""What is planted here, so that an empty section cannot pass for agreement."""

OF_THE_HOST = {"disks", "volumes"}
"""Wine shows the disks of the machine that it runs on; the offline collector sees the one made for it."""


class Disk:
    key = "wine"

    def __init__(self, data: bytes) -> None:
        self._data, self.size = data, len(data)

    def read(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]

    def extents(self):
        yield Extent(offset=0, length=self.size, zero=False)


@pytest.fixture(scope="module")
def inside(collected: Collected) -> ServerFacts:
    return facts_from_output(collected.printed)


@pytest.fixture(scope="module")
def offline(collected: Collected) -> ServerFacts:
    return collect_offline([Disk(collected.prefix.disk())])


def test_output_is_ascii_json_that_says_it_is_complete(collected: Collected) -> None:
    assert collected.printed.isascii()
    assert is_output(collected.printed)
    assert json.loads(collected.printed)["complete"] is True


def test_output_is_the_same_on_the_console_and_in_a_file_and_each_time(collected: Collected) -> None:
    first, second = (
        re.sub(rb'"FreeSpace": "[0-9]+"', b"", o) for o in (collected.printed, collected.written)
    )
    assert first == second


def test_identity_is_that_of_the_server(inside: ServerFacts) -> None:
    assert inside.origin is Origin.IN_GUEST
    assert (inside.identity.build, inside.identity.arch, inside.identity.sku) == (6003, "x64", 7)
    assert is_server_2008_sp2(inside.identity).yes


def test_identity_agrees_with_the_offline_collector(inside: ServerFacts, offline: ServerFacts) -> None:
    both = [facts.identity.model_dump() for facts in (inside, offline)]
    for name, value in both[1].items():
        assert value is None or both[0][name] == value, name


@pytest.mark.parametrize("section", [name for name in SECTIONS if name not in OF_THE_HOST])
def test_section_agrees_where_both_see_it(section: str, inside: ServerFacts, offline: ServerFacts) -> None:
    one, other = getattr(inside, section), getattr(offline, section)
    if section in SEEN_BY_BOTH:
        assert one
        assert other
    if one is not None and other is not None:
        assert one == other


def test_planted_things_are_found(inside: ServerFacts) -> None:
    assert "OrderBridge Gr\u00fc\u00dfe 4" in [entry.name for entry in inside.software or ()]
    assert {entry.view for entry in inside.software or () if entry.name == "Old Runtime"} == {32}
    assert [share.permissions for share in inside.shares or ()] != [None]
    assert [task.commands for task in inside.tasks or ()] == [('C:\\Scripts\\export.cmd /all "x y"',)]
    assert inside.network is not None
    assert inside.network.hosts == ("192.0.2.9 db01 db01.branch.example",)
    assert inside.iis is not None
    assert inside.iis.sites[0].name == "Bestellungen f\u00fcr \u00fc"


def test_class_that_gives_nothing_is_unknown_with_its_reason(inside: ServerFacts) -> None:
    reasons = dict(inside.unknown)
    for section in ("users", "groups", "drivers"):
        assert getattr(inside, section) is None
        assert "empty" in reasons[section]
    # In a section or in the reasons, never in neither.
    assert {name for name in SECTIONS if getattr(inside, name) is None} <= reasons.keys()


def test_every_known_section_says_where_it_came_from(inside: ServerFacts) -> None:
    known = {name for name in SECTIONS if getattr(inside, name) is not None}
    assert {name for name, _ in inside.sources} == known


def test_no_secret_is_in_the_output(collected: Collected) -> None:
    assert b"Planted-6003" not in collected.printed
    assert b"deep keys of services" not in collected.printed


def test_nothing_is_left_behind(collected: Collected) -> None:
    left = [path.name for path in collected.prefix.drive.rglob("*") if "ferry" in path.name.casefold()]
    assert left == []
    assert [path.name for path in collected.prefix.drive.glob("facts.json*")] == ["facts.json"]
