"""The rule pack: what is known of Windows 6.0 and of its successors, read from `rules/` and `profiles/`.

A rule is data: which items, what it means, why, from which source. A site's own files may be added; they are
asked first. What the rules mean for an item is decided in `judge`, not here.
"""

import hashlib
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path

from pydantic import ValidationError

from orchestrator.diagnostics import Diagnostic, InvalidInput
from orchestrator.model.base import Value
from orchestrator.parity.item import KINDS
from orchestrator.parity.names import windows_key
from orchestrator.parity.rule import Effect, Profile, Rule, RuleFile
from orchestrator.parity.vocabulary import Vocabulary

PACK_VERSION = 1
_NESTED = 3
"""A folder's spelling may hold a variable that holds a variable; more is nobody's."""


class RulePack(Value):
    """All rules in the order in which they are asked: the first that matches with a wanted effect counts.

    The tables are those of `RuleFile`, a site's own entries before the shipped ones.
    """

    documents: tuple[RuleFile, ...]
    digest: str

    @property
    def label(self) -> str:
        """Version and digest, for the record."""
        return f"v{PACK_VERSION} sha256:{self.digest[:16]}"

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        """All rules in their order."""
        return tuple(rule for document in self.documents for rule in document.rule)

    def find(self, key: str, release: int, *effects: Effect) -> Rule | None:
        """Return the first rule for the item with one of these effects."""
        asked = self._by_kind.get(key.partition(":")[0], ())
        return next((r for r in asked if r.effect in effects and r.matches(key, release)), None)

    @cached_property
    def _by_kind(self) -> Mapping[str, tuple[Rule, ...]]:
        """Rules by the kinds that they speak of: a comparison asks some thousand times."""
        found: dict[str, list[Rule]] = {}
        for rule in self.rules:
            for kind in dict.fromkeys(windows_key(item.partition(":")[0]) for item in rule.items):
                found.setdefault(kind, []).append(rule)
        return {kind: tuple(rules) for kind, rules in found.items()}

    @cached_property
    def starts(self) -> frozenset[tuple[str, str]]:
        """(service key, start mode) as Windows 6.0 installs it; a service may have two."""
        return frozenset(
            (windows_key(f"service:{service}"), start)
            for document in self.documents
            for start, services in document.starts.items()
            for service in services
        )

    def is_default_start(self, key: str, start: str) -> bool:
        """Tell whether Windows 6.0 itself gives the service this start mode."""
        return (key, start) in self.starts

    @cached_property
    def built_in_services(self) -> frozenset[str]:
        """Keys of the services that Windows 6.0 brings."""
        return frozenset(key for key, _ in self.starts)

    @cached_property
    def _renamed(self) -> Mapping[str, tuple[str, ...]]:
        tables = (document.renamed for document in reversed(self.documents))
        return {windows_key(old): new for table in tables for old, new in table.items()}

    def successors(self, key: str) -> tuple[str, ...]:
        """Return what the item is called in the new release; () where its name stays."""
        return self._renamed.get(key, ())

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """What accounts are called, and what a release allows by default."""
        accounts: dict[str, str] = {}
        protocols: dict[str, dict[str, bool]] = {}
        for document in reversed(self.documents):
            for name, spellings in document.accounts.items():
                accounts.update({windows_key(spelling): name for spelling in (name, *spellings)})
            for release, defaults in document.protocols.items():
                protocols.setdefault(release, {}).update(defaults)
        return Vocabulary(accounts, protocols)

    @cached_property
    def _folders(self) -> tuple[re.Pattern[str], Mapping[str, str]]:
        tables = (document.paths for document in reversed(self.documents))
        known = {s.lower(): one.lower() for table in tables for one, spelt in table.items() for s in spelt}
        longest = sorted(known, key=len, reverse=True)
        return re.compile("|".join(map(re.escape, longest)) or r"(?!)"), known

    def fold(self, text: str) -> str:
        """Return text with every folder in the one spelling, in lower case, without quotes."""
        pattern, known = self._folders
        folded = text.lower().replace('"', "")
        for _ in range(_NESTED):
            folded = pattern.sub(lambda match: known[match.group()], folded)
        return folded

    def source(self, rule: Rule) -> str:
        """Return where a rule comes from, in words."""
        for document in self.documents:
            if rule in document.rule:
                return document.sources.get(rule.source, rule.source)
        return rule.source


@cache
def shipped_pack() -> RulePack:
    """Return the rules that come with ferry."""
    return _pack(_documents("rules"))


def load_folder(folder: Path) -> RulePack:
    """Return the shipped rules with those of a site's folder (*.toml) before them.

    Raises InvalidInput naming every bad file.
    """
    found = sorted(folder.glob("*.toml")) if folder.is_dir() else []
    if not found:
        hint = "name a folder with rule files, written like those of orchestrator/parity/rules"
        raise InvalidInput((Diagnostic("no-rules", f"{folder} holds no rule files (*.toml)", hint),))
    return load_pack(found)


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
    return RulePack(documents=tuple(parsed), digest=digest.hexdigest())


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
        wrong.extend(_strangers(f"rule {rule.id}", (*rule.items, *rule.by)))
    for old, new in document.renamed.items():
        wrong.extend(_strangers("renamed", (old, *new)))
    return [Diagnostic("bad-rules", f"{name}: {text}", "mend the rule file") for text in wrong]


def _strangers(where: str, items: Iterable[str]) -> Iterator[str]:
    kinds = ", ".join(KINDS)
    for item in items:
        if item.partition(":")[0] not in KINDS:
            yield f"{where}: {item!r} is of no known kind ({kinds})"
