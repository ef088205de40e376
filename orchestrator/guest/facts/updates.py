"""Installed updates, and what decides whether further ones install at all.

From the packages of Component Based Servicing. Its states are not documented: 7 stands for "installed" on
6.0 and 112 from 6.1 on (sixteen times as much), 5 and 80 for "superseded", which is installed as well
[assumed, as in public listings of these keys].
"""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

from orchestrator.guest.clean import NAME, clean
from orchestrator.guest.registry import RegistryKey, number
from orchestrator.model.facts import Hotfix, Servicing

_CBS = r"Microsoft\Windows\CurrentVersion\Component Based Servicing"
_RESTART = r"Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update\RebootRequired"
_INSTALLED = frozenset({7, 112, 5, 80})
_PACKAGE = re.compile(r"Package_(?:[0-9]{1,6}_)?for_(KB[0-9]{5,8})[~_]", re.IGNORECASE)
_STACK = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,6}){3}")
_SHA2_UPDATE = 4474419
_SHA2_ONLY_FROM = 4516026
"""Updates with this number or a later one (September 2019 on) are signed with SHA-2 alone: where one is
installed, the support for it is, too [assumed: numbers grow with time]."""
_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
_MAX_PACKAGES = 100_000


def hotfixes(software: RegistryKey) -> tuple[Hotfix, ...] | None:
    """Return the updates by number, each once with its earliest date; None where no list is there.

    Rollups of Windows 10 and later whose packages bear no number are not listed: the revision tells them.
    """
    packages = software.subkey(rf"{_CBS}\Packages")
    if packages is None:
        return None
    found: dict[str, date | None] = {}
    for name, day in _installed(packages):
        known = found.get(name)
        found[name] = min(known, day) if known and day else known or day
    ordered = sorted(found.items(), key=lambda item: int(item[0][2:]))
    return tuple(Hotfix(id=name, installed_on=day) for name, day in ordered)


def _installed(packages: RegistryKey) -> Iterator[tuple[str, date | None]]:
    for count, key in enumerate(packages.subkeys()):
        if count == _MAX_PACKAGES:
            return
        match = _PACKAGE.match(key.name)
        if match and number(key, "CurrentState") in _INSTALLED:
            yield match[1].upper(), _day(key)


def _day(key: RegistryKey) -> date | None:
    """Return the day (UTC) of a FILETIME in two halves."""
    high, low = number(key, "InstallTimeHigh"), number(key, "InstallTimeLow")
    if not high or low is None:
        return None
    try:
        return (_EPOCH + timedelta(microseconds=(high << 32 | low) // 10)).date()
    except OverflowError:
        return None


def servicing(
    software: RegistryKey,
    installed: tuple[Hotfix, ...] | None,
    version: str | None,
    stacks: tuple[str, ...] = (),
) -> Servicing | None:
    """Return the servicing facts; None where Component Based Servicing is not there.

    `installed`: the updates; `version` of Windows ("6.0"); `stacks`: names of the folders below
    servicing\\Version, which are the versions of the servicing stacks that were installed.
    """
    cbs = software.subkey(_CBS)
    if cbs is None:
        return None
    versions = cbs.subkey("Version")
    names = [*(versions.value_names() if versions else ()), *stacks]
    known = [clean(name, NAME) for name in names if _STACK.fullmatch(name)]
    pending = cbs.subkey("RebootPending") is not None or software.subkey(_RESTART) is not None
    return Servicing(
        sha2=_sha2(installed, version),
        servicing_stack=max(known, key=_parts) if known else None,
        reboot_pending=pending,
    )


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _sha2(installed: tuple[Hotfix, ...] | None, version: str | None) -> bool | None:
    """Windows 6.2 and later know SHA-2 from the start."""
    if version and _parts(version) >= (6, 2):
        return True
    if installed is None or version is None:
        return None
    numbers = [int(one.id[2:]) for one in installed]
    return any(one == _SHA2_UPDATE or one >= _SHA2_ONLY_FROM for one in numbers)
