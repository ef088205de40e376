"""Realistic pairs: of all that differs, exactly what was planted is left to a person.

And whatever is taken from a complete new server is found.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache
from operator import attrgetter
from typing import Any

import pytest

from orchestrator.model.facts import ProductType, Protocol, ServerFacts
from orchestrator.model.plan import ParitySpec
from orchestrator.parity.compare import compare
from orchestrator.parity.item import SECTIONS
from orchestrator.parity.items import items_of
from orchestrator.parity.names import windows_key
from orchestrator.parity.pack import profile_names, shipped_pack
from orchestrator.parity.result import OPEN_STATES, ItemResult, ParityResult, Severity, State, Verdict
from tests.unit import builders as b
from tests.unit.parity.pairs import servers
from tests.unit.parity.pairs.bases import new_server, old_server
from tests.unit.parity.pairs.servers import Pair

COMPLETE = (
    servers.complete_file_server,
    servers.complete_web_server,
    servers.complete_application_server,
)
PLANTED = (servers.file_server, servers.web_server, servers.application_server)


def look(pair: Pair, new: ServerFacts | None = None) -> ParityResult:
    return compare(
        pair.old, new or pair.new, ParitySpec(profile=pair.profile), release=pair.release, today=b.TODAY
    )


@pytest.mark.parametrize("name", profile_names())
@pytest.mark.parametrize(("release", "build"), [(2022, 20348), (2025, 26100)])
def test_two_servers_as_set_up_leave_nothing_to_do(release: int, build: int, name: str) -> None:
    pair = Pair(name, release, old_server("FILE01"), new_server("FILE01N", build), {})
    result = look(pair)
    assert [item.item for item in result.open_items] == []
    assert [item.item for item in result.items if item.state is State.EXTRA] == []
    assert result.verdict is Verdict.PASS


@pytest.mark.parametrize("make", COMPLETE)
def test_a_complete_replacement_leaves_nothing_to_do(make: Callable[[], Pair]) -> None:
    result = look(make())
    assert [(item.item, item.old, item.new) for item in result.open_items] == []
    assert result.verdict is Verdict.PASS


@pytest.mark.parametrize("make", PLANTED)
def test_exactly_what_was_planted_is_left(make: Callable[[], Pair]) -> None:
    pair = make()
    result = look(pair)
    assert {item.item: item.state.value for item in result.open_items} == pair.planted
    assert result.verdict is Verdict.FAIL


# Mutations ------------------------------------------------------------------------------------------------


@cache
def complete() -> tuple[tuple[Pair, ParityResult], ...]:
    return tuple((pair, look(pair)) for pair in (make() for make in COMPLETE))


NOBODY_MISSES = {
    "POOL:DEFAULTAPPPOOL",
    "SERVICE:W3LOGSVC",
    "ROLE:WEB-COMMON-HTTP",
    "ROLE:WEB-WEBSERVER",
}
"""A pool without an application, a service that the old release has not, headings over roles."""


@cache
def own(section: str) -> tuple[tuple[int, str], ...]:
    """Pairs by number, with the items of a section that make up the new server's work: not its set-up's."""
    words = shipped_pack().vocabulary
    built_in = items_of(new_server("BASE", 20348), words).keys() | NOBODY_MISSES
    kinds = tuple(windows_key(f"{kind}:") for kind in SECTIONS[section])
    found = []
    for number, (pair, _) in enumerate(complete()):
        keys = items_of(pair.new, words).keys() - built_in
        needed = {windows_key(name) for item in pair_items(pair) for name in (item, *successors(item))}
        found += [(number, key) for key in sorted(keys & needed) if key.startswith(kinds)]
    return tuple(found)


def pair_items(pair: Pair) -> list[str]:
    return [item.id for item in items_of(pair.old, shipped_pack().vocabulary).values()]


def successors(item: str) -> tuple[str, ...]:
    return shipped_pack().successors(windows_key(item))


def opened(before: ParityResult, after: ParityResult) -> list[ItemResult]:
    """Items that are open after, and were not before."""
    known = {item.item for item in before.items if item.state in OPEN_STATES}
    return [item for item in after.items if item.state in OPEN_STATES and item.item not in known]


def follows(after: ParityResult, found: list[ItemResult]) -> bool:
    """The verdict is what the found items make of it."""
    fails = any(item.severity is Severity.BLOCKER for item in found)
    return after.verdict is (Verdict.FAIL if fails else Verdict.PASS)


CATEGORIES = sorted(set(SECTIONS) - {"hotfixes", "network", "time_zone", "security"})


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("section", CATEGORIES)
def test_whatever_is_taken_from_a_complete_new_server_is_found(section: str, seed: int) -> None:
    number, key = random.Random(f"{section} {seed}").choice(own(section))
    pair, before = complete()[number]
    after = look(pair, without(pair.new, section, key))
    found = opened(before, after)
    assert found, f"{key} was taken away and nobody noticed"
    assert follows(after, found)


PARTS = {
    "hosts": ("network.hosts",),
    "routes": ("network.routes",),
    "firewall": ("firewall.rules",),
    "iis": ("iis.sites", "iis.pools"),
}
"""Where the entries of a section lie, if not in itself."""


def without(new: ServerFacts, section: str, key: str) -> ServerFacts:
    """Take away what makes this item; with a site's binding goes the site."""
    for part in PARTS.get(section, (section,)):
        entries = attrgetter(part)(new)
        for index in reversed(range(len(entries))):
            less = with_entries(new, part, (*entries[:index], *entries[index + 1 :]))
            if key not in items_of(less):
                return less
    raise AssertionError(key)


def with_entries(facts: ServerFacts, section: str, entries: tuple[Any, ...]) -> ServerFacts:
    outer, _, inner = section.partition(".")
    if not inner:
        return facts.model_copy(update={outer: entries})
    return facts.model_copy(update={outer: getattr(facts, outer).model_copy(update={inner: entries})})


def reset(**changes: Any) -> Callable[[ServerFacts], ServerFacts]:
    return lambda new: new.model_copy(update=changes)


def inside(section: str, **changes: Any) -> Callable[[ServerFacts], ServerFacts]:
    return lambda new: new.model_copy(update={section: getattr(new, section).model_copy(update=changes)})


CHANGES = {
    "system:time-zone": reset(time_zone="UTC"),
    "protocol:TLS 1.0 client": inside(
        "security", tls=(Protocol(name="TLS 1.0", side="client", enabled=False),)
    ),
    "network:domain": inside("network", domain=""),
    "firewall-profile:public": inside(
        "firewall", profiles=(("domain", True), ("private", True), ("public", False))
    ),
    "identity:role": inside("identity", product_type=ProductType.DOMAIN_CONTROLLER),
}


@pytest.mark.parametrize("item", CHANGES)
def test_a_setting_that_cannot_be_taken_away_but_changed_is_found(item: str) -> None:
    pair, before = complete()[2]
    after = look(pair, CHANGES[item](pair.new))
    found = opened(before, after)
    assert [one.item for one in found] == [item]
    assert follows(after, found)


def test_updates_are_never_compared() -> None:
    pair, before = complete()[0]
    assert look(pair, reset(hotfixes=())(pair.new)).items == before.items
    assert {item.rule for item in before.ignored if item.item.startswith("hotfix:")} == {
        "updates-of-the-release"
    }
