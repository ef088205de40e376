"""A driver package from its INF file. Packages from outside Windows are published as oem0.inf and so on."""

import codecs
import re

from orchestrator.guest.clean import NAME, clean
from orchestrator.model.facts import Driver

MAX_INF_SIZE = 2 * 1024 * 1024
_SECTION = re.compile(r"\s*\[([^\]]{1,100})\]")
_LINE = re.compile(r"\s*([^=;\s][^=;]{0,100}?)\s*=\s*(.{0,1000})")
_TOKEN = re.compile(r"%([^%]{1,100})%")
_KEPT = frozenset({"version", "strings"})
_MAX_LINES = 100_000


def driver(inf: str, content: bytes) -> Driver:
    """Read provider, version ("date version") and class; "" for what the file does not say."""
    found = _sections(content)
    version, words = found["version"], found["strings"]

    def said(name: str) -> str:
        value = version.get(name, "")
        return clean(_TOKEN.sub(lambda token: words.get(token[1].casefold(), token[0]), value), NAME)

    return Driver(
        inf=clean(inf.casefold(), NAME),
        provider=said("provider"),
        version=re.sub(r"\s*,\s*", " ", said("driverver")),
        device_class=said("class"),
    )


def _sections(content: bytes) -> dict[str, dict[str, str]]:
    """Return the lines of [Version] and [Strings]; localised ones ([Strings.0407]) do not count."""
    utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = content.decode("utf-16" if utf16 else "cp1252", "replace")
    found: dict[str, dict[str, str]] = {name: {} for name in _KEPT}
    current = ""
    for line in text.splitlines()[:_MAX_LINES]:
        if section := _SECTION.match(line):
            current = section[1].strip().casefold()
        elif current in _KEPT and (match := _LINE.match(line)):
            found[current].setdefault(match[1].strip().casefold(), _value(match[2]))
    return found


def _value(raw: str) -> str:
    if raw.startswith('"'):
        return raw[1:].partition('"')[0]
    return raw.partition(";")[0].strip()
