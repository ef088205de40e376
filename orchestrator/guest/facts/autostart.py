"""Entries that start a program at boot or logon, as far as the registry has them."""

import re
from collections.abc import Iterable, Iterator

from orchestrator.guest.clean import NAME, clean
from orchestrator.guest.registry import RegistryKey, strings, text
from orchestrator.model.facts import AutoStart

STARTUP_FOLDER = r"\ProgramData\Microsoft\Windows\Start Menu\Programs\Startup"
_RUN = r"Microsoft\Windows\CurrentVersion"
_NT = r"Microsoft\Windows NT\CurrentVersion"
_KEYS = ("Run", "RunOnce", "RunOnceEx")
_MAX_EACH = 1000
# What Windows itself sets up; the second shell is that of Server Core 2008.
_USUAL = {
    "Userinit": re.compile(r"(?:[a-z]:\\windows\\system32\\)?userinit(?:\.exe)?,?\s*", re.IGNORECASE),
    "Shell": re.compile(r"explorer\.exe|cmd\.exe /c .*AlternateShellStartup.*", re.IGNORECASE),
}


def autostart(software: RegistryKey, startup_files: Iterable[str] = ()) -> tuple[AutoStart, ...]:
    """Return the machine's entries of both views. "Run32" and the like are those of the 32-bit view.

    `startup_files`: names of the files in the common Startup folder. Winlogon's entries are listed only
    where they are not the usual ones.
    """
    wow = software.subkey("Wow6432Node")
    found = [*_view(software, ""), *(_view(wow, "32") if wow else ()), *_winlogon(software)]
    for name in sorted(startup_files)[:_MAX_EACH]:
        if name.casefold() != "desktop.ini":
            found.append(AutoStart(where="Startup", name=clean(name, NAME), command=clean(name)))
    return tuple(sorted(found, key=lambda one: (one.where, one.name.casefold(), one.name, one.command)))


def _view(root: RegistryKey, suffix: str) -> Iterator[AutoStart]:
    for where in _KEYS:
        key = root.subkey(rf"{_RUN}\{where}")
        values = key.values() if key else {}
        for name in (key.value_names() if key else ())[:_MAX_EACH]:
            command = clean(next(iter(strings(values[name.lower()])), ""))
            if command:
                yield AutoStart(where=f"{where}{suffix}", name=clean(name, NAME), command=command)
    dlls = clean(text(root.subkey(rf"{_NT}\Windows"), "AppInit_DLLs") or "")
    if dlls:
        yield AutoStart(where=f"AppInit_DLLs{suffix}", name="", command=dlls)


def _winlogon(software: RegistryKey) -> Iterator[AutoStart]:
    key = software.subkey(rf"{_NT}\Winlogon")
    for name, usual in _USUAL.items():
        command = clean(text(key, name) or "")
        if command and not usual.fullmatch(command):
            yield AutoStart(where="Winlogon", name=name, command=command)
