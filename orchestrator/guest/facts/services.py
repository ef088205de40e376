"""Services, drivers and file shares of a control set."""

from orchestrator.guest.clean import NAME, clean
from orchestrator.guest.registry import RegistryKey, number, strings, text
from orchestrator.model.facts import Service, Share, StartMode

_START = (StartMode.BOOT, StartMode.SYSTEM, StartMode.AUTO, StartMode.MANUAL, StartMode.DISABLED)
_DRIVER_BITS = 0x0F


def services(control: RegistryKey) -> tuple[Service, ...] | None:
    """Return all services by name; None where the control set has no Services key."""
    key = control.subkey("Services")
    if key is None:
        return None
    found = (service for child in key.subkeys() if (service := _service(child)))
    return tuple(sorted(found, key=lambda service: (service.name.casefold(), service.name)))


def _service(key: RegistryKey) -> Service | None:
    """A key without a Type is not a service: it only holds parameters or counters."""
    kind, start = number(key, "Type"), number(key, "Start")
    if kind is None:
        return None
    name = clean(key.name, NAME)
    return Service(
        name=name,
        display_name=clean(text(key, "DisplayName") or name),
        start=_START[start] if start is not None and start < len(_START) else None,
        account=clean(text(key, "ObjectName") or "", NAME),
        image_path=clean(text(key, "ImagePath") or ""),
        driver=bool(kind & _DRIVER_BITS),
        delayed=number(key, "DelayedAutostart") == 1,
    )


def shares(control: RegistryKey) -> tuple[Share, ...] | None:
    """Return the shares that are kept in the registry; None where the Server service is not there.

    Administrative shares (C$, ADMIN$) are made at each start and not kept.
    """
    server = control.subkey(r"Services\LanmanServer")
    if server is None:
        return None
    key = server.subkey("Shares")
    if key is None:
        return ()
    values = key.values()
    found = []
    for name in key.value_names():
        parts = dict(part.split("=", 1) for part in strings(values[name.lower()]) if "=" in part)
        if parts:
            path, remark = clean(parts.get("Path", "")), clean(parts.get("Remark", ""))
            found.append(Share(name=clean(name, NAME), path=path, remark=remark))
    return tuple(sorted(found, key=lambda share: (share.name.casefold(), share.name)))
