"""Installed programs: what "Programs and Features" shows, from both registry views."""

from collections.abc import Iterator

from orchestrator.guest.clean import NAME, clean
from orchestrator.guest.registry import RegistryKey, number, text
from orchestrator.model.facts import Software

_UNINSTALL = r"Microsoft\Windows\CurrentVersion\Uninstall"


def software(root: RegistryKey, arch: str | None) -> tuple[Software, ...] | None:
    """Return the entries of the SOFTWARE hive; None where it has no Uninstall key.

    The main view is 32 on x86. Left out, as Windows does: entries without a name, system components, and
    updates that belong to another entry.
    """
    main = root.subkey(_UNINSTALL)
    if main is None:
        return None
    other = root.subkey(rf"Wow6432Node\{_UNINSTALL}")
    found = [*_entries(main, 32 if arch == "x86" else 64), *(_entries(other, 32) if other else ())]
    return tuple(sorted(found, key=lambda entry: (entry.name.casefold(), entry.key, entry.view)))


def _entries(uninstall: RegistryKey, view: int) -> Iterator[Software]:
    for key in uninstall.subkeys():
        name = clean(text(key, "DisplayName") or "", NAME)
        if name and number(key, "SystemComponent") != 1 and not text(key, "ParentKeyName"):
            yield Software(
                key=clean(key.name, NAME),
                name=name,
                version=clean(text(key, "DisplayVersion") or "", NAME),
                publisher=clean(text(key, "Publisher") or "", NAME),
                view=view,
            )
