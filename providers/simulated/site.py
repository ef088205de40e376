"""One open connection to a simulated centre: every call of every role passes here.

It adds what a real connection has: latency, faults, errors of one kind, the check of the lease just before a
change. It must not know what the calls do.
"""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.provider import Capability, Effect, unsupported
from orchestrator.model.machine import MachineRef
from providers.simulated.invariants import ImpossibleState
from providers.simulated.store import World
from providers.simulated.world import Centre, FaultKind, FaultRule, SimMachine

POLL = 0.02


@dataclass(slots=True)
class Site:
    """A connection. `endpoint` is its name in the plan file."""

    world: World
    endpoint: str
    latency: float
    capabilities: frozenset[Capability]
    closed: bool = False

    def need(self, capability: Capability, instead: str = "") -> None:
        """Raise UNSUPPORTED unless the capability is declared."""
        if capability not in self.capabilities:
            message = f"{capability} (endpoint {self.endpoint})"
            raise unsupported(message, instead)

    def need_any(self, capabilities: frozenset[Capability], role: str) -> None:
        """Raise UNSUPPORTED when the role has none of its capabilities."""
        if not capabilities & self.capabilities:
            what = f"{role} (endpoint {self.endpoint})"
            raise unsupported(what)

    def read(self, operation: str, ref: MachineRef | None = None) -> Centre:
        """Return the state for a read. Raises TRANSIENT while the endpoint is down."""
        fault = self._enter(operation, ref, reading=True)
        if fault is not None and fault.kind is FaultKind.DOWN:
            raise self._down(ErrorKind.TRANSIENT)
        self._fail_before(fault, operation)
        with self._mapped():
            return self.world.read()

    @contextmanager
    def change(
        self, operation: str, effect: Effect, what: str, ref: MachineRef | None = None
    ) -> Iterator[Centre]:
        """Check the lease, then hand out the locked state for one change; it is written when the body
        ends without an error."""
        fault = self._enter(operation, ref, reading=False)
        effect.before(what)
        if fault is not None and fault.kind is FaultKind.DOWN:
            raise self._down(ErrorKind.UNCERTAIN)
        self._fail_before(fault, operation)
        with self._mapped(), self.world.edit(f"{operation}: {what}: {effect.token}") as centre:
            yield centre
        if fault is not None and fault.kind is FaultKind.AFTER:
            message = f"{operation}: the connection broke before the answer came"
            raise ProviderError(ErrorKind.UNCERTAIN, message, hint="look again with the same token")

    def _enter(self, operation: str, ref: MachineRef | None, *, reading: bool) -> FaultRule | None:
        if self.closed:
            message = f"the connection to {self.endpoint} is closed"
            raise ProviderError(ErrorKind.PERMANENT, message)
        if self.latency:
            time.sleep(self.latency)
        with self._mapped():
            fault = take_fault(self.world, operation, ref, reading=reading)
        if fault is not None and fault.kind is FaultKind.SLOW:
            _dawdle(fault)
        return fault

    def _fail_before(self, fault: FaultRule | None, operation: str) -> None:
        if fault is None:
            return
        if fault.kind is FaultKind.DENIED:
            message = f"{operation}: this account has no right to do so on {self.endpoint}"
            raise ProviderError(
                ErrorKind.DENIED, message, hint="give the account the right, or use another one"
            )
        if fault.kind is FaultKind.BEFORE:
            message = f"{operation}: the centre refused, nothing was changed"
            raise ProviderError(fault.error, message, sdk_code="SIM-FAULT")

    def _down(self, kind: ErrorKind) -> ProviderError:
        return ProviderError(kind, f"endpoint {self.endpoint} does not answer", hint="see whether it runs")

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        """Let nothing but ProviderError, and what the caller's effect raises, leave."""
        try:
            yield
        except ImpossibleState as error:
            message = f"the centre refused: {error}"
            raise ProviderError(ErrorKind.PERMANENT, message, sdk_code="SIM-STATE") from error
        except FileNotFoundError as error:
            message = f"{error.filename} is not there"
            hint = "check the endpoint's `world`" if str(error.filename) == str(self.world.path) else ""
            raise ProviderError(ErrorKind.NOT_FOUND, message, hint=hint) from error
        except OSError as error:
            message = f"{error.filename or self.world.path}: {error.strerror}"
            raise ProviderError(ErrorKind.PERMANENT, message, sdk_code=str(error.errno)) from error
        except ValueError as error:
            message = f"{self.world.path} is not the file of a simulated centre"
            raise ProviderError(ErrorKind.PERMANENT, message, hint="make one with World.create") from error


def take_fault(world: World, operation: str, ref: MachineRef | None, *, reading: bool) -> FaultRule | None:
    """Use up one injected fault that fits the call, if there is one. A lost reply can only hit a change."""
    if not any(_fits(rule, operation, ref, reading=reading) for rule in world.read().faults):
        return None
    with world.edit() as centre:
        for rule in centre.faults:
            if not _fits(rule, operation, ref, reading=reading):
                continue
            if rule.skip:
                rule.skip -= 1
                continue
            if rule.times is not None:
                rule.times -= 1
            centre.faults = [kept for kept in centre.faults if kept.times != 0]
            return rule
    return None


def _fits(rule: FaultRule, operation: str, ref: MachineRef | None, *, reading: bool) -> bool:
    if reading and rule.kind is FaultKind.AFTER:
        return False
    named = rule.operation in ("*", operation, operation.rpartition(".")[2])
    return named and (not rule.machine or (ref is not None and rule.machine in (ref.id, ref.name)))


def _dawdle(fault: FaultRule) -> None:
    if not fault.until:
        time.sleep(fault.seconds)
        return
    while not Path(fault.until).exists():
        time.sleep(POLL)


def find(centre: Centre, ref: MachineRef) -> SimMachine:
    """Return the machine. Raises NOT_FOUND."""
    machine = centre.machines.get(ref.id)
    if machine is None:
        message = f"machine {ref.name} ({ref.id}) is not there"
        raise ProviderError(ErrorKind.NOT_FOUND, message, hint="was it deleted or moved to another endpoint?")
    return machine


def conflict(message: str, hint: str = "") -> ProviderError:
    """Make the error for something that is in the way."""
    return ProviderError(ErrorKind.CONFLICT, message, hint=hint)


def short(text: str) -> str:
    """Return a short name that depends on the text only; fit for file names."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]
