"""The lists in `rules.toml`: roles without a successor, and what a host does for machines nobody names."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from orchestrator.model.base import Value
from orchestrator.parity.result import Severity


class RoleRule(Value):
    """A role with no successor, or with no future. Found by services or by role ids."""

    id: str
    title: str
    services: tuple[str, ...]
    roles: tuple[str, ...]
    severity: Severity
    why: str
    instead: str
    source: str
    releases: tuple[int, ...] = ()
    """Empty: every release."""


class ServesRule(Value):
    """Something that a host does for others. `ports`: "tcp/1688", on which a listener also gives it away."""

    id: str
    title: str
    services: tuple[str, ...]
    roles: tuple[str, ...]
    ports: tuple[str, ...]
    clients: str
    source: str


class Rules(Value):
    """The whole file."""

    version: int
    sources: Mapping[str, str]
    role: tuple[RoleRule, ...]
    serves: tuple[ServesRule, ...]


@cache
def rules() -> Rules:
    """Return the rules that come with ferry."""
    text = (files("orchestrator.parity.assessment") / "rules.toml").read_text(encoding="utf-8")
    return Rules.model_validate(tomllib.loads(text))
