"""How a step, a phase or a host ended: plain values that DBOS stores. A workflow branches on these, never on
exceptions."""

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.diagnostics import FerryError, Refused
from orchestrator.history import HostStatus
from orchestrator.model.base import Value


class StopWork(BaseException):
    """This worker must not go on with a workflow: it is shutting down, or another one has taken over.

    Not an Exception, so that DBOS records nothing and the workflow stays pending for its next owner.
    """


class Outcome(Value):
    """`status` is what the host becomes when this is its end; `code` is stable, `message` and `hint` are for
    people."""

    ok: bool = True
    status: HostStatus = HostStatus.DONE
    code: str = ""
    message: str = ""
    hint: str = ""


def done(message: str = "") -> Outcome:
    """Make the outcome of what went well."""
    return Outcome(message=message)


def failed(code: str, message: str, hint: str = "", *, status: HostStatus = HostStatus.FAILED) -> Outcome:
    """Make the outcome of what did not."""
    return Outcome(ok=False, status=status, code=code, message=message, hint=hint)


def of_error(error: FerryError) -> Outcome:
    """Turn an expected error into an outcome. A refusal touched nothing; anything else may be resumed."""
    if isinstance(error, Refused):
        return failed(error.code, error.message, error.hint, status=HostStatus.REFUSED)
    hint = error.hint
    if isinstance(error, ProviderError) and error.kind is ErrorKind.UNCERTAIN and not hint:
        hint = "what was asked may have happened; `ferry run resume` looks again before it acts"
    return failed(error.code, error.message, hint)
