"""The view that every output renders: words and simple values, nothing left to decide. Values only.

Text may still hold control characters from hostile names: an output makes it printable.
"""

from datetime import datetime
from enum import StrEnum

from orchestrator.model.base import Value

VIEW_FORMAT = 1

Pairs = tuple[tuple[str, str], ...]


class Tone(StrEnum):
    """How something is to be taken. Outputs always say it in words too, never by colour alone."""

    GOOD = "good"
    NEUTRAL = "neutral"
    WARN = "warn"
    BAD = "bad"


class Badge(Value):
    """A state in one or two words."""

    tone: Tone
    text: str


class Notice(Value):
    """Something that whoever approves or looks back must not miss. `host` is "" for the change as a whole."""

    tone: Tone
    host: str
    text: str


class StepView(Value):
    """One step in words and values, with its undo; after a run also how it went."""

    number: int
    kind: str
    title: str
    values: Pairs
    undo: str
    changes: bool
    """Whether it changes anything outside ferry's own records."""
    badge: Badge | None = None
    started: str = ""
    duration: str = ""
    message: str = ""


class CheckView(Value):
    """One finding."""

    check: str
    badge: Badge
    detail: str


class IsolationView(Value):
    """The proof of isolation."""

    badge: Badge
    mode: str
    at: str
    findings: tuple[CheckView, ...]


class ItemView(Value):
    """One parity item that somebody has to look at."""

    item: str
    badge: Badge
    severity: str
    old: str
    new: str
    why: str
    advice: str
    waiver: str


class ParityView(Value):
    """The comparison of old and new."""

    badge: Badge
    meaning: str
    at: str
    basis: str
    """Profile, release and rules that it rests on."""
    counts: Pairs
    open_items: tuple[ItemView, ...]
    waived_items: tuple[ItemView, ...]
    hints: tuple[ItemView, ...]
    """Open, but only for information."""
    waiver_notes: Pairs


class FindingView(Value):
    """One finding of the assessment. `waiver` is "" unless it holds."""

    item: str
    badge: Badge
    title: str
    grounds: Pairs
    """Fact and value, with the source in brackets."""
    advice: str
    waiver: str


class AssessmentView(Value):
    """What decides the old host's way."""

    badge: Badge
    meaning: str
    basis: str
    """The day, and when its facts were seen."""
    support: str
    stages: Pairs
    open_findings: tuple[FindingView, ...]
    hints: tuple[FindingView, ...]
    """Only for information."""
    waived_findings: tuple[FindingView, ...]
    waiver_notes: Pairs
    unseen: tuple[str, ...]
    """Hosts of the plan of which nobody has facts."""


class EvidenceView(Value):
    """One piece of evidence; whoever wants to check it recomputes its hash."""

    host: str
    kind: str
    at: str
    sha256: str


class HostView(Value):
    """One server: what it is, what happens to it, how it went."""

    name: str
    wave: str
    badge: Badge | None
    outcome: str
    """Message and hint of the run, "" before it."""
    summary: str
    impact: str
    depends_on: tuple[str, ...]
    item: Pairs
    """The configuration item: build, edition, architecture, hypervisor id."""
    target: Pairs
    steps: tuple[StepView, ...]
    checks: tuple[CheckView, ...]
    isolation: IsolationView | None
    parity: ParityView | None
    assessment: AssessmentView | None
    """None: its facts are not known, or it is a way back."""
    not_assessed: str
    """Why there is no assessment, "" where there is one or none belongs."""
    waivers: tuple[Pairs, ...]
    """As planned, before anything was compared."""


class EndpointView(Value):
    """One endpoint and how it is talked to."""

    name: str
    badge: Badge
    facts: Pairs


class WaveView(Value):
    """Hosts that run together."""

    number: int
    name: str
    hosts: tuple[str, ...]
    gate: str


class ApprovalView(Value):
    """Who consented, and when."""

    name: str
    at: str
    comment: str


class RunView(Value):
    """The run that is reported on."""

    run: str
    badge: Badge
    started: str
    ended: str
    duration: str
    head: str


class ReportView(Value):
    """The whole report."""

    format: int = VIEW_FORMAT
    title: str
    subtitle: str
    badge: Badge
    headline: str
    generated_at: datetime
    digest: str
    glance: Pairs
    notices: tuple[Notice, ...]
    why: Pairs
    schedule: Pairs
    risk: Pairs
    back_out: tuple[str, ...]
    point_of_no_return: str
    approvals_needed: int
    approvals: tuple[ApprovalView, ...]
    waves: tuple[WaveView, ...]
    endpoints: tuple[EndpointView, ...]
    hosts: tuple[HostView, ...]
    run: RunView | None
    evidence: tuple[EvidenceView, ...]
    heads: Pairs
    provenance: Pairs
