"""The one error that leaves an adapter. No SDK exception ever does: the conformance suite checks it."""

from enum import StrEnum

from orchestrator.diagnostics import FerryError


class ErrorKind(StrEnum):
    """What the core can do about it.

    NOT_FOUND: the object is not there. DENIED: rights are missing. CONFLICT: something of that name or
    another holder is there.
    UNSUPPORTED: not declared by this adapter, or not possible on this object. TRANSIENT: a *read* may be
    repeated. UNCERTAIN: a mutation
    whose outcome is not known: reconcile by calling the same `ensure_*` with the same token. PERMANENT:
    repeating does not help.
    TIMEOUT: our own limit ran out, the effect is known not to be complete.
    """

    NOT_FOUND = "not-found"
    DENIED = "denied"
    CONFLICT = "conflict"
    UNSUPPORTED = "unsupported"
    TRANSIENT = "transient"
    UNCERTAIN = "uncertain"
    PERMANENT = "permanent"
    TIMEOUT = "timeout"


class ProviderError(FerryError):
    """A failed call to a provider.

    `message` is for a person, `hint` says what to do, `sdk_code` keeps the SDK's own code, `retry_after` is
    seconds if the server said so.
    """

    def __init__(
        self,
        kind: ErrorKind,
        message: str,
        *,
        hint: str = "",
        sdk_code: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, hint=hint, code=kind.value)
        self.kind = kind
        self.sdk_code = sdk_code
        self.retry_after = retry_after


class LeaseLost(FerryError):
    """The worker's lease is gone: another one took over. Nothing more may be changed. Raised by `Effect`,
    passed through by adapters."""

    code = "lease-lost"
