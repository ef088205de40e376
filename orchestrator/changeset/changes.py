"""The change set: every step for every host, the observations it rests on. Values only."""

from datetime import datetime
from enum import StrEnum

from orchestrator.model.base import Value
from orchestrator.model.endpoint import EndpointInfo, EndpointSettings
from orchestrator.model.facts import Identity
from orchestrator.model.machine import Machine
from orchestrator.model.network import Finding, Network
from orchestrator.model.plan import ChangeRequest, HostPlan
from orchestrator.model.target import GoldenImage

FORMAT = 1


class Kind(StrEnum):
    """What a change set does: carry out a plan, or take a run back."""

    APPLY = "apply"
    UNDO = "undo"


class StepKind(StrEnum):
    """The steps of a host (architecture, section 3), then those of the way back."""

    PREFLIGHT = "preflight"
    CLAIM = "claim"
    SNAPSHOT = "snapshot"
    IDENTIFY = "identify"
    INVENTORY = "inventory"
    ISOLATE = "isolate"
    VERIFY = "verify"
    STAGE = "stage"
    INVENTORY_TARGET = "inventory-target"
    PARITY = "parity"
    RELEASE_CLAIM = "release-claim"
    REMOVE_TARGET = "remove-target"
    RELEASE = "release"
    REMOVE_SNAPSHOT = "remove-snapshot"


class Step(Value):
    """One step in words (`title`) and in values; `undo` says in words how it is taken back, "" where
    nothing needs to be."""

    kind: StepKind
    title: str
    values: tuple[tuple[str, str], ...] = ()
    undo: str = ""
    mutates: bool


class KnownIdentity(Value):
    """Which Windows the host is, from stored evidence; `at` is when that was seen, `run` whose evidence it
    is."""

    identity: Identity
    at: datetime
    run: str


class HostChange(Value):
    """Everything that one host's part of a run needs."""

    plan: HostPlan
    source: Machine
    known: KnownIdentity | None = None
    """None: unknown until the snapshot is read."""
    image: GoldenImage | None = None
    networks: tuple[Network, ...] = ()
    """The networks that the host's steps name and that exist now, on the source's endpoint and the
    target's."""
    checks: tuple[Finding, ...] = ()
    steps: tuple[Step, ...]


class ObservedEndpoint(Value):
    """An endpoint with what it said of itself."""

    settings: EndpointSettings
    info: EndpointInfo


class ChangeSet(Value):
    """The frozen result of preview. Its digest is over the canonical JSON of the whole (`store.digest`)."""

    format: int = FORMAT
    kind: Kind
    undo_of: str | None = None
    name: str
    owner: str
    plan_path: str
    plan_sha256: str
    change: ChangeRequest
    created_at: datetime
    endpoints: tuple[ObservedEndpoint, ...]
    hosts: tuple[HostChange, ...]
    waves: tuple[str, ...]
    stop_wave_after: int
    destroy_targets: bool = False
    """Undo only: remove targets that people have changed since staging, too."""
    delete_disks: bool = False
    """Undo only: delete the targets' disks as well."""
