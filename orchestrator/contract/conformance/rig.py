"""What a provider's test file must give the shared suite: a real hypervisor and a second, independent way to
look at it.

Everything here works *behind the adapter's back*, with the hypervisor's own tools. A rig must not call the
adapter under test, and must not tidy up what the adapter left during a test: the suite counts it. After a
test the rig removes whatever bears a name from `name()`.
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from orchestrator.contract.provider import ObjectKind, Provider, ResolveSecret
from orchestrator.model.endpoint import EndpointSettings
from orchestrator.model.machine import MachineRef, Nic

DISK_BYTES = 4 * 1024 * 1024
"""Virtual size of a made machine's disks; they read as zeros at first."""

BLOCK = 64 * 1024
"""Patterns are written in whole blocks at multiples of it."""


class Oddity(StrEnum):
    """What can be wrong with a machine before anybody touches it; each must show as a hindrance of a
    snapshot."""

    SHARED_DISK = "shared-disk"
    PASSTHROUGH = "passthrough"
    DEEP_CHAIN = "deep-chain"
    BUSY = "busy"


class Fault(StrEnum):
    """What a hypervisor or the way to it can do to a call."""

    REPLY_LOST = "reply-lost"
    """The next mutation takes effect, its answer never comes: UNCERTAIN."""
    DENIED = "denied"
    """The next mutation is refused for lack of rights: DENIED."""
    UNREACHABLE = "unreachable"
    """The endpoint does not answer: reads are TRANSIENT."""


class Faults(Protocol):
    """Disturbances that a rig can cause."""

    @property
    def can(self) -> frozenset[Fault]:
        """Those that this rig can cause."""
        ...

    def inject(self, fault: Fault) -> AbstractContextManager[None]:
        """Disturb calls inside the `with` block: REPLY_LOST and DENIED the first mutation, UNREACHABLE all
        calls."""
        ...


@dataclass(frozen=True, slots=True)
class GuestPrograms:
    """Each a program with its first arguments. `echo` prints the arguments that follow; `fail` ends with 3;
    `sleep` takes at least 30 seconds."""

    echo: tuple[str, ...]
    fail: tuple[str, ...]
    sleep: tuple[str, ...]


class Rig(Protocol):
    """One hypervisor for one test. Every method is as if another administrator, or the guest, did it."""

    @property
    def provider(self) -> Provider:
        """The provider under test."""
        ...

    @property
    def endpoint(self) -> EndpointSettings:
        """How to reach the rig's hypervisor."""
        ...

    @property
    def secrets(self) -> ResolveSecret:
        """Resolves what `endpoint` refers to. The suite adds its own planted password on top."""
        ...

    @property
    def faults(self) -> Faults | None:
        """Disturbances, or None where the rig has none."""
        ...

    @property
    def oddities(self) -> frozenset[Oddity]:
        """Odd machines that `make_machine` can make."""
        ...

    def name(self, stem: str) -> str:
        """Return a name that nothing bears: for machines, networks, targets. Fit for a file name and at
        most 15 characters."""
        ...

    # Machines -----------------------------------------------------------------------------------------------

    def make_machine(
        self, name: str, *, running: bool = False, nics: int = 1, disks: int = 1, oddity: Oddity | None = None
    ) -> MachineRef:
        """Make a machine: `disks` zeroed disks of DISK_BYTES, `nics` cards with link up on one ordinary
        network that has an uplink.

        It need not boot anything. Raises nothing the suite expects; a rig that cannot make it is a broken
        rig.
        """
        ...

    def make_guest(self, name: str) -> MachineRef:
        """Make a running machine whose guest answers through its agent; an ordinary one where the adapter
        does not declare GUEST_CHANNEL. May hand out the same one again."""
        ...

    @property
    def guest_folder(self) -> str:
        """A folder in such a guest to write into, with its separator at the end."""
        ...

    @property
    def guest_programs(self) -> GuestPrograms:
        """Programs in such a guest."""
        ...

    def guest_file(self, ref: MachineRef, path: str) -> bytes | None:
        """Return a file of the guest's, None where it is not there."""
        ...

    def delete_machine(self, ref: MachineRef) -> None:
        """Delete it with everything that belongs to it."""
        ...

    def set_running(self, ref: MachineRef, running: bool) -> None:
        """Start it, or cut its power; returns when the hypervisor says so. Also works on a staged target."""
        ...

    def is_running(self, ref: MachineRef) -> bool:
        """Tell its power as the hypervisor says."""
        ...

    def redefine(self, ref: MachineRef) -> None:
        """Change something in its definition that matters (memory, say), as an administrator does later.

        It is stopped.
        """
        ...

    def describe(self, ref: MachineRef) -> str:
        """Return the whole persistent and live description as the hypervisor has it, metadata included.

        Normalised so that equal text means equal configuration: without what changes by itself (process and
        tap names, run-time ids).
        """
        ...

    # Disks --------------------------------------------------------------------------------------------------

    def fill(self, ref: MachineRef, disk: int, offset: int, length: int, byte: int) -> None:
        """Write `length` times `byte`, as the guest does: into the image that is active now. Running or
        stopped. Whole blocks."""
        ...

    def read(self, ref: MachineRef, disk: int, offset: int, length: int) -> bytes:
        """Return what the guest would read. The machine is stopped."""
        ...

    def foreign_snapshot(self, ref: MachineRef, name: str) -> str:
        """Take a snapshot of another administrator's; return its id as `objects(SNAPSHOT)` lists it."""
        ...

    # Networks -----------------------------------------------------------------------------------------------

    def nics(self, ref: MachineRef) -> tuple[Nic, ...]:
        """Return the cards as the hypervisor has them now: live where it runs, else from its definition."""
        ...

    def move_nic(self, ref: MachineRef, nic: Nic) -> None:
        """Put the card `nic.key` where `nic` says (network, link, no filter), live and persistent, behind
        the adapter's back."""
        ...

    def foreign_network(self, name: str) -> None:
        """Make a network with an uplink (or addresses) that is not ours and fits no sealed spec of that
        name."""
        ...

    @property
    def uplink(self) -> str:
        """An uplink for a filtered network, as `NetworkSpec.uplink` names it; empty where
        ISOLATE_FILTERED is not declared."""
        ...

    @property
    def site_network(self) -> str:
        """A network whose filter the site owns; empty where ISOLATE_SITE_FILTERED is not declared."""
        ...

    # Everything ---------------------------------------------------------------------------------------------

    def objects(self, kind: ObjectKind) -> frozenset[str]:
        """List all objects of a kind as the hypervisor (or the file system under it) does.

        SNAPSHOT: ids unique over all machines ("MACHINE/ID"). DISK: image files, overlays too. MEDIUM: answer
        media. VM: machines. CLAIM: marks. NETWORK, FILTER: by name. GUEST_FILE: files of ours in guests.
        The suite only compares listings with each other.
        """
        ...

    # Staging ------------------------------------------------------------------------------------------------

    @property
    def golden_image(self) -> str:
        """Name of a golden image, as a plan file gives it; empty where no staging capability is declared."""
        ...

    def golden_read(self, offset: int, length: int) -> bytes:
        """Return bytes of the golden image. It holds at least one block that is not zero, at offset 0."""
        ...

    def texts(self) -> Iterable[str]:
        """Yield every text that is stored and can be read by another administrator (descriptions, notes,
        logs): searched for the password.

        The answer medium itself is not among them.
        """
        ...
