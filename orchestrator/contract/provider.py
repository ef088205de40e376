"""The provider contract, version 1: small roles, frozen values, declared capabilities.

Rules for an adapter:
- It MUST declare its capabilities; a call that needs an undeclared one MUST raise UNSUPPORTED.
- Every `ensure_*` MUST look first and then act: called again with the same token it finds its own work and
  returns it.
- Before *every single* mutating call to the hypervisor it MUST call `effect.before(...)`; before creating an
  object that would outlive a crash it MUST call `effect.intend(kind, id)`, and `effect.made(kind, id)` after
  it; after a removal `effect.removed(kind, id)`.
- It MUST put the token on the object itself (description, metadata) and remove only objects that bear a
  token of ours *and* for which `effect.owns(kind, id)` is true.
- Where the hypervisor names its work (a task's id), it MUST pass that name to `effect.task(...)`.
- It MUST NOT retry a mutation. Outcome unknown: UNCERTAIN. Only ProviderError and LeaseLost leave it.
- It is shared between threads.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from enum import StrEnum
from typing import Protocol

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.guest import GuestChannel
from orchestrator.diagnostics import Diagnostic
from orchestrator.model.base import Value
from orchestrator.model.endpoint import EndpointInfo, EndpointSettings
from orchestrator.model.machine import (
    Claim,
    Consistency,
    Listed,
    Machine,
    MachineRef,
    PowerState,
    Snapshot,
)
from orchestrator.model.network import (
    Finding,
    IsolationEvidence,
    IsolationSpec,
    Network,
    NetworkSpec,
    NicCapture,
)
from orchestrator.model.secret import SecretRef
from orchestrator.model.target import GoldenImage, StagedTarget, TargetSpec

CONTRACT_VERSION = 1

ResolveSecret = Callable[[SecretRef], str]
"""Returns the secret's value; raises FerryError naming the reference, never the value."""


class Capability(StrEnum):
    """What an adapter can do. Declared: the conformance suite tests it. Undeclared: the call raises
    UNSUPPORTED."""

    INVENTORY = "inventory"
    POWER = "power"
    CLAIMS = "claims"
    SNAPSHOT_CRASH = "snapshot:crash"
    SNAPSHOT_OFFLINE = "snapshot:offline"
    SNAPSHOT_FILESYSTEM = "snapshot:filesystem"
    SNAPSHOT_APPLICATION = "snapshot:application"
    SNAPSHOT_MEMORY = "snapshot:memory"
    SNAPSHOT_REMOVE = "snapshot:remove"
    SNAPSHOT_REVERT = "snapshot:revert"
    ISOLATE_UNPLUGGED = "isolate:unplugged"
    ISOLATE_SEALED = "isolate:sealed"
    ISOLATE_FILTERED = "isolate:filtered"
    ISOLATE_SITE_FILTERED = "isolate:site-filtered"
    CREATE_NETWORK = "network:create"
    DISK_SOURCE = "disk:source"
    STAGE_OVERLAY = "stage:overlay"
    STAGE_FULL = "stage:full"
    GUEST_CHANNEL = "guest:channel"


class ObjectKind(StrEnum):
    """What the ledger holds."""

    SNAPSHOT = "snapshot"
    NETWORK = "network"
    FILTER = "filter"
    DISK = "disk"
    VM = "vm"
    MEDIUM = "medium"
    CLAIM = "claim"
    GUEST_FILE = "guest-file"


class Effect(Protocol):
    """The engine's hand on a mutating call: the key, the lease and the ledger."""

    @property
    def token(self) -> str:
        """Key of this effect, unique per run, host and step: `ferry.RUN.HOST.STEP`, at most 120 characters
        of [A-Za-z0-9._-]."""
        ...

    @property
    def reason(self) -> str:
        """Who does it and why, in words for other administrators ("ferry run R, step snapshot, CHG7"),
        for wherever the hypervisor shows such words. One line, at most 200 characters."""
        ...

    def before(self, what: str) -> None:
        """Check the lease just before a mutation described by `what`. Raises LeaseLost."""
        ...

    def task(self, what: str, reference: str) -> None:
        """Note the hypervisor's own name of the work that does `what`. Repeatable."""
        ...

    def intend(self, kind: ObjectKind, object_id: str, detail: str = "") -> None:
        """Write "about to create" into the ledger, then check the lease. Repeatable. Raises LeaseLost."""
        ...

    def made(self, kind: ObjectKind, object_id: str) -> None:
        """Write "exists now" into the ledger. Repeatable."""
        ...

    def removed(self, kind: ObjectKind, object_id: str) -> None:
        """Write "is gone" into the ledger. Repeatable."""
        ...

    def owns(self, kind: ObjectKind, object_id: str) -> bool:
        """Tell whether the ledger of this state says that we made (or were about to make) the object."""
        ...


class Extent(Value):
    """A stretch of a disk; `zero` is known to read as zeros."""

    offset: int
    length: int
    zero: bool


class FrozenDisk(Protocol):
    """A disk that nobody writes, readable at random; safe to read from several threads in turn."""

    @property
    def key(self) -> str:
        """The Disk.key it stands for."""
        ...

    @property
    def size(self) -> int:
        """Virtual size in bytes."""
        ...

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes. Raises ProviderError (PERMANENT) on a read error or past the end."""
        ...

    def extents(self) -> Iterator[Extent]:
        """Yield extents in order, covering the whole disk."""
        ...


class Inventory(Protocol):
    """Reads only. Bulk calls: never one round trip per object or property."""

    def about(self) -> EndpointInfo:
        """Say who answers."""
        ...

    def machines(self, names: Sequence[str] | None = None) -> tuple[Machine, ...]:
        """Return the machines named (by name, permanent id, or whatever `Machine.also` says), or all.

        One that is not there is left out; an ambiguous name: CONFLICT, with the candidates."""
        ...

    def listing(self) -> tuple[Listed, ...]:
        """Return all machines and templates, with little of each, in the same order as `machines`."""
        ...

    def networks(self) -> tuple[Network, ...]:
        """Return all networks that a machine can be attached to."""
        ...

    def images(self, names: Sequence[str]) -> tuple[GoldenImage, ...]:
        """Return the golden images of these names or paths; one that is not there is left out."""
        ...


class Preflight(Protocol):
    """Reads only: what would hinder a later effect, judged on machines just observed, so that a fleet is
    not read twice. Each finding says what was checked; `ok` False is a hindrance with its reason."""

    def snapshot(self, machine: Machine, consistency: Consistency) -> tuple[Finding, ...]:
        """Free space for the overlay, chain depth, passthrough or shared disks, a job under way,
        consistency possible."""
        ...

    def isolation(self, machine: Machine, spec: IsolationSpec) -> tuple[Finding, ...]:
        """Mode supported, network there or creatable, uplink there, filter mechanism there."""
        ...

    def staging(self, spec: TargetSpec) -> tuple[Finding, ...]:
        """Name free, image there and unchanged, space, CPU able to run the release, network there or
        creatable."""
        ...

    def rights(self) -> tuple[Finding, ...]:
        """What this account may do, as far as the endpoint tells it: one finding for each right, with what
        needs it. Empty where rights cannot be asked for."""
        ...


class Power(Protocol):
    """Power of a machine."""

    def ensure_power(self, ref: MachineRef, state: PowerState, effect: Effect) -> Machine:
        """Start it, or cut its power (OFF is hard: no guest is asked). Idempotent. PAUSED is UNSUPPORTED."""
        ...


class Claims(Protocol):
    """The atomic mark on the machine. Read through `Machine.claim`."""

    def ensure_claim(
        self,
        ref: MachineRef,
        claim: Claim,
        effect: Effect,
        *,
        succeeds: str | None = None,
    ) -> Claim:
        """Claim the machine. Same run and state: update (generation) and return. Another holder: CONFLICT
        naming it.

        `succeeds` names the one other run whose claim may be replaced (an undo takes over from the run that
        it undoes).
        """
        ...

    def ensure_released(self, ref: MachineRef, claim: Claim, effect: Effect) -> None:
        """Take our claim off. Not there: fine. Another holder's: CONFLICT."""
        ...

    def break_claim(self, ref: MachineRef, expected: Claim, effect: Effect) -> None:
        """Take a dead run's claim off, only if it is still exactly `expected`; else CONFLICT."""
        ...


class Snapshots(Protocol):
    """Snapshots of the source or of a target."""

    def ensure_snapshot(
        self, ref: MachineRef, name: str, consistency: Consistency, effect: Effect
    ) -> Snapshot:
        """Snapshot all disks but removable ones, keyed by the token. What was got is read back: less than
        asked is an error, nothing left behind. CRASH of a stopped machine gives OFFLINE, which is more."""
        ...

    def ensure_snapshot_removed(self, ref: MachineRef, token: str, effect: Effect) -> None:
        """Remove the snapshot that bears `token`, keep all writes; wait for the merge and re-read the
        chain. Not there: fine."""
        ...

    def ensure_reverted(self, ref: MachineRef, token: str, effect: Effect) -> Machine:
        """Put the machine back to the snapshot, losing later writes. UNSUPPORTED unless SNAPSHOT_REVERT is
        declared."""
        ...


class Isolation(Protocol):
    """Cut off, prove, give back."""

    def ensure_network(self, spec: NetworkSpec, effect: Effect) -> Network:
        """Return the network; create it if the spec says so. One of that name that does not fit the spec:
        CONFLICT, never changed."""
        ...

    def ensure_network_removed(self, spec: NetworkSpec, effect: Effect) -> bool:
        """Remove a network of ours that no machine uses any more; False where one still does. Not there:
        True. Not ours: CONFLICT."""
        ...

    def capture(self, ref: MachineRef) -> tuple[NicCapture, ...]:
        """Read every card's configuration (live and persistent) for the way back. A read."""
        ...

    def ensure_isolated(
        self,
        ref: MachineRef,
        spec: IsolationSpec,
        addresses: Sequence[str],
        effect: Effect,
    ) -> Machine:
        """Move every card, live and persistent, MAC kept, none added. `addresses`: the guest's known IPs,
        for anti-spoofing; may be empty."""
        ...

    def verify(self, ref: MachineRef, spec: IsolationSpec) -> IsolationEvidence:
        """Prove it from the hypervisor's own view, never from our record; also for the persistent
        definition. A read."""
        ...

    def ensure_released(self, ref: MachineRef, captures: Sequence[NicCapture], effect: Effect) -> Machine:
        """Restore exactly what was captured, and remove filters that we made for this machine."""
        ...


class DiskSource(Protocol):
    """Bytes of a machine's disks at a snapshot."""

    def open_frozen(self, ref: MachineRef, token: str) -> AbstractContextManager[tuple[FrozenDisk, ...]]:
        """Open the frozen bases below the snapshot that bears `token`, read-only, guarded against hostile
        images. NOT_FOUND without it."""
        ...


class Staging(Protocol):
    """The replacement."""

    def ensure_target(self, spec: TargetSpec, effect: Effect) -> StagedTarget:
        """Create disk, machine and (where one is needed) answer medium; the machine is left off.

        Nothing that exists is overwritten: CONFLICT."""
        ...

    def customized(self, staged: StagedTarget, computer_name: str) -> bool | None:
        """Tell whether the guest says it bears the name. None: it cannot be told (no agent answers). A
        read."""
        ...

    def ensure_medium_removed(self, staged: StagedTarget, effect: Effect) -> None:
        """Eject and delete the answer medium, also of a half-made target. Not there: fine."""
        ...

    def fingerprint(self, staged: StagedTarget) -> str | None:
        """Return the definition's fingerprint now; None when the machine is gone. A read."""
        ...

    def ensure_target_removed(self, staged: StagedTarget, effect: Effect, *, keep_disks: bool) -> None:
        """Stop and remove our target, its medium too; disks only with keep_disks=False. Not there: fine."""
        ...


class Reader(Protocol):
    """An open endpoint that cannot write: all that `preview` ever holds."""

    @property
    def capabilities(self) -> frozenset[Capability]: ...
    @property
    def inventory(self) -> Inventory: ...
    @property
    def preflight(self) -> Preflight: ...
    def close(self) -> None:
        """Close the connection. Repeatable."""
        ...


class Adapter(Reader, Protocol):
    """An open endpoint with every role. A role without any declared capability raises UNSUPPORTED on each
    call."""

    @property
    def power(self) -> Power: ...
    @property
    def claims(self) -> Claims: ...
    @property
    def snapshots(self) -> Snapshots: ...
    @property
    def isolation(self) -> Isolation: ...
    @property
    def disks(self) -> DiskSource: ...
    @property
    def staging(self) -> Staging: ...
    @property
    def guests(self) -> GuestChannel: ...


class Provider(Protocol):
    """What an entry point of group "ferry6003.providers" names: a factory of connections."""

    name: str
    contract_version: int

    def check_settings(self, endpoint: EndpointSettings) -> tuple[Diagnostic, ...]:
        """Say what is wrong with the settings, without connecting."""
        ...

    def open_reader(self, endpoint: EndpointSettings, secrets: ResolveSecret) -> Reader:
        """Connect for reading, with no more rights than reading needs. Raises ProviderError."""
        ...

    def open(self, endpoint: EndpointSettings, secrets: ResolveSecret) -> Adapter:
        """Connect. Raises ProviderError."""
        ...


def claimed(ref: MachineRef, held: Claim) -> ProviderError:
    """Make the error for a machine that another run holds."""
    since = f" since {held.since:%Y-%m-%d %H:%M} UTC" if held.since else ""
    who = f"host {held.host or 'unknown'}, generation {held.generation}"
    message = f"machine {ref.name} is held by run {held.run} of state {held.state_id} ({who}){since}"
    hint = "wait for that run, undo it, or break its claim if nobody works on it any more"
    return ProviderError(ErrorKind.CONFLICT, message, hint=hint)


def unsupported(what: str, instead: str = "") -> ProviderError:
    """Make the error for an undeclared capability; `instead` says what the site can use."""
    return ProviderError(ErrorKind.UNSUPPORTED, f"{what} is not supported here", hint=instead)
