"""The lists that the assessment looks up are whole: sources, names of their own, ways to be found."""

from orchestrator.parity.assessment.rules import rules


def test_every_rule_can_be_found_and_has_a_source() -> None:
    for rule in (*rules().role, *rules().serves):
        assert rule.source in rules().sources
        assert rule.services or rule.roles or getattr(rule, "ports", ())


def test_names_are_unique() -> None:
    for listed in (rules().role, rules().serves):
        names = [rule.id for rule in listed]
        assert len(names) == len(set(names))


def test_what_replaces_a_role_is_said() -> None:
    assert all(rule.instead and rule.why for rule in rules().role)
