"""The rules that ship are sound, and a bad rule file is refused with what is wrong."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from orchestrator.diagnostics import InvalidInput
from orchestrator.model.plan import ParitySpec
from orchestrator.parity.compare import compare
from orchestrator.parity.pack import Effect, load_pack, profile, profile_names, shipped_pack
from orchestrator.parity.result import Severity, State
from tests.unit import builders as b

OWN = """
version = 1
about = "a site's own"
[sources]
site = "the site's handbook"
[[rule]]
id = "site-app"
items = ["service:Contoso*"]
effect = "{effect}"
why = "runs as a container now"
source = "site"
"""


def test_rule_ids_are_unique() -> None:
    assert [name for name, n in Counter(rule.id for rule in shipped_pack().rules).items() if n > 1] == []


def test_no_rule_is_shadowed_on_an_exact_item() -> None:
    pack = shipped_pack()
    seen: dict[tuple[str, Effect, int], str] = {}
    twice = []
    for rule in pack.rules:
        for item in rule.items:
            for release in rule.releases or (2022, 2025):
                known = seen.setdefault((item.upper(), rule.effect, release), rule.id)
                twice += [(item, known, rule.id)] if known != rule.id else []
    assert twice == []


def test_every_profile_can_be_read_and_weighs_every_kind() -> None:
    assert profile_names() == ("app-server", "file-server", "generic", "print-server", "web-server")
    for name in profile_names():
        assert profile(name).severity("service", "SERVICE:X") is Severity.BLOCKER


def test_a_profile_can_weigh_one_item_differently() -> None:
    assert profile("print-server").severity("service", "SERVICE:SPOOLER") is Severity.BLOCKER


def test_a_site_adds_its_own_rules_and_they_come_first(tmp_path: Path) -> None:
    own = tmp_path / "site.toml"
    own.write_text(OWN.format(effect="gone"))
    pack = load_pack([own])
    old = b.server_facts(services=(b.a_service("ContosoApp"),))
    new = b.new_facts(services=())
    result = compare(old, new, ParitySpec(), release=2025, today=b.TODAY, pack=pack)
    (found,) = [i for i in result.items if i.kind == "service"]
    assert (found.state, found.rule) == (State.EQUIVALENT, "site-app")
    assert result.rules != compare(old, new, ParitySpec(), release=2025, today=b.TODAY).rules


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (OWN.format(effect="vanished"), "effect"),
        (OWN.format(effect="act"), "needs an advice"),
        (OWN.format(effect="replaced"), "`by` belongs to effect `replaced`"),
        (OWN.format(effect="gone").replace("service:Contoso*", "svc:Contoso"), "is of no known kind"),
        (
            OWN.format(effect="gone").replace('source = "site"', 'source = "hearsay"'),
            "not among the file's sources",
        ),
        (OWN.format(effect="gone").replace("version = 1", "version = 9"), "version 9"),
        ("version = ", "site.toml"),
    ],
)
def test_a_bad_rule_file_is_refused(tmp_path: Path, text: str, words: str) -> None:
    own = tmp_path / "site.toml"
    own.write_text(text)
    with pytest.raises(InvalidInput, match=words):
        load_pack([own])


def test_a_rule_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        load_pack([tmp_path / "none.toml"])
