"""Finds secrets written in clear. A plan file lives in version control, so each is an error.

The value never enters a message: its own diagnostic does not show it, `scrub` takes it out of all others.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from orchestrator.diagnostics import Diagnostic
from orchestrator.planfile.locate import place
from orchestrator.planfile.nodes import Node, Table, Text, problem, walk

_KEY = re.compile(
    r"passw(or)?d|passphrase|\bpwd\b|secret|token|api[_-]?key|private[_-]?key|account[_-]?key|credential",
    re.I,
)
_PEM = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----")
_USER_INFO = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/\s:@]*:([^/\s]+)@")
_ASSIGNED = re.compile(
    r"(?:^|[?&;\s])(?:password|passwd|pwd|secret|token|sig|accountkey|sharedaccesskey)=([^&;\s]+)", re.I
)
_REFERENCE = "write a reference: {env: NAME}, {file: PATH} or {keyring: SERVICE/USER}"
_CHANGE_IT = "and change the secret: it has been in a file"
_SHORTEST = 4


@dataclass(frozen=True)
class Found:
    """The problems, and the texts that no other message may show."""

    problems: tuple[Diagnostic, ...]
    texts: tuple[str, ...]

    def scrub(self, diagnostic: Diagnostic) -> Diagnostic:
        """Take every found text out of a diagnostic."""
        return replace(diagnostic, summary=self._clean(diagnostic.summary), hint=self._clean(diagnostic.hint))

    def _clean(self, message: str) -> str:
        for text in self.texts:
            message = message.replace(text, "***")
        return message


def find_secrets(root: Table, text: str) -> Found:
    """Search all values, and the text around them (comments) for private keys."""
    problems: list[Diagnostic] = []
    texts: set[str] = set()
    for value, what, hint, secret in _in_values(root):
        problems.append(problem(value, "secret", what, hint))
        texts.update(part for part in (secret, *secret.split()) if len(part) >= _SHORTEST)
    file = root.at.file
    if not any("private key" in p.summary for p in problems):
        for match in _PEM.finditer(text):
            at = place(text, match.start(), file)
            problems.append(Diagnostic("secret", "a private key", f"remove it, {_CHANGE_IT}", at))
    return Found(tuple(problems), tuple(sorted(texts, key=len, reverse=True)))


def _in_values(root: Table) -> Iterator[tuple[Text, str, str, str]]:
    """Give each value that holds a secret: the value, what it is, what to write, the secret itself."""
    for key, value in _with_keys(root):
        if not isinstance(value, Text):
            continue
        if _PEM.search(value):
            yield value, "a private key", f"keep it in a file and refer to it, {_CHANGE_IT}", str(value)
        elif match := _USER_INFO.search(value) or _ASSIGNED.search(value):
            yield value, "a password inside this value", f"leave it away, {_CHANGE_IT}", match[1]
        elif _KEY.search(key) and value:
            yield value, f"`{key}` is written in clear", f"{_REFERENCE}, {_CHANGE_IT}", str(value)


def _with_keys(root: Table) -> Iterator[tuple[str, Node]]:
    """Every value with the key that it stands under; an item of a list takes the list's key."""
    below_key: dict[int, str] = {}
    for key, value in walk(root):
        name = key or below_key.get(id(value), "")
        if isinstance(value, list):
            below_key.update((id(item), name) for item in value)
        yield name, value
