"""Adapters are found by entry point; a missing or misfit one is named with what to do."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from orchestrator import registry


def offer(monkeypatch: pytest.MonkeyPatch, *points: tuple[str, str]) -> None:
    found = [EntryPoint(name, value, registry.GROUP) for name, value in points]
    monkeypatch.setattr(registry, "entry_points", lambda group: found)


def test_the_built_in_adapters_are_found_like_any_other() -> None:
    assert {"kvm", "simulated"} <= registry.installed().keys()
    assert registry.load("simulated").name == "simulated"


def test_listing_names_imports_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, ("broken", "no_such_module_at_all:provider"))
    assert list(registry.installed()) == ["broken"]
    with pytest.raises(registry.ProviderMissing, match="cannot be loaded"):
        registry.load("broken")


def test_one_name_offered_twice_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, ("x", "one:provider"), ("x", "two:provider"))
    with pytest.raises(registry.FerryError, match="offered twice"):
        registry.installed()


def test_a_provider_of_a_later_release_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch)
    with pytest.raises(registry.ProviderMissing, match="later release"):
        registry.load("azure")


def test_another_contract_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, ("simulated", "providers.simulated:provider"))
    monkeypatch.setattr(registry, "CONTRACT_VERSION", 99)
    with pytest.raises(registry.ProviderMissing, match="contract"):
        registry.load("simulated")
