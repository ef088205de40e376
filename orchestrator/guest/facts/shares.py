"""File and printer shares of a control set, and who may do what with them."""

from collections.abc import Mapping

from orchestrator.guest.clean import NAME, clean
from orchestrator.guest.facts.sids import permissions
from orchestrator.guest.registry import RegistryKey, binary, strings
from orchestrator.model.facts import Share

_KINDS = {"0": "disk", "1": "printer", "2": "device", "3": "ipc"}
_SPECIAL = 0x80000000


def shares(control: RegistryKey, local: Mapping[str, str] | None = None) -> tuple[Share, ...] | None:
    """Return the shares that are kept in the registry; None where the Server service is not there.

    `local`: names of the machine's own accounts by security identifier. Administrative shares (C$, ADMIN$)
    are made at each start and not kept. A share without a stored access list has unknown permissions.
    """
    server = control.subkey(r"Services\LanmanServer")
    if server is None:
        return None
    key = server.subkey("Shares")
    if key is None:
        return ()
    values, security = key.values(), key.subkey("Security")
    found = []
    for name in key.value_names():
        parts = dict(part.split("=", 1) for part in strings(values[name.lower()]) if "=" in part)
        if parts:
            found.append(_share(name, parts, binary(security, name), local or {}))
    return tuple(sorted(found, key=lambda share: (share.name.casefold(), share.name)))


def _share(name: str, parts: Mapping[str, str], descriptor: bytes, local: Mapping[str, str]) -> Share:
    return Share(
        name=clean(name, NAME),
        path=clean(parts.get("Path", "")),
        remark=clean(parts.get("Remark", "")),
        kind=_kind(parts.get("Type", "0")),
        permissions=permissions(descriptor, local) if descriptor else None,
    )


def _kind(stored: str) -> str:
    if stored.isascii() and stored.isdigit() and len(stored) < 12:
        return _KINDS.get(str(int(stored) & ~_SPECIAL), "device")
    return "disk"
