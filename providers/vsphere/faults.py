"""vSphere's faults, and what breaks on the way to it, as ProviderError. Decided on the class, never on the
text: that may be empty or in another language."""

import http.client
import ssl
import zlib
from typing import Any
from xml.parsers.expat import ExpatError

from pyVmomi import vim, vmodl

from orchestrator.contract.errors import ErrorKind, ProviderError

UNCERTAIN_HINT = "it may or may not have happened; resume the run: it looks first"
GONE_HINT = "somebody removed it since it was observed; preview again"

_DENIED = (
    vim.fault.NoPermission,
    vim.fault.InvalidLogin,
    vim.fault.InvalidGuestLogin,
    vim.fault.GuestPermissionDenied,
    vmodl.fault.SecurityError,
)
_NOT_FOUND = (vmodl.fault.ManagedObjectNotFound, vim.fault.NotFound, vim.fault.FileNotFound)
_CONFLICT = (
    vim.fault.DuplicateName,
    vim.fault.AlreadyExists,
    vim.fault.ConcurrentAccess,
    vim.fault.TaskInProgress,
    vim.fault.ResourceInUse,
    vim.fault.InvalidState,
    vim.fault.FileLocked,
    vim.fault.FileAlreadyExists,
)
_UNSUPPORTED = (
    vmodl.fault.NotSupported,
    vmodl.fault.MethodNotFound,
    vmodl.fault.NotImplemented,
    vim.fault.ToolsUnavailable,
    vim.fault.GuestOperationsUnavailable,
    vim.fault.GuestComponentsOutOfDate,
    vim.fault.OperationNotSupportedByGuest,
    vim.fault.OperationDisabledByGuest,
)
_LOST = (vmodl.fault.HostCommunication, vmodl.fault.RequestCanceled, vim.fault.Timedout)
QUIESCE = (vim.fault.ApplicationQuiesceFault, vim.fault.FilesystemQuiesceFault)

_HINTS: tuple[tuple[type[Exception], str], ...] = (
    (vim.fault.InvalidLogin, "check `username` and `password` of the endpoint"),
    (vim.fault.InvalidGuestLogin, "check `guest_username` and `guest_password` of the endpoint"),
    (vim.fault.GuestComponentsOutOfDate, "its VMware Tools are too old for this: bring them up to date"),
    (vim.fault.NoPermission, "give the account that privilege: `ferry doctor PLAN` lists what is missing"),
    (vim.fault.ConcurrentAccess, "somebody changed it at the same moment; try again"),
    (vim.fault.TaskInProgress, "another task works on it; wait for its end and try again"),
    (vim.fault.FileLocked, "another process holds the disk: a backup or another machine; end it first"),
    (vim.fault.NoDiskSpace, "free some space on the datastore, then try again"),
    (
        vim.fault.ApplicationQuiesceFault,
        "the guest could not be quiesced: shut it down (offline), or say crash",
    ),
    (
        vim.fault.FilesystemQuiesceFault,
        "the guest could not be quiesced: shut it down (offline), or say crash",
    ),
)


def from_fault(error: Exception, what: str, *, mutation: bool) -> ProviderError:
    """Return the ProviderError for a failed call that was to do `what` ("snapshot file01").

    A connection that broke, or a session that ended, leaves a mutation UNCERTAIN and a read TRANSIENT.
    """
    code = type(error).__name__.rpartition(".")[2]
    text = f"cannot {what}: {_words(error)}"
    if isinstance(error, vim.fault.NotAuthenticated):
        text = f"cannot {what}: the session had ended"
        return _lost(text, code, mutation=mutation)
    if isinstance(error, vmodl.MethodFault):
        kind = _kind(error)
        if kind is None:
            return _lost(text, code, mutation=mutation)
        return ProviderError(kind, text, hint=_hint(error, kind), sdk_code=code)
    if isinstance(error, ssl.SSLCertVerificationError):
        hint = "name the authority (`ca_file`) or pin the certificate (`fingerprint`)"
        why = getattr(error, "verify_message", error)
        text = f"cannot {what}: the server's certificate is not trusted: {why}"
        return ProviderError(ErrorKind.DENIED, text, hint=hint, sdk_code=code)
    return _lost(text, code, mutation=mutation)


_GARBLED = (ExpatError, zlib.error, KeyError, ValueError, TypeError, AttributeError)
"""What pyvmomi raises over an answer that it cannot read, a cut one for example."""
BROKEN = (OSError, http.client.HTTPException, EOFError, *_GARBLED)
"""What a call raises, beside faults, when the way to the server breaks."""


def _lost(text: str, code: str, *, mutation: bool) -> ProviderError:
    if mutation:
        return ProviderError(ErrorKind.UNCERTAIN, text, hint=UNCERTAIN_HINT, sdk_code=code)
    hint = "does the vCenter answer there, and do name and port fit?"
    return ProviderError(ErrorKind.TRANSIENT, text, hint=hint, sdk_code=code)


def _kind(error: vmodl.MethodFault) -> ErrorKind | None:
    """Judge a fault that the server itself gave; None: it lost touch with a host, so nobody knows."""
    if isinstance(error, _LOST):
        return None
    for kinds, kind in (
        (_DENIED, ErrorKind.DENIED),
        (_NOT_FOUND, ErrorKind.NOT_FOUND),
        (_CONFLICT, ErrorKind.CONFLICT),
        (_UNSUPPORTED, ErrorKind.UNSUPPORTED),
    ):
        if isinstance(error, kinds):
            return kind
    return ErrorKind.PERMANENT


def _hint(error: vmodl.MethodFault, kind: ErrorKind) -> str:
    for fault, hint in _HINTS:
        if isinstance(error, fault):
            return hint
    return GONE_HINT if kind is ErrorKind.NOT_FOUND else ""


def _words(error: Exception) -> str:
    if not isinstance(error, vmodl.MethodFault):
        return str(error) or type(error).__name__
    name = type(error).__name__.rpartition(".")[2]
    said = [str(error.msg or "").strip(), *(str(m.message or "").strip() for m in error.faultMessage or ())]
    detail = "; ".join(dict.fromkeys(word for word in said if word))
    if isinstance(error, vim.fault.NoPermission) and error.privilegeId:
        detail = f"privilege {error.privilegeId} is missing"
    return f"{name} ({detail})" if detail and detail != name else name


def not_found(what: str) -> ProviderError:
    """Return the error for an object that is not there."""
    return ProviderError(ErrorKind.NOT_FOUND, f"{what} is not there", hint=GONE_HINT)


def conflict(message: str, hint: str = "") -> ProviderError:
    """Return the error for another holder, or something that exists already."""
    return ProviderError(ErrorKind.CONFLICT, message, hint=hint)


def permanent(message: str, hint: str = "") -> ProviderError:
    """Return the error for what repeating does not mend."""
    return ProviderError(ErrorKind.PERMANENT, message, hint=hint)


def is_fault(error: Any, *classes: type[Exception]) -> bool:
    """Tell whether a ProviderError came from one of these faults."""
    return isinstance(error.__cause__, classes)
