"""What the three pairs are put together with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from orchestrator.model.facts import (
    Certificate,
    FirewallRule,
    Listener,
    Permission,
    Protocol,
    Role,
    Route,
    ScheduledTask,
    ServerFacts,
    Service,
    Share,
    Software,
)
from tests.unit import builders as b

SHOP, INTRANET = "A1" * 20, "B2" * 20
SHOP_AGAIN = "C3" * 20


@dataclass(frozen=True)
class Pair:
    """`planted`: item and its state, all that a person has to look at; `profile` and `release` fit it."""

    profile: str
    release: int
    old: ServerFacts
    new: ServerFacts
    planted: dict[str, str]


def more(facts: ServerFacts, **added: Any) -> ServerFacts:
    """Add entries to sections that are tuples; a section of another sort is replaced."""
    fields = {
        section: (*getattr(facts, section), *entries) if isinstance(entries, tuple) else entries
        for section, entries in added.items()
    }
    return facts.model_copy(update=fields)


def with_hosts(facts: ServerFacts, *lines: str, routes: tuple[Route, ...] = ()) -> ServerFacts:
    assert facts.network is not None
    network = facts.network
    changed = {"hosts": (*(network.hosts or ()), *lines), "routes": (*(network.routes or ()), *routes)}
    return facts.model_copy(update={"network": network.model_copy(update=changed)})


def with_rules(facts: ServerFacts, *rules: FirewallRule) -> ServerFacts:
    assert facts.firewall is not None
    firewall = facts.firewall.model_copy(update={"rules": (*facts.firewall.rules, *rules)})
    return facts.model_copy(update={"firewall": firewall})


def with_protocol(facts: ServerFacts, *protocols: Protocol) -> ServerFacts:
    assert facts.security is not None
    security = facts.security.model_copy(update={"tls": (*facts.security.tls, *protocols)})
    return facts.model_copy(update={"security": security})


def roles(names: str) -> tuple[Role, ...]:
    return tuple(Role(id=name) for name in names.split())


def service(name: str, image: str, account: str = "LocalSystem", **changes: Any) -> Service:
    return b.a_service(name, image_path=image, account=account, **changes)


def task(path: str, command: str, run_as: str, *triggers: str) -> ScheduledTask:
    return ScheduledTask(path=path, enabled=True, commands=(command,), run_as=run_as, triggers=triggers)


def software(name: str, version: str, publisher: str, view: int = 64) -> Software:
    return Software(key=name, name=name, version=version, publisher=publisher, view=view)


def share(name: str, path: str, *rights: tuple[str, str]) -> Share:
    allowed = tuple(Permission(account=account, right=right) for account, right in rights)
    return Share(name=name, path=path, permissions=allowed)


def listening(port: int, process: str) -> Listener:
    return Listener(protocol="tcp", address="0.0.0.0", port=port, process=process)  # noqa: S104


def certificate(thumbprint: str, name: str, until: date) -> Certificate:
    subject, issuer = f"CN={name}, O=Contoso", "CN=Contoso Issuing CA 2"
    return Certificate(
        thumbprint=thumbprint,
        subject=subject,
        issuer=issuer,
        not_after=until,
        names=(name,),
        private_key=True,
    )
