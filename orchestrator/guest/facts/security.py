"""Protocol settings that old peers need and new releases refuse: SCHANNEL, SMB, NTLM."""

from collections.abc import Iterator

from orchestrator.guest.clean import NAME, clean
from orchestrator.guest.registry import RegistryKey, flag, number, subkeys
from orchestrator.model.facts import Protocol, Security

_PROTOCOLS = r"Control\SecurityProviders\SCHANNEL\Protocols"
_SERVER = r"Services\LanmanServer\Parameters"
_SMB1_CLIENT = r"Services\mrxsmb10"
_CLIENT = r"Services\LanmanWorkstation"
_DISABLED = 4
_MAX_PROTOCOLS = 100


def security(control: RegistryKey) -> Security | None:
    """Return the settings of a control set; None where it has neither services nor settings."""
    if control.subkey("Services") is None:
        return None
    server = control.subkey(_SERVER)
    level = number(control.subkey(r"Control\Lsa"), "LmCompatibilityLevel")
    return Security(
        tls=tuple(sorted(_protocols(control), key=lambda one: (one.name.casefold(), one.side))),
        smb1_server=flag(server, "SMB1"),
        smb1_client=_smb1_client(control),
        smb_signing_required=flag(server, "RequireSecuritySignature"),
        lm_compatibility=level if level is not None and level <= 5 else None,
    )


def _protocols(control: RegistryKey) -> Iterator[Protocol]:
    for _, key in zip(range(_MAX_PROTOCOLS), subkeys(control, _PROTOCOLS), strict=False):
        for side in ("client", "server"):
            where = key.subkey(side)
            if where is not None:
                yield Protocol(name=clean(key.name, NAME), side=side, enabled=_enabled(where))


def _enabled(side: RegistryKey) -> bool | None:
    """Enabled = 0 switches off; DisabledByDefault = 1 leaves it to programs that ask for it by name, which is
    as good as off. Any other number than 0 switches on, 0xffffffff too.
    """
    enabled, by_default = flag(side, "Enabled"), flag(side, "DisabledByDefault")
    if enabled is False or by_default:
        return False
    return enabled


def _smb1_client(control: RegistryKey) -> bool | None:
    """Tell whether SMB1's own redirector can start. Where it was removed with its feature, it cannot."""
    start = number(control.subkey(_SMB1_CLIENT), "Start")
    if start is not None:
        return start != _DISABLED
    return False if control.subkey(_CLIENT) is not None else None
