"""What the items of a server are called by, whatever its language: accounts, and what a release allows by
default. The words themselves are data of the rule pack.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from orchestrator.model.facts import User
from orchestrator.parity.names import windows_key

FIRST_OWN_RID = 1000
"""Accounts below are Windows' own, whatever they are called."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """`accounts`: key of a spelling (SID, other language) to the one name; `protocols`: what a release allows
    by default, by release and protocol."""

    accounts: Mapping[str, str] = field(default_factory=dict)
    protocols: Mapping[str, Mapping[str, bool]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Naming:
    """The accounts of one server in one spelling: built-in ones by their one name, the server's own as
    `.\\name`, all others as they are."""

    vocabulary: Vocabulary
    hostname: str
    built_in: Mapping[str, str] = field(default_factory=dict)

    def account(self, text: str, *, local: bool = False) -> str:
        """Return an account; `local`: a name without a domain is the server's own."""
        text = text.strip()
        known = self.vocabulary.accounts.get(windows_key(text))
        if known is not None:
            return known
        domain, _, name = text.rpartition("\\")
        if text.upper().startswith("S-1-") or not (local or domain) or not self._is_own(domain):
            return text
        key = windows_key(name)
        return self.built_in.get(key) or self.vocabulary.accounts.get(key) or f".\\{name}"

    def group(self, name: str, rid: int) -> str:
        """Return the name of a local group; a built-in one's whatever the language."""
        if rid >= FIRST_OWN_RID:
            return name
        return self.vocabulary.accounts.get(f"S-1-5-32-{rid}", name)

    def _is_own(self, domain: str) -> bool:
        return windows_key(domain) in ("", ".", "BUILTIN", windows_key(self.hostname))


def naming(vocabulary: Vocabulary, hostname: str, users: Iterable[User] = ()) -> Naming:
    """Return the naming of one server; `users` tells what its built-in accounts are called there."""
    built_in = {
        windows_key(user.name): f".\\{built_in_user(user.rid)}" for user in users if user.rid < FIRST_OWN_RID
    }
    return Naming(vocabulary, hostname, built_in)


def built_in_user(rid: int) -> str:
    """Return what a built-in user is called here: no other can be, for no name holds a colon."""
    return f"built-in:{rid}"
