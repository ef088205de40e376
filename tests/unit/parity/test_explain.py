"""An answer for every item: why it stands as it does, or what was meant."""

from __future__ import annotations

from orchestrator.model.plan import ParitySpec
from orchestrator.parity.compare import compare
from orchestrator.parity.explain import explain
from tests.unit import builders as b


def words(item: str) -> str:
    old = b.server_facts(services=(b.a_service("Browser"), b.a_service("Telnet Gate")))
    spec = ParitySpec(waivers=(b.a_waiver("service:Browser"), b.a_waiver("share:Projects")))
    return explain(compare(old, b.new_facts(services=()), spec, release=2025, today=b.TODAY), item)


def test_a_waived_item_is_explained_with_rule_source_and_waiver() -> None:
    assert words("SERVICE:browser") == "\n".join(
        [
            "service:Browser: waived (blocker in profile generic)",
            "  old server: start auto, account LocalSystem",
            "  new server: not there",
            "  display name: Browser",
            r"  image: %SystemRoot%\System32\svchost.exe -k netsvcs",
            "  why: Computer Browser needs SMB1, which is not installed since 2019; it is deprecated",
            "  rule: computer-browser",
            "  source: https://learn.microsoft.com/windows-server/get-started/"
            "removed-deprecated-features-windows-server (2025-09)",
            "  to do: Let clients use DNS names or DFS namespaces instead of the network neighbourhood, "
            "then waive this.",
            "  waiver: no longer used (owner infra-ops, expires 2027-03-31)",
            "  without the waiver: missing",
        ]
    )


def test_an_item_without_a_rule_still_says_what_to_do() -> None:
    assert "to do: Install what brings this service" in words("service:Telnet Gate")


def test_a_waiver_without_effect_is_told_at_its_item() -> None:
    assert "not needed any more: the item is same" in words("share:Projects")


def test_what_is_never_compared_says_why() -> None:
    assert words("network:name").startswith("network:name: never compared\n  why: the replacement has a name")


def test_an_item_that_is_not_there_gets_a_suggestion() -> None:
    assert words("service:Telnet Gat") == (
        "service:Telnet Gat: neither the old server nor the new one has it; did you mean service:Telnet Gate?"
    )
