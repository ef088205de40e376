"""The machine: what it is, volumes, printers, data sources, driver packages, environment, settings."""

from collections.abc import Iterator

from orchestrator.lifecycle import release_of
from orchestrator.model.facts import Identity, Security, ServerFacts, Volume
from orchestrator.parity.item import Item, item, listed, yes
from orchestrator.parity.names import windows_key
from orchestrator.parity.vocabulary import Vocabulary

DEFAULT_BASIS = "the release's default"
"""Nobody set it, or to what it would be anyway."""
_LISTS = frozenset({"PATH", "PATHEXT", "PSMODULEPATH"})
_NTLM2_ONLY, _REFUSE_NTLM1 = 3, 5
"""LmCompatibilityLevel from which NTLMv1 is not sent, and from which it is not accepted either."""


def machine(facts: ServerFacts, vocabulary: Vocabulary) -> Iterator[Item]:
    """Give all of it."""
    yield from _identity(facts.identity)
    yield from (_volume(v) for v in facts.volumes or () if v.letter)
    for printer in facts.printers or ():
        values = (("driver", printer.driver), ("port", printer.port), ("shared as", printer.shared_as))
        yield item("printer", printer.name, values)
    for source in facts.odbc or ():
        values = (("driver", source.driver), ("server", source.server), ("database", source.database))
        yield item("odbc", f"{source.name} ({source.view}-bit)", values)
    for driver in facts.drivers or ():
        name = f"{driver.device_class}/{driver.provider}"
        yield item("driver-package", name, file=driver.inf, version=driver.version)
    for variable in facts.environment or ():
        yield _variable(variable.name, variable.value)
    if facts.time_zone is not None:
        yield item("system", "time-zone", (("time zone", facts.time_zone),))
    if facts.security is not None:
        yield from _protocols(facts.security, vocabulary, facts.identity)


def _identity(known: Identity) -> Iterator[Item]:
    role = known.product_type.value if known.product_type else None
    build = str(known.build) if known.build is not None else None
    yield item("identity", "release", (("build", build),), product=known.product_name or "")
    yield item("identity", "role", (("role", role),))
    yield item("identity", "arch", (("architecture", known.arch),))


def _volume(volume: Volume) -> Item:
    """`used` is what has to find room on the new server; there it is of no interest."""
    values = (
        ("filesystem", volume.filesystem),
        ("size", str(volume.size)),
        ("used", None if volume.used is None else str(volume.used)),
    )
    encrypted = "yes" if volume.encrypted else ""
    return item("volume", volume.letter, values, label=volume.label, encrypted=encrypted)


def _variable(name: str, value: str) -> Item:
    if windows_key(name) not in _LISTS:
        return item("environment", name, (("value", value),))
    parts = [part.strip().strip('"').rstrip("\\") for part in value.split(";")]
    return item("environment", name, (("entries", listed(parts)),))


def _protocols(security: Security, vocabulary: Vocabulary, identity: Identity) -> Iterator[Item]:
    """Give what is allowed: as set, else as the release has it by default.

    Where nobody set it and the release's default is not in the rules, there is nothing to compare. A release
    without any defaults in the rules is another matter: what it allows is unknown.
    """
    release = release_of(identity)
    defaults = vocabulary.protocols.get(release.key if release else "", {})
    chosen = _chosen(security)
    named = chosen.keys() if not defaults else {name for name, on in chosen.items() if on is not None}
    for name in sorted(defaults.keys() | named):
        setting = chosen.get(name)
        usual = defaults.get(name)
        allowed = usual if setting is None else setting
        basis = DEFAULT_BASIS if allowed == usual else "set"
        yield item("protocol", name, (("on", yes(allowed)),), basis=basis)


def _chosen(security: Security) -> dict[str, bool | None]:
    level = security.lm_compatibility
    return {f"{tls.name} {tls.side}": tls.enabled for tls in security.tls} | {
        "SMB1 server": security.smb1_server,
        "SMB1 client": security.smb1_client,
        "SMB signing required": security.smb_signing_required,
        "NTLMv1 sent": None if level is None else level < _NTLM2_ONLY,
        "NTLMv1 accepted": None if level is None else level < _REFUSE_NTLM1,
    }
