"""Settings of the machine: environment, time zone, printers, ODBC data sources."""

from collections.abc import Iterator

from orchestrator.guest.clean import LINE, NAME, clean
from orchestrator.guest.registry import RegistryKey, number, strings, subkeys, text
from orchestrator.model.facts import EnvironmentVariable, OdbcSource, Printer

_ENVIRONMENT = r"Control\Session Manager\Environment"
_TIME_ZONE = r"Control\TimeZoneInformation"
_PRINTERS = (r"Control\Print\Printers", r"Microsoft\Windows NT\CurrentVersion\Print\Printers")
_SHARED = 0x08
_ODBC = r"ODBC\ODBC.INI"
_MAX_EACH = 5000


def environment(control: RegistryKey) -> tuple[EnvironmentVariable, ...] | None:
    """Return the machine's variables, unexpanded; None where the key is not there."""
    key = control.subkey(_ENVIRONMENT)
    if key is None:
        return None
    values = key.values()
    named = ((name, strings(values[name.lower()])) for name in key.value_names()[:_MAX_EACH])
    found = (
        EnvironmentVariable(name=clean(name, NAME), value=clean(";".join(value), LINE))
        for name, value in named
        if name
    )
    return tuple(sorted(found, key=lambda one: (one.name.casefold(), one.name)))


def time_zone(control: RegistryKey) -> str | None:
    """Return the time zone's key name; where it is not stored, the standard name, unless that is a reference
    into a DLL.
    """
    key = control.subkey(_TIME_ZONE)
    name = clean(text(key, "TimeZoneKeyName") or "", NAME)
    standard = clean(text(key, "StandardName") or "", NAME)
    return name or (standard if not standard.startswith("@") else "") or None


def printers(control: RegistryKey, software: RegistryKey | None = None) -> tuple[Printer, ...] | None:
    """Return the printers; None where neither list is there and so nothing is known.

    6.0 keeps them in the control set, later releases in SOFTWARE (real hives of 6.1 and 10.0 have no list in
    SYSTEM).
    """
    places = [control.subkey(_PRINTERS[0]), software.subkey(_PRINTERS[1]) if software else None]
    if all(place is None for place in places):
        return None
    found = {one.name.casefold(): one for place in places for one in _printers(place)}
    return tuple(found[name] for name in sorted(found))


def _printers(place: RegistryKey | None) -> Iterator[Printer]:
    for _, key in zip(range(_MAX_EACH), place.subkeys() if place else (), strict=False):
        shared = bool((number(key, "Attributes") or 0) & _SHARED)
        yield Printer(
            name=clean(text(key, "Name") or key.name, NAME),
            driver=clean(text(key, "Printer Driver") or "", NAME),
            port=clean(text(key, "Port") or "", NAME),
            shared_as=clean(text(key, "Share Name") or "", NAME) if shared else "",
        )


def odbc(software: RegistryKey, arch: str | None) -> tuple[OdbcSource, ...] | None:
    """Return the system data sources of both views; None where ODBC has no key. The main view is 32 on x86.

    Only driver, server and database are read.
    """
    if software.subkey("ODBC") is None:
        return None
    views = ((software, 32 if arch == "x86" else 64), (software.subkey("Wow6432Node"), 32))
    found = (one for root, view in views if root for one in _sources(root, view))
    return tuple(sorted(found, key=lambda one: (one.name.casefold(), one.view, one.name)))


def _sources(root: RegistryKey, view: int) -> Iterator[OdbcSource]:
    listed = root.subkey(rf"{_ODBC}\ODBC Data Sources")
    drivers = {name.casefold(): text(listed, name) or "" for name in (listed.value_names() if listed else ())}
    settings = {key.name.casefold(): key for key in subkeys(root, _ODBC)}
    for name in (listed.value_names() if listed else ())[:_MAX_EACH]:
        key = settings.get(name.casefold())
        yield OdbcSource(
            name=clean(name, NAME),
            driver=clean(drivers[name.casefold()], NAME),
            server=clean(text(key, "Server") or text(key, "ServerName") or "", NAME),
            database=clean(text(key, "Database") or text(key, "DBQ") or "", LINE),
            view=view,
        )
