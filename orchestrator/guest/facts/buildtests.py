"""Places that look for exactly build 6002, and so broke when updates made it 6003.

A line counts if 6002 stands in it as a number of its own ("6.0.6002" too) and it is about a version (a word
such as version, build, ver, winver), or compares with it. It does not count: a comment; a line that names
6003 as well, since somebody has seen to it; a test that 6003 passes as 6002 does (at least 6002, less than
6002); and a comparison in a line about ports, times or error levels that says nothing of versions.
"""

import codecs
import re
from collections.abc import Iterator
from itertools import islice

from orchestrator.guest.clean import clean
from orchestrator.model.facts import BuildTest

SCRIPTS = (".bat", ".cmd", ".js", ".ps1", ".psm1", ".vbs", ".wsf")
MAX_SCRIPT_SIZE = 1024 * 1024
_MAX_LINES = 50_000
_TEXT = 300
_MAX_LINE = 4096
_MAX_NUMBERS = 8
_NEAR = 60
_OPERATOR = 12
_NUMBER = re.compile(r"(?<![0-9A-Za-z_.,])(?:6\.0\.)?6002(?![0-9A-Za-z_]|\.[1-9])")
_OTHER = re.compile(r"(?<![0-9A-Za-z])6003(?![0-9A-Za-z])")
_VERSION = re.compile(
    r"\bver\b|version|build|\bwinver\b|\bcsd|win32_operatingsystem|service ?pack", re.IGNORECASE
)
_FOREIGN = re.compile(
    r"\bport|port\b|\b(?:tcp|udp|socket|telnet|errorlevel|pid|eventid|err)\b", re.IGNORECASE
)
_AMOUNT = re.compile(r"\b(?:exit(?:\s+/b)?|timeout(?:\s+/t)?|sleep)$", re.IGNORECASE)
_EXACT = r"==|!=|<>|<=|\b(?:equ|neq|leq|gtr|case)|-[ic]?(?:eq|ne|le|gt|match|like)"
_EXACT_BEFORE = re.compile(rf"(?:{_EXACT})$", re.IGNORECASE)
_EXACT_AFTER = re.compile(rf"(?:{_EXACT})", re.IGNORECASE)
_SAFE_BEFORE = re.compile(r"(?:>=|<|\b(?:geq|lss)|-[ic]?(?:ge|lt))$", re.IGNORECASE)
_IF = re.compile(r"\s*@?\s*(?:else\s*)?if\b", re.IGNORECASE)
_SEARCH = re.compile(r"\b(?:find|findstr|instr|indexof|strcmp)\b", re.IGNORECASE)
_COMMENT = re.compile(r"\s*(?:@?rem\b|::|'|#|//)", re.IGNORECASE)
_OPENING, _CLOSING = " \t\"'([", " \t\"')]"


def is_build_test(line: str) -> bool:
    """Tell whether a line of a script or a command line looks for exactly 6002."""
    line = line[:_MAX_LINE]
    if _COMMENT.match(line) or _OTHER.search(line):
        return False
    return any(_is_test(line, number) for number in islice(_NUMBER.finditer(line), _MAX_NUMBERS))


def _is_test(line: str, number: re.Match[str]) -> bool:
    """Judge one place by what stands next to it: only ends and starts are searched, so no line is slow."""
    before = line[: number.start()].rstrip(_OPENING)
    operator = before[-_OPERATOR:]
    if _SAFE_BEFORE.search(operator) or _AMOUNT.search(operator) or _FOREIGN.search(before[-_NEAR:]):
        return False
    about_version = "." in number[0] or _VERSION.search(line) is not None
    return about_version or _compares(line, before, line[number.end() :].lstrip(_CLOSING))


def _compares(line: str, before: str, after: str) -> bool:
    return bool(
        _EXACT_BEFORE.search(before[-_OPERATOR:])
        or _EXACT_AFTER.match(after[:_OPERATOR])
        or (before.endswith("=") and _IF.match(line))
        or _SEARCH.search(before)
    )


def build_tests(path: str, content: bytes) -> Iterator[BuildTest]:
    """Yield the places in one script; `path` is its own."""
    if b"6002" not in content and b"6\x000\x000\x002" not in content:
        return
    for number, line in enumerate(_decoded(content).splitlines()[:_MAX_LINES], start=1):
        if is_build_test(line):
            yield BuildTest(path=clean(path), line=number, text=clean(line, _TEXT))


def _decoded(content: bytes) -> str:
    utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode(
        "utf-16" if utf16 else "utf-8-sig" if content[:3] == codecs.BOM_UTF8 else "cp1252", "replace"
    )
