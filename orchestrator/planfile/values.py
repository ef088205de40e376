"""How each kind of value is written in a plan file: text in, value out, BadValue with what to write instead.

Pure; used both by the models (`spec`) and by the rules, so that a value is never read in two ways.
"""

import ipaddress
import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import NoReturn, TypeAlias, TypeVar
from zoneinfo import available_timezones

from orchestrator.planfile.nodes import Text
from orchestrator.planfile.wording import listed, nearest, quoted, suggest

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)
Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Interface: TypeAlias = ipaddress.IPv4Interface | ipaddress.IPv6Interface

SIZE_PATTERN = r"^[1-9][0-9]{0,8}(MiB|GiB|TiB)$"
DURATION_PATTERN = r"^([0-9]{1,5}d)?([0-9]{1,5}h)?([0-9]{1,5}m)?([0-9]{1,5}s)?$"
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
COMPUTER_NAME_PATTERN = r"^[A-Za-z0-9]([A-Za-z0-9-]{0,13}[A-Za-z0-9])?$"
_UNITS = {"MiB": 1024**2, "GiB": 1024**3, "TiB": 1024**4}
_LONGEST_TEXT = 1000


class BadValue(ValueError):
    """A value that cannot be read: `code`, `summary` (what is wrong) and `hint` (what to write)."""

    def __init__(self, code: str, summary: str, hint: str) -> None:
        super().__init__(summary)
        self.code, self.summary, self.hint = code, summary, hint


def refuse(code: str, summary: str, hint: str) -> NoReturn:
    """Raise BadValue."""
    raise BadValue(code, summary, hint) from None


def attempt(parse: Callable[[Text], T], text: Text | None) -> T | None:
    """Read a value where it can be read; None where it is missing or wrong, which is reported elsewhere."""
    try:
        return parse(text) if text is not None else None
    except BadValue:
        return None


def fits(pattern: str, text: str) -> bool:
    """Tell whether the whole text has a shape."""
    return re.fullmatch(pattern, text) is not None


def parse_label(text: Text) -> str:
    """Free text on one line: a VM's name, a reason. Not empty, no control characters."""
    if not text.strip():
        refuse("empty", "the text is empty", "write some, or remove the key")
    if len(text) > _LONGEST_TEXT:
        refuse("too-long", f"the text is longer than {_LONGEST_TEXT} characters", "shorten it")
    if not all(c.isprintable() for c in text.strip()):
        refuse(
            "character", f"{quoted(text)} holds a line break or a control character", "write it on one line"
        )
    return str(text.strip())


def parse_name(text: Text) -> str:
    """A name of ours: hosts, endpoints, networks, waves, new virtual machines."""
    if re.fullmatch(NAME_PATTERN[1:-1], text):
        return str(text)
    hint = "use 1 to 63 letters A-Z a-z, digits, `.`, `_`, `-`, beginning with a letter or digit"
    refuse("bad-name", f"{quoted(text)} is no name", hint)


def parse_computer_name(text: Text) -> str:
    """A NetBIOS name that Windows takes as a computer name."""
    if len(text) > 15:
        refuse(
            "computer-name", f"{quoted(text)} has {len(text)} characters", "a computer name has at most 15"
        )
    if not re.fullmatch(COMPUTER_NAME_PATTERN[1:-1], text):
        hint = "use letters A-Z a-z, digits and inner hyphens"
        refuse("computer-name", f"{quoted(text)} is no computer name", hint)
    if text.isdigit():
        refuse("computer-name", f"{quoted(text)} is all digits", "Windows wants at least one letter in it")
    return str(text)


def parse_int(text: Text, low: int, high: int) -> int:
    """A plain decimal number, unquoted, without leading zeros, between `low` and `high`."""
    decimal = re.fullmatch(r"0|-?[1-9][0-9]{0,17}", text)
    if decimal and not text.plain:
        refuse("number", f"{quoted(text)} is in quotes", "write the number without them")
    if not decimal:
        meant = _number_meant(text)
        span = f"a number from {low} to {high}" if low < high else quoted(str(low))
        hint = f"write {quoted(meant) if meant else span}"
        refuse("number", f"{quoted(text)} is not a plain decimal number", hint)
    number = int(text)
    if not low <= number <= high:
        refuse("range", f"{quoted(text)} is out of range", f"write a number from {low} to {high}")
    return number


def _number_meant(text: Text) -> str | None:
    """Guess the decimal number behind `"2"`, `010`, `0x10`, `1_000`, `1e3`, `2.0`."""
    bare = text.strip().replace("_", "")[:20]
    if re.fullmatch(r"0[xX][0-9a-fA-F]+", bare):
        return str(int(bare, 16))
    if re.fullmatch(r"0o[0-7]+", bare):
        return str(int(bare, 8))
    if re.fullmatch(r"[+-]?[0-9]+(\.0*)?([eE][0-9])?", bare):
        return str(int(float(bare)))
    return None


def parse_bool(text: Text) -> bool:
    """`true` or `false`, unquoted."""
    if text.plain and text in ("true", "false"):
        return text == "true"
    if text in ("true", "false"):
        refuse("boolean", f"{quoted(text)} is in quotes", "write it without them")
    meant = {"yes": "true", "on": "true", "true": "true", "no": "false", "off": "false", "false": "false"}
    hint = f"write {quoted(meant[text.lower()])}" if text.lower() in meant else "write `true` or `false`"
    refuse("boolean", f"{quoted(text)} is neither true nor false", hint)


def parse_choice(kind: type[E]) -> Callable[[Text], E]:
    """Make a reader of one of an enumeration's words."""
    words = [member.value for member in kind]

    def parse(text: Text) -> E:
        if text in words:
            return kind(text)
        near = nearest(text, words)
        hint = f"did you mean {quoted(near)}?" if near else f"write {listed(words)}"
        refuse("unknown-value", f"{quoted(text)} is not known here", hint)

    return parse


def parse_size(text: Text) -> int:
    """Bytes from `4GiB`, `512MiB`, `1TiB`."""
    if re.fullmatch(SIZE_PATTERN[1:-1], text):
        return int(text[:-3]) * _UNITS[text[-3:]]
    if re.fullmatch(r"[0-9]+", text):
        refuse("size", f"{quoted(text)} has no unit", "write for example `4096MiB` or `4GiB`")
    if found := re.fullmatch(r"([1-9][0-9]{0,8}) *([MGT])i?B?", text, re.IGNORECASE):
        refuse("size", f"{quoted(text)} is no size", f"write `{found[1]}{found[2].upper()}iB`")
    refuse("size", f"{quoted(text)} is no size", "write for example `4GiB`; units are MiB, GiB, TiB")


def parse_duration(text: Text) -> timedelta:
    """A time span from `15m`, `72h`, `3d`, `1h30m`; more than nothing."""
    found = re.fullmatch(DURATION_PATTERN[1:-1], text)
    span = timedelta()
    if found:
        days, hours, minutes, seconds = (int(part[:-1]) if part else 0 for part in found.groups())
        span = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    if not span:
        hint = "write for example `15m`, `72h` or `1h30m`; units are d, h, m, s"
        refuse("duration", f"{quoted(text)} is no time span", hint)
    return span


def parse_date(text: Text) -> date:
    """A day as `2027-03-31`."""
    try:
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    refuse("date", f"{quoted(text)} is no date", "write it as `2027-03-31`")


def parse_local_time(text: Text) -> datetime:
    """A wall-clock time as `2026-12-05T22:00`; naive, since the zone stands beside it."""
    try:
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?", text):
            return datetime.fromisoformat(text)
    except ValueError:
        pass
    with_zone = re.search(r"T.*(Z|[+-][0-9:]+)$", text)
    hint = "leave the offset away, `timezone` says it" if with_zone else "write it as `2026-12-05T22:00`"
    refuse("time", f"{quoted(text)} is no local time", hint)


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def parse_timezone(text: Text) -> str:
    """An IANA time zone name."""
    if text in _zones():
        return str(text)
    near = nearest(text, _zones(), cutoff=0.75)
    hint = f"did you mean {quoted(near)}?" if near else "write an IANA name such as `Europe/Berlin` or `UTC`"
    refuse("timezone", f"time zone {quoted(text)} is not known", hint)


def parse_address(text: Text) -> Address:
    """One IP address, without a prefix length."""
    try:
        return ipaddress.ip_address(str(text))
    except ValueError:
        refuse("address", f"{quoted(text)} is no IP address", "write for example `198.51.100.1`")


def parse_destination(text: Text) -> Network:
    """One address, or a network in CIDR form whose host bits are zero."""
    try:
        return ipaddress.ip_network(str(text))
    except ValueError:
        pass
    try:
        meant = ipaddress.ip_network(str(text), strict=False)
    except ValueError:
        hint = "write for example `198.51.100.10` or `198.51.100.0/24`; names are not resolved"
        refuse("address", f"{quoted(text)} is no address or network", hint)
    refuse("address", f"{quoted(text)} has bits below its prefix", f"write `{meant}`")


def parse_flow_target(text: Text) -> str:
    """A destination in its shortest form: a single address without a prefix length."""
    network = parse_destination(text)
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


def parse_interface(text: Text) -> Interface:
    """A host's own address with its prefix length, such as `198.51.100.20/24`."""
    try:
        own = ipaddress.ip_interface(str(text))
    except ValueError:
        refuse("address", f"{quoted(text)} is no address", "write for example `198.51.100.20/24`")
    if "/" not in text:
        refuse("address", f"{quoted(text)} has no prefix length", f"write for example `{text}/24`")
    edges = {own.network.network_address, own.network.broadcast_address}
    if own.ip.version == 4 and own.network.prefixlen < 31 and own.ip in edges:
        refuse("address", f"{quoted(text)} is the network itself, not a host in it", "write a host's address")
    return own


def parse_word(pattern: str, code: str, what: str, hint: str, *, show: bool = True) -> Callable[[Text], str]:
    """Make a reader of text that has one fixed shape. `show` is off where a secret may stand instead."""

    def parse(text: Text) -> str:
        if re.fullmatch(pattern, text):
            return str(text)
        refuse(code, f"{quoted(text) if show else 'this'} is no {what}", hint)

    return parse


def parse_known(known: dict[str, str], why_not: dict[str, str], what: str) -> Callable[[Text], str]:
    """Make a reader of words of which some wrong ones deserve their own explanation."""

    def parse(text: Text) -> str:
        if text in known:
            return known[text]
        hint = why_not.get(text.lower()) or suggest(text, known)
        refuse("unknown-value", f"{what} {quoted(text)} is not possible", hint)

    return parse


_CRON_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 7))
_CRON_NAMES = {
    "month": ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    "weekday": ["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
}


def parse_cron(text: Text) -> str:
    """Five cron fields: minute, hour, day of month, month, weekday."""
    parts = text.split()
    if len(parts) != 5:
        hint = 'write five fields: minute hour day month weekday, for example "0 2 * * *"'
        refuse("schedule", f"{quoted(text)} is no schedule", hint)
    for part, (name, low, high) in zip(parts, _CRON_FIELDS, strict=True):
        if not all(_cron_range(item, name, low, high) for item in part.split(",")):
            hint = f"write `*`, numbers from {low} to {high}, ranges `a-b`, steps `*/n`"
            refuse("schedule", f"{quoted(part)} is no {name}", hint)
    return str(text)


def _cron_range(item: str, name: str, low: int, high: int) -> bool:
    found = re.fullmatch(r"(?:(\*)|(\w+)(?:-(\w+))?)(?:/([1-9][0-9]?))?", item)
    if not found:
        return False
    star, first, last, _ = found.groups()
    if star:
        return True
    start = _cron_number(first, name, low, high)
    end = _cron_number(last, name, low, high) if last else start
    return start is not None and end is not None and start <= end


def _cron_number(word: str, name: str, low: int, high: int) -> int | None:
    names = _CRON_NAMES.get(name, [])
    if word.lower() in names:
        return names.index(word.lower()) + low
    return int(word) if re.fullmatch(r"[0-9]{1,2}", word) and low <= int(word) <= high else None
