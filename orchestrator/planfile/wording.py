"""How problems are worded: quoting, "did you mean", YAML's own errors in words to act on. No I/O."""

import difflib
from collections.abc import Iterable

_LONGEST = 60


def quoted(text: str) -> str:
    """Show a piece of the file in a message: in backticks, on one line, cut where it is long."""
    shown = "".join(c if c.isprintable() else " " for c in text)
    return f"`{shown if len(shown) <= _LONGEST else shown[: _LONGEST - 3] + '...'}`"


def listed(words: Iterable[str]) -> str:
    """Join words for reading: `a`, `b` or `c`."""
    shown = [quoted(word) for word in words]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} or {shown[-1]}" if shown else ""


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Give the known word that was probably meant, or None. Case does not count."""
    near_in_length = (w for w in known if abs(len(w) - len(word)) <= 2 + len(word) // 3)
    by_case = {candidate.casefold(): candidate for candidate in near_in_length}
    found = difflib.get_close_matches(word.casefold(), by_case, n=1, cutoff=cutoff)
    return by_case[found[0]] if found else None


def suggest(word: str, known: Iterable[str], *, none: str = "") -> str:
    """Say what to write instead of an unknown word: the nearest one, else all of them, else `none`."""
    words = sorted(known)
    if near := nearest(word, words):
        return f"did you mean {quoted(near)}?"
    if not words:
        return none
    shown = words if len(words) <= 12 else [*words[:11], "..."]
    return f"write {'one of ' if len(words) > 1 else ''}{', '.join(quoted(w) for w in shown)}"


_SYNTAX = (
    (
        "mapping values are not allowed",
        "a `:` that is no key's",
        "quote text that holds `: `, or correct the indentation",
    ),
    ("could not find expected ':'", "a key without its `:`", "write `key: value`"),
    ("expected <block end>", "the indentation fits nothing above", "align it with the lines it belongs to"),
    (
        "found unknown escape character",
        "a backslash in double quotes",
        "use single quotes for text with backslashes",
    ),
    (
        "expected escape sequence",
        "a backslash in double quotes",
        "use single quotes for text with backslashes",
    ),
    ("found unexpected end of stream", "the file ends inside quotes", "close the quotes"),
    ("expected ',' or ']'", "a list in brackets is not closed", "write `]`, or `,` between the items"),
    ("expected ',' or '}'", "a mapping in braces is not closed", "write `}`, or `,` between the entries"),
    ("found duplicate anchor", "an anchor of that name stands above", "give it another name"),
    ("found undefined tag handle", "a YAML tag", "remove it; the format decides each value's type"),
    ("incompatible YAML document", "not YAML 1.2", "remove the %YAML line"),
)


def syntax_problem(said: str, rest: str) -> tuple[str, str]:
    """Turn what the YAML scanner said, and the rest of the line it stopped at, into summary and hint."""
    if "cannot start any token" in said:
        if rest.startswith("\t"):
            return "a tab", "YAML wants spaces"
        return f"text cannot begin with {quoted(rest[:1])}", "quote it"
    for fragment, summary, hint in _SYNTAX:
        if fragment in said:
            return summary, hint
    return f"not YAML: {said or 'unreadable'}", "correct the line"
