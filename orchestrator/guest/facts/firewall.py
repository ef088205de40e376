"""Windows Firewall: its profiles and rules, the machine's own and those of a policy.

The form of a rule ("v2.0|Action=Allow|Active=TRUE|Dir=In|...") is that of real hives of 6.1 and 10.0.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from orchestrator.guest.clean import LINE, NAME, clean
from orchestrator.guest.registry import RegistryKey, flag, strings
from orchestrator.model.facts import Firewall, FirewallRule

_OWN = r"Services\SharedAccess\Parameters\FirewallPolicy"
_POLICY = r"Policies\Microsoft\WindowsFirewall"
_PROFILES = {"domain": "DomainProfile", "private": "StandardProfile", "public": "PublicProfile"}
_PROTOCOLS = {
    "1": "icmpv4",
    "2": "igmp",
    "6": "tcp",
    "17": "udp",
    "41": "ipv6",
    "47": "gre",
    "58": "icmpv6",
}
_MAX_RULES = 10_000


def firewall(control: RegistryKey, software: RegistryKey | None = None) -> Firewall | None:
    """Return profiles and rules; None where the firewall's own settings are not there.

    A policy's setting of a profile wins over the machine's; its rules are added. A profile that says nothing
    is on, as Windows has it.
    """
    own = control.subkey(_OWN)
    if own is None:
        return None
    policy = software.subkey(_POLICY) if software else None
    places = [place for place in (policy, own) if place is not None]
    rules = [rule for place in places for rule in _rules(place)]
    return Firewall(
        profiles=tuple((name, _on(places, key)) for name, key in _PROFILES.items()),
        rules=tuple(sorted(rules, key=lambda rule: (rule.name.casefold(), rule.model_dump_json()))),
    )


def _on(places: Iterable[RegistryKey], profile: str) -> bool:
    said = (flag(place.subkey(profile), "EnableFirewall") for place in places)
    return next((one for one in said if one is not None), True)


def _rules(where: RegistryKey) -> Iterator[FirewallRule]:
    key = where.subkey("FirewallRules")
    values = key.values() if key else {}
    for name in (key.value_names() if key else ())[:_MAX_RULES]:
        rule = next(iter(strings(values[name.lower()])), "")
        if rule.startswith("v") and "|" in rule:
            yield _rule(name, rule)


def _rule(name: str, stored: str) -> FirewallRule:
    """Read one rule. A name that is a reference into a DLL ("@FirewallAPI.dll,-28511") is no name: the
    value's own stands for it, unless that is only a GUID.
    """
    parts: dict[str, list[str]] = defaultdict(list)
    for part in stored.split("|")[1:]:
        word, mark, value = part.partition("=")
        if mark:
            parts[word.casefold()].append(value)

    def one(word: str, otherwise: str = "") -> str:
        return clean(parts[word][0] if parts[word] else otherwise, LINE)

    def several(*words: str) -> str:
        found = [value for word in words for value in parts[word]]
        return clean(",".join(sorted(dict.fromkeys(found))), LINE) or "*"

    shown, protocol = one("name"), one("protocol", "*")
    return FirewallRule(
        name=clean(shown if shown and (shown[0] != "@" or name.startswith("{")) else name, NAME),
        enabled=one("active").casefold() == "true",
        inbound=one("dir").casefold() == "in",
        allow=one("action").casefold() == "allow",
        protocol=_PROTOCOLS.get(protocol, protocol),
        local_ports=several("lport", "lport2_10", "lport2_20"),
        remote_addresses=several("ra4", "ra6"),
        program=one("app"),
        service=one("svc"),
        profiles=several("profile").casefold(),
    )
