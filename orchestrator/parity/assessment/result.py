"""What an assessment says. Values only; nothing is decided here.

Titles and grounds hold text from a guest: whoever prints them makes it printable.
"""

from datetime import date

from orchestrator.lifecycle import SupportStatus
from orchestrator.model.base import Value
from orchestrator.model.plan import Waiver
from orchestrator.parity.result import Severity, Verdict, WaiverNote

ASSESSMENT_FORMAT = 1


class Ground(Value):
    """What a finding rests on: which fact, its value in words, and where the collector took it from."""

    fact: str
    value: str
    source: str = ""


class HostFinding(Value):
    """One thing to know, decide or do before the host is contained, lifted or replaced.

    `cannot_tell`: nobody has seen what would decide it; such a finding cannot be waived.
    `waiver`: the plan's for it; `waived`: it holds.
    """

    id: str
    severity: Severity
    title: str
    grounds: tuple[Ground, ...]
    advice: str
    detail: str = ""
    cannot_tell: bool = False
    waiver: Waiver | None = None
    waived: bool = False

    @property
    def item(self) -> str:
        """What a waiver in the plan file calls it."""
        return f"finding:{self.id}:{self.detail}" if self.detail else f"finding:{self.id}"


class Dependency(Value):
    """`who` needs `on`: `what` in words, and the fact of `who` that says so."""

    on: str
    who: str
    what: str
    ground: Ground


class Assessment(Value):
    """The whole assessment of one host on one day. `findings`: open ones first, worst first.

    `unseen`: hosts of the plan whose facts nobody has, so that nobody knows what they need of this one.
    """

    format: int = ASSESSMENT_FORMAT
    host: str
    on: date
    release: int | None
    """The replacement's release; None: none is planned."""
    verdict: Verdict
    support: SupportStatus
    findings: tuple[HostFinding, ...]
    dependencies: tuple[Dependency, ...] = ()
    unseen: tuple[str, ...] = ()
    waiver_notes: tuple[WaiverNote, ...] = ()

    @property
    def open_findings(self) -> tuple[HostFinding, ...]:
        """Findings that nobody has accepted, worst first; those for information too."""
        return tuple(f for f in self.findings if not f.waived)

    @property
    def blockers(self) -> tuple[HostFinding, ...]:
        """What somebody has to decide first: known, and not accepted."""
        return tuple(f for f in self.open_findings if f.severity is Severity.BLOCKER and not f.cannot_tell)
