"""The order in which a collector found things makes no difference, to the byte."""

from __future__ import annotations

from functools import cache
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.model.facts import SECTIONS, ServerFacts
from orchestrator.model.plan import ParitySpec, Waiver
from orchestrator.parity.compare import compare
from orchestrator.parity.result import ParityResult
from tests.unit import builders as b
from tests.unit.parity.pairs import servers
from tests.unit.parity.pairs.servers import Pair

PLANTED = (servers.file_server, servers.web_server, servers.application_server)
WAIVERS = (b.a_waiver("share:Homes$"), b.a_waiver("hosts:nas7"), b.a_waiver("share:Nowhere"))


@cache
def kept(number: int) -> tuple[Pair, str]:
    pair = PLANTED[number]()
    return pair, look(pair, pair.old, pair.new, WAIVERS)


def look(pair: Pair, old: ServerFacts, new: ServerFacts, waivers: tuple[Waiver, ...]) -> str:
    spec = ParitySpec(profile=pair.profile, waivers=waivers)
    return compare(old, new, spec, release=pair.release, today=b.TODAY).model_dump_json()


@settings(max_examples=25, deadline=None, derandomize=True)
@given(number=st.integers(0, len(PLANTED) - 1), seed=st.integers(0, 2**32))
def test_shuffled_facts_give_the_same_bytes(number: int, seed: int) -> None:
    pair, expected = kept(number)
    random = Random(seed)
    waivers = tuple(random.sample(WAIVERS, len(WAIVERS)))
    assert look(pair, shuffled(pair.old, random), shuffled(pair.new, random), waivers) == expected


def test_a_result_survives_json() -> None:
    _, expected = kept(0)
    assert ParityResult.model_validate_json(expected).model_dump_json() == expected


def shuffled(facts: ServerFacts, random: Random) -> ServerFacts:
    """Mix every section, what is in the parts of a section, and what is in a group or a share.

    The order of a task's commands and of a hosts file's lines has a meaning of its own: the first stays, the
    second only counts for one name.
    """
    mixed: dict[str, Any] = {name: _mixed(getattr(facts, name), random) for name in SECTIONS}
    for name, parts in {
        "iis": ("sites", "pools"),
        "firewall": ("rules", "profiles"),
        "security": ("tls",),
    }.items():
        whole = getattr(facts, name)
        mixed[name] = whole.model_copy(update={part: _mixed(getattr(whole, part), random) for part in parts})
    mixed["network"] = facts.network and facts.network.model_copy(
        update={"routes": _mixed(facts.network.routes, random), "hosts": _mixed(facts.network.hosts, random)}
    )
    mixed["groups"] = tuple(
        group.model_copy(update={"members": _mixed(group.members, random)}) for group in mixed["groups"]
    )
    mixed["shares"] = tuple(
        share.model_copy(update={"permissions": _mixed(share.permissions, random)})
        for share in mixed["shares"]
    )
    return facts.model_copy(update=mixed)


def _mixed(value: Any, random: Random) -> Any:
    return tuple(random.sample(value, len(value))) if isinstance(value, tuple) else value
