"""Places that look for exactly build 6002, and so broke when updates made it 6003.

A line counts if 6002 stands in it as a number of its own ("6.0.6002" too) and it is about a version (a word
such as version, build, ver, winver), or compares with it. It does not count: a comment; a line that names
6003 as well, since somebody has seen to it; a test that 6003 passes as 6002 does (at least 6002, less than
6002); and a comparison in a line about ports, times or error levels that says nothing of versions.
"""

import codecs
import re
from collections.abc import Iterator

from orchestrator.guest.clean import clean
from orchestrator.model.facts import BuildTest

SCRIPTS = (".bat", ".cmd", ".js", ".ps1", ".psm1", ".vbs", ".wsf")
MAX_SCRIPT_SIZE = 1024 * 1024
_MAX_LINES = 50_000
_TEXT = 300
_NUMBER = re.compile(r"(?<![0-9A-Za-z_.,])(?:6\.0\.)?6002(?![0-9A-Za-z_]|\.[1-9])")
_OTHER = re.compile(r"(?<![0-9A-Za-z])6003(?![0-9A-Za-z])")
_VERSION = re.compile(
    r"\bver\b|version|build|\bwinver\b|\bcsd|win32_operatingsystem|service ?pack|6\.0\.6002", re.IGNORECASE
)
_FOREIGN = re.compile(
    r"\bport|port\b|\b(?:tcp|udp|socket|telnet|timeout|sleep|errorlevel|exit|pid|eventid|err)\b",
    re.IGNORECASE,
)
_EXACT = r"(?:==|!=|<>|\bequ\b|\bneq\b|\bleq\b|\bgtr\b|<=|-i?c?(?:eq|ne|le|gt|match|like)\b|\bcase\b)"
_QUOTE = r"[\s\"'(\[]*(?:6\.0\.)?"
_COMPARES = re.compile(
    rf"{_EXACT}{_QUOTE}6002|6002[\s\"')\]]*{_EXACT}"
    rf"|^\s*(?:@?\s*if|else\s*if|elseif)\b.*?=\s*{_QUOTE}6002"
    rf"|\b(?:find|findstr|instr|indexof|strcmp)\b.*6002",
    re.IGNORECASE,
)
_SAFE = re.compile(rf"(?:\bgeq\b|\blss\b|-i?c?(?:ge|lt)\b|>=|<(?![=>])){_QUOTE}6002", re.IGNORECASE)
_COMMENT = re.compile(r"\s*(?:@?rem\b|::|'|#|//)", re.IGNORECASE)


def is_build_test(line: str) -> bool:
    """Tell whether a line of a script or a command line looks for exactly 6002."""
    if not _NUMBER.search(line) or _COMMENT.match(line) or _OTHER.search(line) or _SAFE.search(line):
        return False
    about_version = _VERSION.search(line) is not None
    if _COMPARES.search(line):
        return about_version or not _FOREIGN.search(line)
    return about_version and not _FOREIGN.search(line)


def build_tests(path: str, content: bytes) -> Iterator[BuildTest]:
    """Yield the places in one script; `path` is its own."""
    if b"6002" not in content and b"6\x000\x000\x002" not in content:
        return
    for number, line in enumerate(_decoded(content).splitlines()[:_MAX_LINES], start=1):
        if is_build_test(line[:4096]):
            yield BuildTest(path=clean(path), line=number, text=clean(line, _TEXT))


def _decoded(content: bytes) -> str:
    utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode(
        "utf-16" if utf16 else "utf-8-sig" if content[:3] == codecs.BOM_UTF8 else "cp1252", "replace"
    )
