"""libvirt's errors, and those of local files and tools, as ProviderError. Pure: it must not call libvirt."""

import errno
import re

import libvirt

from orchestrator.contract.errors import ErrorKind, ProviderError

_KINDS = {
    ErrorKind.NOT_FOUND: (
        "NO_DOMAIN", "NO_NETWORK", "NO_STORAGE_POOL", "NO_STORAGE_VOL", "NO_SECRET", "NO_NWFILTER",
        "NO_DOMAIN_SNAPSHOT", "NO_DOMAIN_METADATA", "NO_NWFILTER_BINDING",
    ),
    ErrorKind.DENIED: (
        "OPERATION_DENIED", "ACCESS_DENIED", "AUTH_FAILED", "AUTH_CANCELLED", "AUTH_UNAVAILABLE",
    ),
    ErrorKind.CONFLICT: ("DOM_EXIST", "NETWORK_EXIST", "STORAGE_VOL_EXIST", "RESOURCE_BUSY"),
    ErrorKind.UNSUPPORTED: (
        "NO_SUPPORT", "CONFIG_UNSUPPORTED", "ARGUMENT_UNSUPPORTED", "OPERATION_UNSUPPORTED",
    ),
}  # fmt: skip
_BY_CODE = {
    getattr(libvirt, f"VIR_ERR_{name}"): kind
    for kind, names in _KINDS.items()
    for name in names
    if hasattr(libvirt, f"VIR_ERR_{name}")
}
_DENIED_HINT = (
    "give this user the right to manage libvirt there (group libvirt, polkit, or the server's access rules)"
)
_LOCK_HINT = (
    "another process holds the image: a machine with the same disk, qemu-nbd or a backup; end it first"
)
_GONE_HINT = "somebody removed it since it was observed; preview again"
_LOCKED = re.compile(r"(get|acquire)\b.*\block\b.*|is already in use by|lock on image", re.IGNORECASE)
_UNREACHABLE_HINT = "is libvirtd running there, and does the URI name the right host and socket?"
UNCERTAIN_HINT = (
    "it may or may not have happened; when libvirtd answers again, resume the run: it looks first"
)


def lost(error: libvirt.libvirtError) -> bool:
    """Tell whether the connection broke, or never was: the error comes from the client's side of the wire."""
    if error.get_error_code() in (libvirt.VIR_ERR_NO_CONNECT, libvirt.VIR_ERR_INVALID_CONN):
        return True
    ours = error.get_error_domain() in (libvirt.VIR_FROM_RPC, libvirt.VIR_FROM_REMOTE, libvirt.VIR_FROM_SSH)
    return ours and error.get_error_code() in (
        libvirt.VIR_ERR_SYSTEM_ERROR,
        libvirt.VIR_ERR_INTERNAL_ERROR,
        libvirt.VIR_ERR_RPC,
        libvirt.VIR_ERR_OPERATION_FAILED,
        libvirt.VIR_ERR_GNUTLS_ERROR,
    )


def from_libvirt(error: libvirt.libvirtError, what: str, *, mutation: bool) -> ProviderError:
    """Return the ProviderError for a failed call that was to do `what` ("start machine file01").

    A connection that broke leaves a mutation UNCERTAIN and a read TRANSIENT.
    """
    code = str(error.get_error_code())
    text = f"cannot {what}: {error}"
    if lost(error):
        kind = ErrorKind.UNCERTAIN if mutation else ErrorKind.TRANSIENT
        hint = UNCERTAIN_HINT if mutation else _UNREACHABLE_HINT
        return ProviderError(kind, text, hint=hint, sdk_code=code)
    kind, hint = _answered(error, mutation=mutation)
    return ProviderError(kind, text, hint=hint, sdk_code=code)


def _answered(error: libvirt.libvirtError, *, mutation: bool) -> tuple[ErrorKind, str]:
    """Judge an error that libvirtd itself gave."""
    code = error.get_error_code()
    if code == libvirt.VIR_ERR_OPERATION_TIMEOUT:
        # libvirt did not get its own lock on the domain in time: nothing was begun.
        hint = "another job holds the machine (virsh domjobinfo); wait for its end and try again"
        return (ErrorKind.TIMEOUT if mutation else ErrorKind.TRANSIENT), hint
    if _LOCKED.search(str(error)):
        return ErrorKind.CONFLICT, _LOCK_HINT
    kind = _BY_CODE.get(code, ErrorKind.PERMANENT)
    hints = {ErrorKind.DENIED: _DENIED_HINT, ErrorKind.NOT_FOUND: _GONE_HINT}
    return kind, hints.get(kind, "")


def from_os(error: OSError, what: str) -> ProviderError:
    """Return the ProviderError for a failed operation on a local file."""
    text = f"cannot {what}: {error.strerror or error}: {error.filename}"
    if isinstance(error, PermissionError):
        return ProviderError(ErrorKind.DENIED, text, hint="run ferry as a user who may write there")
    if isinstance(error, FileNotFoundError):
        return ProviderError(ErrorKind.NOT_FOUND, text)
    if isinstance(error, FileExistsError):
        return ProviderError(
            ErrorKind.CONFLICT, text, hint="nothing that exists is overwritten; move it away"
        )
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return ProviderError(ErrorKind.PERMANENT, text, hint="free some space there" if full else "")


def not_found(what: str) -> ProviderError:
    """Return the error for an object that is not there."""
    return ProviderError(ErrorKind.NOT_FOUND, f"{what} is not there", hint=_GONE_HINT)


def conflict(message: str, hint: str = "") -> ProviderError:
    """Return the error for another holder, or something that exists already."""
    return ProviderError(ErrorKind.CONFLICT, message, hint=hint)


def permanent(message: str, hint: str = "") -> ProviderError:
    """Return the error for what repeating does not mend."""
    return ProviderError(ErrorKind.PERMANENT, message, hint=hint)
