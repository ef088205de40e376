"""One thing that a server is or does, and the kinds there are.

Values take part in the comparison, details are only shown. Nothing is judged here.
"""

from collections.abc import Iterable, Mapping

from orchestrator.model.base import Value
from orchestrator.parity.names import windows_key

SECTIONS: Mapping[str, tuple[str, ...]] = {
    "roles": ("role",),
    "services": ("service", "driver"),
    "shares": ("share",),
    "users": ("user",),
    "groups": ("group",),
    "software": ("software",),
    "tasks": ("task",),
    "autostart": ("autostart",),
    "iis": ("site", "binding", "application", "pool"),
    "certificates": ("certificate",),
    "odbc": ("odbc",),
    "printers": ("printer",),
    "network": ("network",),
    "hosts": ("hosts",),
    "routes": ("route",),
    "listeners": ("listener",),
    "firewall": ("firewall", "firewall-profile"),
    "volumes": ("volume",),
    "drivers": ("driver-package",),
    "environment": ("environment",),
    "time_zone": ("system",),
    "security": ("protocol",),
    "hotfixes": ("hotfix",),
}
"""Which kinds of items each section of the facts gives. Disks, servicing, programs and build tests are not
compared between two releases: the assessment of the old server looks at them."""

KINDS = ("identity", *(kind for kinds in SECTIONS.values() for kind in kinds))
LIST = "; "
"""Between the parts of a value that is a set ("members")."""

Pairs = tuple[tuple[str, str | None], ...]
SETS = frozenset({"members", "entries", "permissions"})
"""Values that are sets of texts."""
_BYTES = frozenset({"size", "used"})
_GIB = 1024**3


class Item(Value):
    """One thing that a server is or does. A value of None is unknown."""

    id: str
    kind: str
    values: Pairs = ()
    details: tuple[tuple[str, str], ...] = ()

    @property
    def key(self) -> str:
        """The id as Windows compares it."""
        return windows_key(self.id)

    def value(self, name: str) -> str | None:
        """Return one value; None where it is unknown or not there."""
        return dict(self.values).get(name)

    def detail(self, name: str) -> str:
        """Return one detail; "" where it is not there."""
        return dict(self.details).get(name, "")

    def text(self) -> str:
        """Say the values in words, for people."""
        shown = [f"{name} {_words(name, value)}" for name, value in self.values if value != ""]
        return ", ".join(shown) or "there"


Items = Mapping[str, Item]
"""Items by key, in the order of their keys."""


def item(kind: str, name: str, values: Pairs = (), /, **details: str) -> Item:
    """Make an item; empty details are left out, "_" in their names reads as a blank."""
    shown = tuple((key.replace("_", " "), text) for key, text in details.items() if text)
    return Item(id=f"{kind}:{name}", kind=kind, values=values, details=shown)


def listed(values: Iterable[str]) -> str:
    """Return a set of texts as one value, in a fixed order and each once."""
    return LIST.join(sorted({value for value in values if value}))


def parts(value: str) -> frozenset[str]:
    """Return the texts of such a value."""
    return frozenset(value.split(LIST)) - {""}


def yes(flag: bool | None) -> str | None:
    """Say yes or no; None stays unknown."""
    return None if flag is None else "yes" if flag else "no"


def _words(name: str, value: str | None) -> str:
    if value is None:
        return "unknown"
    return f"{int(value) / _GIB:.1f} GiB" if name in _BYTES and value.isdecimal() else value
