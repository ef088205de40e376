"""The role that reaches into a running guest, through its agent. Part of the contract (see `provider`)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.model.base import Value
from orchestrator.model.machine import MachineRef

if TYPE_CHECKING:
    from orchestrator.contract.provider import Effect


class GuestLimits(Value):
    """How long a program may run in a guest, in seconds, and how many bytes of its output are kept."""

    seconds: float
    output: int


class GuestRun(Value):
    """How a program in a guest ended. `output`: what it printed, errors included; `cut` beyond the limit."""

    exit_code: int
    output: bytes
    cut: bool = False


class GuestChannel(Protocol):
    """A way into a running guest that needs no network: its agent. What comes back is hostile.

    No agent answers, or the machine is off: UNSUPPORTED. Files are ours only where the last part of their
    path holds the effect's token: any other path is refused (PERMANENT) by what writes or removes. The
    ledger has a file as "MACHINE_ID:PATH". Paths are the guest's own.
    """

    def put_file(self, ref: MachineRef, path: str, content: bytes, effect: "Effect") -> None:
        """Write a file, over one of that path. Its folder is there: else NOT_FOUND or PERMANENT."""
        ...

    def run(
        self, ref: MachineRef, program: str, arguments: Sequence[str], limits: GuestLimits, effect: "Effect"
    ) -> GuestRun:
        """Run a program to its end, without a shell. Not started again after a lost reply: UNCERTAIN.

        No such program: NOT_FOUND or PERMANENT. Not ended in time: TIMEOUT; it may go on running.
        """
        ...

    def read_file(self, ref: MachineRef, path: str, limit: int) -> bytes:
        """Return a file's content. Not there: NOT_FOUND. Longer than `limit` bytes: PERMANENT. A read."""
        ...

    def ensure_file_removed(self, ref: MachineRef, path: str, effect: "Effect") -> None:
        """Remove a file of ours. Not there: fine."""
        ...


def own_file(path: str, effect: "Effect") -> None:
    """Refuse a guest's path whose last part does not hold the effect's token."""
    if effect.token not in path.replace("\\", "/").rpartition("/")[2]:
        message = f"{path} is no file of this step in the guest"
        raise ProviderError(ErrorKind.PERMANENT, message, hint="its name must hold the step's token")
