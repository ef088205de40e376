"""What a plan file says once it is decoded and checked: neutral, complete, without a default left open. No
clock, no I/O.

`planfile` makes it, `changeset` builds from it. Names of endpoints and networks are resolved to values;
times are as the plan's window gives.
"""

from datetime import date, datetime
from enum import StrEnum

from orchestrator.model.base import Value
from orchestrator.model.endpoint import EndpointSettings
from orchestrator.model.machine import Consistency
from orchestrator.model.network import Flow, IsolationSpec
from orchestrator.model.target import TargetSpec


class Disposition(StrEnum):
    """What happens to the legacy host."""

    CONTAIN = "contain"
    LIFT = "lift"


class Window(Value):
    """The change window; both aware, `timezone` is the IANA name that the plan gave."""

    opens: datetime
    closes: datetime
    timezone: str


class ChangeRequest(Value):
    """The change board's frame."""

    ticket: str = ""
    reason: str = ""
    risk: str = ""
    window: Window | None = None
    approvals: int = 0


FINDING = "finding:"
"""How the item of a waiver begins that accepts a finding about the old host, not a difference."""


class Waiver(Value):
    """An accepted difference or failed check. `item` is a parity item ("service:Browser") or a finding
    ("finding:cluster-node"); expired from `expires` on."""

    item: str
    reason: str
    owner: str
    expires: date


class ParitySpec(Value):
    """How parity is judged. A host without a target has only waivers of findings."""

    profile: str = "generic"
    waivers: tuple[Waiver, ...] = ()
    gate: bool = False


class Expect(Value):
    """What the plan says the host is; None is not stated. A host that differs is a wrong identity."""

    build: int | None = None
    arch: str | None = None


class LiftSpec(Value):
    """Where a lifted host goes (Azure)."""

    endpoint: str
    size: str
    subnet: str
    allow: tuple[Flow, ...] = ()
    """What it may still reach from there."""
    source_after: str = "off-and-isolated"


class HostPlan(Value):
    """One legacy host, every default filled in."""

    name: str
    endpoint: str
    vm: str
    expect: Expect
    wave: str
    depends_on: tuple[str, ...] = ()
    disposition: Disposition
    snapshot: Consistency
    isolation: IsolationSpec | None = None
    """For contain."""
    lift: LiftSpec | None = None
    target: TargetSpec | None = None
    parity: ParitySpec | None = None


class PlanFile(Value):
    """A whole decoded plan file. `sha256` is of the file's bytes; `waves` in the order in which they run."""

    path: str
    sha256: str
    name: str
    owner: str
    change: ChangeRequest
    endpoints: tuple[EndpointSettings, ...]
    hosts: tuple[HostPlan, ...]
    waves: tuple[str, ...]
    stop_wave_after: int = 1
    """A wave stops when so many of its hosts have failed."""
