"""What a rule file and a profile look like. Data only: what a rule means for an item, `judge` decides."""

from collections.abc import Mapping
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cached_property

from orchestrator.model.base import Value
from orchestrator.parity.names import windows_key
from orchestrator.parity.result import Severity

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
    """One file of rules, and beside them tables.

    `starts`: services by the start mode that Windows 6.0 gives them. `renamed`: an item and what it is called
    in the new release, several where any of them will do. `accounts`: an account and its other spellings.
    `paths`: a folder and its other spellings. `protocols`: what each release allows by default.
    """

    version: int
    about: str
    sources: Mapping[str, str]
    rule: tuple[Rule, ...] = ()
    starts: Mapping[str, tuple[str, ...]] = {}
    renamed: Mapping[str, tuple[str, ...]] = {}
    accounts: Mapping[str, tuple[str, ...]] = {}
    paths: Mapping[str, tuple[str, ...]] = {}
    protocols: Mapping[str, Mapping[str, bool]] = {}


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
