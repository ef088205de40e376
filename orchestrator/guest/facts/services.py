"""Services and drivers of a control set."""

import uuid
from collections.abc import Iterator

from orchestrator.guest.clean import NAME, clean
from orchestrator.guest.registry import RegistryKey, binary, number, subkeys, text
from orchestrator.model.facts import Service, StartMode

_START = (StartMode.BOOT, StartMode.SYSTEM, StartMode.AUTO, StartMode.MANUAL, StartMode.DISABLED)
_DRIVER_BITS = 0x0F
_TRIGGER_STARTS = 1
_TRIGGERS = {
    1: "device",
    2: "network",
    3: "domain",
    4: "firewall-port",
    5: "group-policy",
    6: "network-endpoint",
    7: "system-state",
    20: "event",
}
_SUBTYPES = {
    "4f27f2de-14e2-430b-a549-7cd48cbc8245": "network-available",
    "cc4ba62a-162e-4648-847a-b6bdf993e335": "network-lost",
    "1ce20aba-9851-4421-9430-1ddeb766e809": "domain-joined",
    "ddaf516e-58c2-4866-9574-c3b615d42ea1": "domain-left",
    "b7569e07-8421-4ee0-ad10-86915afdad09": "firewall-port-opened",
    "a144ed38-8e12-4de4-9d96-e64740b1a524": "firewall-port-closed",
    "659fcae6-5bdb-4da9-b1ff-ca2a178d46e0": "machine-policy-changed",
    "54fb46c8-f089-464c-b1fd-59d1b62c3b50": "user-policy-changed",
}
_MAX_TRIGGERS = 32


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
    driver = bool(kind & _DRIVER_BITS)
    return Service(
        name=name,
        display_name=clean(text(key, "DisplayName") or name),
        start=_START[start] if start is not None and start < len(_START) else None,
        account=clean(text(key, "ObjectName") or "", NAME),
        image_path=clean(text(key, "ImagePath") or ""),
        driver=driver,
        delayed=number(key, "DelayedAutostart") == 1,
        triggers=() if driver else tuple(sorted(set(_triggers(key)))),
    )


def _triggers(key: RegistryKey) -> Iterator[str]:
    """Yield what starts a service (SERVICE_TRIGGER: type, action, subtype), from Windows 6.1 on."""
    for count, trigger in enumerate(subkeys(key, "TriggerInfo")):
        kind = number(trigger, "Type")
        if count == _MAX_TRIGGERS:
            return
        if kind is None or number(trigger, "Action") != _TRIGGER_STARTS:
            continue
        raw = binary(trigger, "GUID")
        subtype = str(uuid.UUID(bytes_le=raw)) if len(raw) == 16 else ""
        word = _TRIGGERS.get(kind, f"type {kind}")
        yield _SUBTYPES.get(subtype) or (f"{word}: {{{subtype}}}" if subtype else word)
