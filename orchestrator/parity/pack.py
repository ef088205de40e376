"""The rule pack: what is known of Windows 6.0 and of its successors, read from `rules/` and `profiles/`.

A rule is data: which items, what it means, why, from which source. A site's own files may be added; they are
asked first. What the rules mean for an item is decided in `compare`, not here.
"""

import hashlib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path

from pydantic import ValidationError

from orchestrator.diagnostics import Diagnostic, InvalidInput
from orchestrator.model.base import Value
from orchestrator.parity.items import KINDS
from orchestrator.parity.names import windows_key
from orchestrator.parity.result import Severity

PACK_VERSION = 1
_GLOB = frozenset("*?[")


class Effect(StrEnum):
    """What a rule does.

    IGNORE: never compared, on either side. BUILT_IN: not listed when only the new server has it. GONE:
    nothing needs doing when it is missing. REPLACED: the same where one of `by` is there. ACCEPT: a
    difference in values is fine. ACT: somebody must do or decide something, `advice` says what.
    """

    IGNORE = "ignore"
    BUILT_IN = "built-in"
    GONE = "gone"
    REPLACED = "replaced"
    ACCEPT = "accept"
    ACT = "act"


class Rule(Value):
    """One rule.

    `items` are ids, `*` and `?` allowed; `source` is a key of the file's sources; `severity` overrides the
    profile's.
    """

    id: str
    items: tuple[str, ...]
    effect: Effect
    why: str
    source: str
    advice: str = ""
    by: tuple[str, ...] = ()
    severity: Severity | None = None
    releases: tuple[int, ...] = ()
    """Empty: every release."""

    @cached_property
    def _exact(self) -> frozenset[str]:
        return frozenset(windows_key(item) for item in self.items if not _GLOB & set(item))

    @cached_property
    def _globs(self) -> tuple[str, ...]:
        return tuple(windows_key(item) for item in self.items if _GLOB & set(item))

    def matches(self, key: str, release: int) -> bool:
        """Tell whether the rule speaks about this item on this release."""
        if self.releases and release not in self.releases:
            return False
        return key in self._exact or any(fnmatchcase(key, glob) for glob in self._globs)


class RuleFile(Value):
    """One file of rules. `starts` holds names of services by the start mode that Windows 6.0 gives them."""

    version: int
    about: str
    sources: Mapping[str, str]
    rule: tuple[Rule, ...] = ()
    starts: Mapping[str, tuple[str, ...]] = {}


class Profile(Value):
    """What matters on one kind of server: severity by kind of item ("ignore": not compared).

    `items` names single ones that differ from that.
    """

    about: str
    kinds: Mapping[str, str]
    items: Mapping[str, Severity] = {}

    def severity(self, kind: str, key: str) -> Severity | None:
        """Return what an open item of this kind means; None: not compared."""
        for pattern, severity in self.items.items():
            if fnmatchcase(key, windows_key(pattern)):
                return severity
        chosen = self.kinds.get(kind, "ignore")
        return None if chosen == "ignore" else Severity(chosen)


class RulePack(Value):
    """All rules in the order in which they are asked: the first that matches with a wanted effect counts."""

    rules: tuple[Rule, ...]
    sources: tuple[tuple[str, str], ...]
    starts: tuple[tuple[str, str], ...]
    """(service key, start mode) as Windows 6.0 installs it; a service may have two."""
    digest: str

    @property
    def label(self) -> str:
        """Version and digest, for the record."""
        return f"v{PACK_VERSION} sha256:{self.digest[:16]}"

    def find(self, key: str, release: int, *effects: Effect) -> Rule | None:
        """Return the first rule for the item with one of these effects."""
        return next((r for r in self.rules if r.effect in effects and r.matches(key, release)), None)

    @cached_property
    def _starts(self) -> frozenset[tuple[str, str]]:
        return frozenset(self.starts)

    def is_default_start(self, key: str, start: str) -> bool:
        """Tell whether Windows 6.0 itself gives the service this start mode."""
        return (key, start) in self._starts

    @cached_property
    def built_in_services(self) -> frozenset[str]:
        """Keys of the services that Windows 6.0 brings."""
        return frozenset(key for key, _ in self.starts)

    def source(self, rule: Rule) -> str:
        """Return where a rule comes from, in words."""
        return dict(self.sources).get(rule.source, rule.source)


@cache
def shipped_pack() -> RulePack:
    """Return the rules that come with ferry."""
    return _pack(_documents("rules"))


def load_pack(extra: Sequence[Path]) -> RulePack:
    """Return the shipped rules with a site's own files before them.

    Raises InvalidInput naming every bad file.
    """
    own: list[tuple[str, str]] = []
    problems: list[Diagnostic] = []
    for path in extra:
        try:
            own.append((str(path), path.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError) as error:
            problems.append(
                Diagnostic("unreadable", f"{path} cannot be read: {error}", "give a UTF-8 TOML file")
            )
    if problems:
        raise InvalidInput(tuple(problems))
    return _pack([*own, *_documents("rules")])


def profile_names() -> tuple[str, ...]:
    """Return the names of the profiles that ship."""
    return tuple(name.removesuffix(".toml") for name, _ in _documents("profiles"))


def profile(name: str) -> Profile:
    """Return a profile by name. Raises InvalidInput with what there is."""
    for known, text in _documents("profiles"):
        if known == f"{name}.toml":
            return Profile.model_validate(tomllib.loads(text))
    names = profile_names()
    close = get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(names)}"
    raise InvalidInput((Diagnostic("unknown-profile", f"there is no parity profile {name!r}", hint),))


@cache
def _documents(folder: str) -> tuple[tuple[str, str], ...]:
    here = files("orchestrator.parity") / folder
    found = ((entry.name, entry.read_text(encoding="utf-8")) for entry in here.iterdir())
    return tuple(sorted(pair for pair in found if pair[0].endswith(".toml")))


def _pack(documents: Iterable[tuple[str, str]]) -> RulePack:
    parsed: list[RuleFile] = []
    problems: list[Diagnostic] = []
    digest = hashlib.sha256()
    for name, text in documents:
        digest.update(text.encode())
        try:
            document = RuleFile.model_validate(tomllib.loads(text))
        except (tomllib.TOMLDecodeError, ValidationError) as error:
            problems.append(
                Diagnostic("bad-rules", f"{name}: {error}", "see orchestrator/parity/rules for examples")
            )
            continue
        problems.extend(_check(name, document))
        parsed.append(document)
    if problems:
        raise InvalidInput(tuple(problems))
    starts = {
        (windows_key(f"service:{service}"), start)
        for document in parsed
        for start, services in document.starts.items()
        for service in services
    }
    return RulePack(
        rules=tuple(rule for document in parsed for rule in document.rule),
        sources=tuple(pair for document in parsed for pair in document.sources.items()),
        starts=tuple(sorted(starts)),
        digest=digest.hexdigest(),
    )


def _check(name: str, document: RuleFile) -> list[Diagnostic]:
    """Return what a schema cannot see: unknown kinds and sources, a future version, a missing successor."""
    wrong = []
    if document.version != PACK_VERSION:
        wrong.append(f"version {document.version} of rules is not known here, only {PACK_VERSION}")
    for rule in document.rule:
        if rule.source not in document.sources:
            wrong.append(f"rule {rule.id}: source {rule.source!r} is not among the file's sources")
        if (rule.effect is Effect.REPLACED) != bool(rule.by):
            wrong.append(f"rule {rule.id}: `by` belongs to effect `replaced`, and only there")
        if rule.effect is Effect.ACT and not rule.advice:
            wrong.append(f"rule {rule.id}: effect `act` needs an advice")
        wrong.extend(
            f"rule {rule.id}: {item!r} is of no known kind ({', '.join(KINDS)})"
            for item in (*rule.items, *rule.by)
            if item.partition(":")[0] not in KINDS
        )
    return [Diagnostic("bad-rules", f"{name}: {text}", "mend the rule file") for text in wrong]
